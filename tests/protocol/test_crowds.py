"""An honest client of one address beside a crowd of another: answered soon, and memory within its bound."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.channel import Channel
from protocol.client import look_up
from protocol.errors import ProtocolError
from protocol.frames import Kind, encode_frame
from protocol.hello import Hello
from protocol.limits import Limits
from protocol.lookup import MAX_PREPARATIONS, ClientSession
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from tests.protocol.serving import Running, hello, prepared, read_frames, serving
from tests.waiting import PATIENCE_S, wait_until

pytest.importorskip("openfhe")

CROWD, HONEST = "127.0.0.2", "127.0.0.1"
CONFIGURATION = executed("fastquery", Table(4096, 96))
LIMITS = Limits(clients=16, timeout_s=60.0, workers=2)
SOON_S = 45.0
"""Behind a crowd an honest client would wait until the crowd's time is over; beside it, milliseconds to a second."""


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(prepared(CONFIGURATION, LIMITS)) as served:
        served.opens([1])
        yield served


class Recorder(Channel):
    """A client's channel that keeps what is sent."""

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        self.__dict__.setdefault("frames", []).append((kind, bytes(body)))
        super().send(kind, body)


def recorded(running: Running, tokens: int) -> list[tuple[Kind, bytes]]:
    channel = Recorder(running.connect(HONEST), Meter("client"), PATIENCE_S)
    look_up(channel, Meter("client"), [k % 4096 for k in range(tokens)], False, SeedRecord())
    channel.close()
    return list(channel.__dict__["frames"])


def replayed(connection: socket.socket, frames: list[tuple[Kind, bytes]]) -> threading.Thread:
    """A session's messages with other seeds, so that it is computed on, for as long as the server takes them."""

    def run() -> None:
        with suppress(OSError):
            for number, (kind, body) in enumerate(frames):
                plain = kind in (Kind.HELLO, Kind.LOOKUP, Kind.PREPARATION)
                fresh = body if plain else secrets.token_bytes(32) + body[32:]
                connection.sendall(encode_frame(kind, number, fresh))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def answered_s(running: Running) -> float:
    start = time.monotonic()
    assert running.opens([7], HONEST)
    return time.monotonic() - start


@pytest.mark.parametrize("said", [b"", hello()[:5], hello(), hello(1024)], ids=["nothing", "half", "one", "most"])
def test_a_token_beside_connections_that_say_hello_or_less(running: Running, said: bytes) -> None:
    with ExitStack() as held:
        for _ in range(120):
            held.enter_context(running.connect(CROWD)).sendall(said)
        assert answered_s(running) < SOON_S
        wait_until(lambda: running.service.admission.memory.held_bytes < 2**20)  # once the answered one has left


def test_a_token_beside_half_sessions(running: Running) -> None:
    frames = recorded(running, 1)[:2]
    with ExitStack() as held:
        for _ in range(40):
            replayed(held.enter_context(running.connect(CROWD)), frames)
        memory = running.service.admission.memory
        wait_until(lambda: memory.held_bytes > 2**20)
        assert answered_s(running) < SOON_S
        assert memory.held_bytes <= LIMITS.address_bytes


def test_a_token_does_not_wait_for_batches(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(prepared(CONFIGURATION, LIMITS)) as served, ExitStack() as held:
        frames = recorded(served, 256)
        for _ in range(6):
            replayed(held.enter_context(served.connect(CROWD)), frames)
        wait_until(lambda: served.service.admission.turns.waiting > 0)
        caplog.clear()
        answered_s(served)
        finished = [record.getMessage() for record in caplog.records if "token(s)" in record.getMessage()]
        assert len(finished) == 1
        assert "1 token(s)" in finished[0]


def test_an_address_has_a_part_of_the_places_and_a_part_of_the_queue(running: Running) -> None:
    with ExitStack() as held:
        crowd = [held.enter_context(running.connect(CROWD)) for _ in range(LIMITS.address_clients + 65)]
        for connection in crowd:
            connection.sendall(hello())
        wait_until(lambda: running.service.queued == 64)
        refused = [(kind, body) for kind, body in read_frames(crowd[-1]) if kind is Kind.ERROR]
        assert b"full for your address" in refused[0][1]


def test_queues_that_a_few_addresses_fill_have_a_place_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.service.MAX_VISITORS", 32)  # 4 in the queue of an address
    monkeypatch.setattr("protocol.limits.SHORTEST_PATIENCE_S", 1.0)
    with serving(prepared(CONFIGURATION, Limits(clients=4, timeout_s=300.0))) as served, ExitStack() as held:
        served.opens([1])
        for number in range(2, 10):
            for _ in range(5):
                held.enter_context(served.connect(f"127.0.0.{number}")).sendall(hello())
        wait_until(lambda: served.service.queued >= 32)
        assert answered_s(served) < SOON_S
        assert served.service.queued > 0


def test_a_system_that_grants_no_thread_leaves_a_client_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(prepared(CONFIGURATION, LIMITS)) as served:
        start, refused = threading.Thread.start, []

        def grudging(thread: threading.Thread) -> None:
            if thread.name == "session" and len(refused) < 3:
                refused.append(thread)
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", grudging)
        assert served.opens([1])
        assert len(refused) == 3


def test_crowds_of_many_addresses_are_shown_out_where_others_wait() -> None:
    limits = Limits(clients=8, timeout_s=300.0, workers=2)
    with serving(prepared(CONFIGURATION, limits)) as served, ExitStack() as held:
        served.opens([1])
        for number in range(2, 10):
            for _ in range(2):
                held.enter_context(served.connect(f"127.0.0.{number}")).sendall(hello())
        wait_until(lambda: served.service.queued >= 8)
        assert answered_s(served) < SOON_S


def test_a_hello_for_more_rows_than_are_allowed_is_refused() -> None:
    ready = prepared(CONFIGURATION, Limits(clients=8, max_tokens=4))
    with serving(ready) as served:
        assert served.opens([1, 2, 3, 4])
        with pytest.raises(ProtocolError, match="asks for 5 tokens; 1 to 4"):
            served.opens([1, 2, 3, 4, 5])


def test_parameters_are_made_in_a_turn() -> None:
    """An address that greets over and over computes no more than its part."""
    with serving(prepared(CONFIGURATION, LIMITS)) as served, served.connect(CROWD) as connection:
        turns = served.service.admission.turns
        for _ in range(LIMITS.workers):
            turns.take("192.0.2.1")
        connection.sendall(hello())
        wait_until(lambda: turns.waiting == 1)
        for _ in range(LIMITS.workers):
            turns.give_back("192.0.2.1", 0.0)
        assert connection.recv(1)


def test_a_service_stops_in_the_middle_of_a_batch() -> None:
    with serving(prepared(CONFIGURATION, LIMITS)) as served:
        frames = recorded(served, 128)
        with served.connect(CROWD) as batch, served.connect(CROWD) as idle, served.connect(CROWD) as silent:
            thread = replayed(batch, frames)
            idle.sendall(hello())
            wait_until(lambda: served.service.admission.memory.held_bytes > 2**20)
            thread.join(timeout=PATIENCE_S)
            served.service.stop()
            said = [read_frames(connection)[-1:] for connection in (batch, idle, silent)]
        assert [(kind, b"stopping" in body) for ((kind, body),) in said] == [(Kind.ERROR, True)] * 3


def test_a_token_beside_clients_that_do_not_read_their_answers() -> None:
    with serving(prepared(CONFIGURATION, LIMITS)) as served, ExitStack() as held:
        frames = recorded(served, 32)
        # What the system takes of an answer is less than the answer; connections have it of the listener.
        served.service._lobby._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        guests, workspaces = served.service._guests, served.service.admission.workspaces
        for _ in range(LIMITS.address_clients):
            connection = held.enter_context(served.connect(CROWD))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            replayed(connection, frames)
        wait_until(lambda: any(guest.channel and guest.channel.sending for guest in list(guests.values())))
        assert answered_s(served) < SOON_S
        assert 0 < workspaces.held_bytes <= workspaces.most_bytes


def test_a_token_beside_preparations_that_are_ordered_and_left() -> None:
    configuration = executed("fastquery", Table(4096, 96), prepared=True)
    with serving(prepared(configuration, LIMITS)) as served, ExitStack() as held:
        channel = Recorder(served.connect(HONEST), Meter("client"), PATIENCE_S)
        session = ClientSession.open(channel, Meter("client"), 4, False, SeedRecord())
        for _ in range(MAX_PREPARATIONS):
            session.prepare(4)
        session.wait_prepared()
        session.end()
        channel.close()
        memory = served.service.admission.memory
        for number in range(12):
            connection = held.enter_context(served.connect(CROWD))
            thread = replayed(connection, channel.__dict__["frames"][:-1])
            if number % 2:
                thread.join(timeout=PATIENCE_S)
                connection.close()
        assert answered_s(served) < SOON_S
        assert memory.held_bytes <= memory.address_bytes
        held.close()
        wait_until(lambda: memory.held_bytes == 0 and served.service.admission.workspaces.held_bytes == 0)


def test_a_token_beside_a_thousand_resumptions_of_nothing(running: Running) -> None:
    refused = 0
    for number in range(1000):
        greeting = Hello(secrets.token_bytes(12), 1, secrets.token_bytes(32), secrets.token_bytes(32), 1 + number)
        with running.connect(CROWD) as connection:
            connection.sendall(encode_frame(Kind.HELLO, 0, greeting.encode()))
            refused += any(b"cannot be resumed" in body for kind, body in read_frames(connection) if kind is Kind.ERROR)
    assert refused == 1000
    assert answered_s(running) < SOON_S


HTTP, TLS, OLD_TLS = b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x80\x2e\x01\x00\x02"


@pytest.mark.parametrize("said", [HTTP, TLS, OLD_TLS], ids=["http", "tls", "old tls"])
def test_a_token_beside_a_crowd_that_speaks_something_else(running: Running, said: bytes) -> None:
    with ExitStack() as held:
        crowd = [held.enter_context(running.connect(CROWD)) for _ in range(300)]
        for connection in crowd:
            connection.sendall(said)
        assert answered_s(running) < SOON_S
        ((kind, _),) = read_frames(crowd[-1])
        assert kind is Kind.ERROR
