"""What a party's process does not load: compilers and libraries that its engine has no use for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from costmodel.parameters import Table
from costmodel.presets import executable

pytest.importorskip("openfhe")

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
    job = executable("fastquery", Table(300, 24), engine="openfhe").to_toml()
    command = [sys.executable, "-c", SERVER]
    ended = subprocess.run(command, input=job, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"
