"""``fastquery serve`` as a process: signals in its phases, few descriptors, a record that another program holds."""

from __future__ import annotations

import resource
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

import fastquery as fq
from protocol.errors import ProtocolError
from protocol.frames import Kind
from tests.fastquery.test_shares import server
from tests.protocol.serving import hello, read_frames

pytest.importorskip("openfhe")
pytestmark = pytest.mark.slow

SOON_S = 5.0
"""Six tenths of a second on an idle machine."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "fastquery" / "budgets.sqlite"


@contextmanager
def ends_soon(process: object, number: int) -> Iterator[None]:
    """A server ends with code 0 soon after a signal."""
    started = time.monotonic()
    process.send_signal(number)  # type: ignore[attr-defined]
    yield
    assert process.wait(timeout=30) == 0  # type: ignore[attr-defined]
    assert time.monotonic() - started < SOON_S


def looking_up(session: fq.Session, tokens: list[int]) -> threading.Thread:
    """A lookup under way, which may end with its server."""

    def run() -> None:
        with suppress(ProtocolError):
            session.lookup(tokens)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_service_while_clients_wait(number: int) -> None:
    with server("--health", "127.0.0.1:0") as (process, address):
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as greeted:
            greeted.sendall(hello())
            assert greeted.recv(4)[3] == Kind.PARAMETERS
            with ends_soon(process, number):
                pass


def test_a_second_signal_changes_nothing() -> None:
    with server() as (process, _), ends_soon(process, signal.SIGTERM):
        for _ in range(20):
            process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.2, 0.5])
def test_a_signal_ends_the_service_while_it_computes(delay_s: float) -> None:
    with server() as (process, address), fq.connect(address, tokens=256) as session:
        session.lookup([7])
        thread = looking_up(session, list(range(256)))
        time.sleep(delay_s)
        with ends_soon(process, signal.SIGTERM):
            pass
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_a_signal_ends_the_service_while_the_budget_is_held_by_another_program(state: Path) -> None:
    with server() as (process, address), fq.connect(address) as session:
        session.lookup([7])
        with closing(sqlite3.connect(state, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            thread = looking_up(session, [7])
            time.sleep(1.0)
            with ends_soon(process, signal.SIGTERM):
                pass
            thread.join(timeout=60)
            assert not thread.is_alive()


def test_a_process_of_few_descriptors_refuses_and_lives_on(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of 200 that greets and stays, where 64 files may be open: lookups are still counted."""
    with ExitStack() as stack:
        monkeypatch.setattr("subprocess.Popen", bounded(64))
        process, address = stack.enter_context(server("--timeout", "5"))
        monkeypatch.undo()
        host, port = address.split(":")
        with fq.connect(address) as session:
            crowd = []
            for number in range(200):
                source = (f"127.0.0.{2 + number % 20}", 0)
                connection = socket.create_connection((host, int(port)), timeout=20, source_address=source)
                crowd.append(stack.enter_context(connection))
                connection.sendall(hello()[: 50 + number % 2 * 50])
            session.lookup([7])
            session.lookup([8])
        assert any(kind is Kind.ERROR for connection in crowd[:5] for kind, _ in read_frames(connection))
        with ends_soon(process, signal.SIGTERM):
            pass


def bounded(descriptors: int) -> object:
    """Popen whose process may have so many files open."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    class Bounded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **words: object) -> None:
            super().__init__(*arguments, preexec_fn=limit, **words)  # type: ignore[call-overload]

    return Bounded
