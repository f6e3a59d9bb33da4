"""Memory of lookups that are being computed: what they take is what is stated, counted, and given fairly."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from protocol.admission import HELD_FOR_A_BYTE
from protocol.engines import engine_of
from protocol.errors import ProtocolError
from protocol.limits import Limits, memory_for
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.service import Service
from protocol.threads import Threads
from protocol.workspaces import Workspaces
from quantize.quantizers import quantize_table
from quantize.tables import open_table
from tests.protocol.serving import prepared, serving
from tests.waiting import PATIENCE_S, wait_until

pytest.importorskip("openfhe")

CROWD, OTHER = "192.0.2.1", "192.0.2.2"


def in_background(workspaces: Workspaces, address: str, size_bytes: int, until: threading.Event) -> threading.Thread:
    """Hold so much until an event; the thread has begun to wait, or has it, when this returns."""
    before = workspaces.waiting, workspaces.held_bytes

    def run() -> None:
        with workspaces.taken(address, size_bytes):
            until.wait(PATIENCE_S)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: (workspaces.waiting, workspaces.held_bytes) != before)
    return thread


@contextmanager
def released(*events: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        for event in events:
            event.set()


def test_an_address_leaves_room_for_the_largest_lookup_of_another() -> None:
    workspaces, end = Workspaces(300, 100), threading.Event()
    with released(end):
        for _ in range(3):
            in_background(workspaces, CROWD, 100, end)
        assert (workspaces.held_bytes, workspaces.waiting) == (200, 1)
        with workspaces.taken(OTHER, 100):
            assert workspaces.held_bytes == 300


def test_what_becomes_free_goes_to_the_address_that_holds_least_and_nobody_passes_by() -> None:
    workspaces = Workspaces(300, 150)
    first, second, third, end = (threading.Event() for _ in range(4))
    with released(first, second, third, end):
        crowd = in_background(workspaces, CROWD, 150, first)
        in_background(workspaces, OTHER, 100, second)
        large = in_background(workspaces, "192.0.2.3", 150, third)
        small = in_background(workspaces, OTHER, 40, end)
        # There would be room for the small one now; it waits for the large one of an address that holds nothing.
        assert (workspaces.held_bytes, workspaces.waiting) == (250, 2)
        first.set()
        crowd.join(timeout=PATIENCE_S)
        assert (workspaces.held_bytes, workspaces.waiting) == (290, 0)
        third.set()
        end.set()
        large.join(timeout=PATIENCE_S)
        small.join(timeout=PATIENCE_S)
        assert workspaces.held_bytes == 100


def test_more_than_a_lookup_gets_is_refused_and_a_stop_ends_the_wait() -> None:
    workspaces, end = Workspaces(200, 100), threading.Event()
    with pytest.raises(ProtocolError, match="has room for 100"), workspaces.taken(CROWD, 101):
        pass
    with released(end), ThreadPoolExecutor(1) as pool:
        in_background(workspaces, CROWD, 100, end)
        in_background(workspaces, OTHER, 100, end)

        def wait() -> None:
            with workspaces.taken("192.0.2.3", 100):
                pass

        waiting = pool.submit(wait)
        wait_until(lambda: workspaces.waiting)
        workspaces.stop("server is stopping")
        with pytest.raises(ProtocolError, match="stopping"):
            waiting.result(timeout=PATIENCE_S)


def peak_bytes(work: Callable[[], Any]) -> tuple[Any, int]:
    """What work gives, and the most memory of arrays and other objects that it had besides what was there."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        given = work()
        _, peak = tracemalloc.get_traced_memory()
        return given, peak - before
    finally:
        tracemalloc.stop()


def measured(configuration: Configuration, tokens: int, threads: int) -> tuple[int, int, int]:
    """Peaks of reading keys, of preparing and of answering, less the messages and what the session keeps."""
    shape = configuration.table
    coefficients = quantize_table(
        open_table(f"{shape.rows}x{shape.channels}"), configuration.packing.widths
    ).coefficients
    engine = engine_of(configuration)
    server = engine.server(configuration, coefficients, Meter("server"), lambda *_: None, False)
    client = engine.client(configuration, tokens, Meter("client"), False, SeedRecord())
    session = server.session(tokens, Meter("server", threads=Threads(threads)))
    shapes, keys, preparing = session.shapes, list(client.keys()), 0
    _, reading = peak_bytes(lambda: session.accept_keys(keys) if keys else None)
    if configuration.has_offline_phase:
        announced = list(client.announce())
        halves, preparing = peak_bytes(lambda: list(session.prepare(announced)))
        client.accept_first_halves(halves)
    query = list(client.encrypt([(7 * k) % shape.rows for k in range(tokens)]))
    shares = np.empty((tokens, coefficients.shape[1]), dtype=np.int64)
    _, answering = peak_bytes(lambda: list(session.answer(query, shares)))
    stated = server.working_bytes(tokens, threads)
    counted = (HELD_FOR_A_BYTE - 1) * shapes.keys.size_bytes + shapes.kept_bytes
    assert reading - counted <= max(server.working_bytes(1, threads), shapes.kept_bytes)
    kept = shapes.prepared_bytes + HELD_FOR_A_BYTE * shapes.first_halves.size_bytes
    return stated, preparing - kept, answering - HELD_FOR_A_BYTE * shapes.answer.size_bytes


@pytest.mark.parametrize(("tokens", "threads"), [(1, 1), (16, 2)])
@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("fastquery", {}),
        ("fastquery", {"prepared": True}),
        ("cheetah", {"engine": "residue"}),
        ("fastquery", {"options": ("delphi",), "flooding_bits": 0}),
        ("folded", {"flooding_bits": 0}),
        ("folded", {"prepared": True, "flooding_bits": 0}),
        ("compressed", {"flooding_bits": 0}),
        pytest.param("folded", {}, marks=pytest.mark.slow),
        pytest.param("compressed", {}, marks=pytest.mark.slow),
        pytest.param("bucketed", {}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_lookup_takes_what_is_stated(protocol: str, options: dict[str, Any], tokens: int, threads: int) -> None:
    configuration = executed(protocol, Table(1024, 96, tokens), **options)
    stated, preparing, answering = measured(configuration, tokens, threads)
    assert stated / 1.5 < max(preparing, answering) <= stated


RESIDENT = """
import ctypes, gc, json, sys
import numpy as np
from pathlib import Path
from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.admission import HELD_FOR_A_BYTE
from protocol.engines import engine_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.quantizers import quantize_table
from quantize.tables import open_table

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def added(work):
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    return work(), resident("VmHWM") - before, resident("VmRSS") - before

protocol, tokens = sys.argv[1], int(sys.argv[2])
configuration = executed(protocol, Table(4096, 96, tokens), engine="openfhe", flooding_bits=0)
coefficients = quantize_table(open_table("4096x96"), configuration.packing.widths).coefficients
engine = engine_of(configuration)
server = engine.server(configuration, coefficients, Meter("server"), lambda *_: None, False)
client = engine.client(configuration, tokens, Meter("client"), False, SeedRecord())
session = server.session(tokens, Meter("server"))
keys = list(client.keys())
_, _, kept = added(lambda: session.accept_keys(keys) if keys else None)
query = list(client.encrypt([7 * k for k in range(tokens)]))
shares = np.empty((tokens, coefficients.shape[1]), dtype=np.int64)
_, peak, _ = added(lambda: list(session.answer(query, shares)))
answer = HELD_FOR_A_BYTE * session.shapes.answer.size_bytes
print(json.dumps([kept, session.shapes.kept_bytes, peak - answer, server.working_bytes(tokens, 1)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "tokens"), [("fastquery", 16), ("cryptflow2", 1), ("cryptflow2", 4), ("cheetah", 8)]
)
def test_openfhe_takes_what_is_stated(protocol: str, tokens: int) -> None:
    """Its memory is no Python object's: a process of its own is measured, as the kernel counts its resident pages."""
    command = [sys.executable, "-c", RESIDENT, protocol, str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, stated_kept, answering, stated = json.loads(done.stdout)
    assert answering <= stated
    assert kept == pytest.approx(stated_kept, rel=0.1, abs=2**19)


def test_memory_that_does_not_hold_a_lookup_is_refused_with_what_would() -> None:
    ready = prepared(executed("folded", Table(300, 24)), Limits(memory_bytes=2**22, threads=1))
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(ValueError, match="memory is 4 MiB, and a lookup of one row takes") as raised,
    ):
        Service(ready.server, listener, ready.limits, ready.meter)
    needed = ready.server.working_bytes(1, 1)
    assert f"give at least {-(-memory_for(needed) // 2**20)} MiB" in str(raised.value)


def test_fewer_rows_are_computed_on_at_once_where_memory_is_less() -> None:
    ready = prepared(executed("folded", Table(1024, 24), flooding_bits=0), Limits(threads=1))
    some = ready.server.working_bytes(3, 1)
    ready.limits = Limits(memory_bytes=memory_for(some), threads=1, workers=2)
    with serving(ready) as served, ThreadPoolExecutor(6) as pool:
        assert ready.server.tokens_together == 3
        service: Service = served.service
        workspaces = service.admission.workspaces
        seen: list[float] = []
        end = threading.Event()

        def watch() -> None:
            while not end.wait(0.001):
                seen.append(workspaces.held_bytes)

        watcher = threading.Thread(target=watch)
        watcher.start()
        tokens = [[(97 * k + j) % 1024 for j in range(7)] for k in range(6)]
        try:
            assert all(pool.map(served.opens, tokens, [f"127.0.0.{2 + k % 2}" for k in range(6)]))
        finally:
            end.set()
            watcher.join()
        assert 0 < max(seen) <= workspaces.most_bytes == 2 * some
        assert workspaces.held_bytes == 0
