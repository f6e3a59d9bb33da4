"""What a party's process does not load, does not keep, and does not compile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed

pytest.importorskip("openfhe")
from protocol.meter import Meter
from protocol.openfhe.parties import OpenFHEClient
from protocol.openfhe.slots import SlotPlan

SERVER = """
import sys
from costmodel.parameters import Configuration
from protocol.lookup import LookupServer
from protocol.meter import Meter
from protocol.server import load_table
import protocol.service

configuration = Configuration.from_toml(sys.stdin.read())
table = load_table(configuration, "300x24", 0)
LookupServer(configuration, table, Meter("server"), lambda *_: None, False)
print([name for name in ("llvmlite", "numba", "pandas", "scipy") if name in sys.modules])
"""


def test_a_server_on_openfhe_loads_no_compiler_and_no_statistics() -> None:
    """They take 60 MB each, beside a table that is short of memory."""
    job = executed("fastquery", Table(300, 24), engine="openfhe").to_toml()
    command = [sys.executable, "-c", SERVER]
    ended = subprocess.run(command, input=job, capture_output=True, text=True, timeout=250, check=True)
    assert ended.stdout.strip() == "[]"


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_keys_of_earlier_clients_are_not_kept() -> None:
    """OpenFHE keeps every switching key that it makes, process-wide, and these have too little noise besides."""
    plan = SlotPlan(executed("cryptflow2", Table(300, 131), engine="openfhe"), False)

    def keys_bytes() -> int:
        return sum(map(len, OpenFHEClient(plan, 1, Meter("client")).keys()))

    size = keys_bytes()
    before = resident_bytes()
    for _ in range(3):
        keys_bytes()
    assert resident_bytes() - before < size


COMPILING = """
import sys
from numba.core.dispatcher import Dispatcher
from costmodel.parameters import Configuration
from protocol.engines import engine_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord
import numpy as np

configuration = Configuration.from_toml(sys.stdin.read())
columns = -(-configuration.table.channels // len(configuration.packing.widths))
table = np.zeros((configuration.table.rows, columns), dtype=np.uint16)
server = engine_of(configuration).server(configuration, table, Meter("server"), lambda *_: None, False)
client = engine_of(configuration).client(configuration, 2, Meter("client"), False, SeedRecord())
compile_kernel, late = Dispatcher.compile, []

def compile(kernel, signature):
    late.append(kernel.py_func.__name__)
    return compile_kernel(kernel, signature)

Dispatcher.compile = compile
session = server.session(2, Meter("server"))
session.accept_keys(list(client.keys()))
client.decrypt(list(session.answer(list(client.encrypt([3, 4])), np.empty((2, columns), dtype=np.int64))))
print(late)
"""


@pytest.mark.parametrize("protocol", ["fastquery", "bumblebee", "folded"])
def test_a_batch_finds_every_kernel_compiled(protocol: str) -> None:
    """Or the first client to send one would wait for the compiler, and others for their turn."""
    job = executed(protocol, Table(300, 42, 2)).to_toml()
    command = [sys.executable, "-c", COMPILING]
    ended = subprocess.run(command, input=job, capture_output=True, text=True, timeout=250, check=True)
    assert ended.stdout.strip() == "[]"
