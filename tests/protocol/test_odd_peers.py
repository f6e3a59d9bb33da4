"""Peers that are odd below the protocol: sockets half closed, bytes that dribble, descriptors used up, signals."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.alignment.session import NoAlignment
from protocol.channel import Channel
from protocol.client import look_up
from protocol.errors import ProtocolError
from protocol.frames import Kind, encode_frame
from protocol.limits import Limits
from protocol.lookup import ClientSession
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from tests.protocol.serving import Running, hello, prepared, read_frames, serving
from tests.waiting import wait_until

pytest.importorskip("openfhe")

CROWD = "127.0.0.2"
LIMITS = Limits(clients=16, timeout_s=20.0, workers=2)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    ready = prepared(executed("fastquery", Table(300, 24), align_bits=20), LIMITS)
    with serving(ready) as served:
        yield served


class Recorder(Channel):
    """A client's channel that keeps what is sent."""

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        self.__dict__.setdefault("frames", []).append((kind, bytes(body)))
        super().send(kind, body)


def fresh(kind: Kind, body: bytes) -> bytes:
    """A body with another seed: the service takes none twice."""
    return secrets.token_bytes(32) + body[32:] if kind in (Kind.KEYS, Kind.QUERY) else body


def answered(running: Running, address: str = "127.0.0.1") -> None:
    channel, meter = running.channel(address)
    with closing(channel):
        look_up(channel, meter, [7], False, SeedRecord())


@pytest.mark.parametrize("count", [400, pytest.param(2500, marks=pytest.mark.slow)])
def test_thousands_of_connections_that_are_reset_at_once(running: Running, count: int) -> None:
    over = threading.Event()

    def reset(source: str) -> None:
        for number in range(count):
            if over.is_set():
                return
            with suppress(OSError), running.connect(source) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(hello()[: number % 120])

    threads = [threading.Thread(target=reset, args=(f"127.0.0.{k + 2}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    try:
        answered(running)
        for thread in threads:
            thread.join(timeout=120)
            assert not thread.is_alive()
    finally:
        over.set()
    answered(running)


@pytest.mark.parametrize("said", [b"", hello()[:50], hello()], ids=["nothing", "half", "hello"])
def test_sockets_that_are_half_closed_end_at_once(running: Running, said: bytes) -> None:
    with running.connect(CROWD) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        assert {kind for kind, _ in read_frames(connection)} <= {Kind.PARAMETERS, Kind.ERROR}


def test_a_botnet_leaves_a_place_to_whoever_comes(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place passes on after the shortest patience, to one address after the other."""
    monkeypatch.setattr("protocol.limits.SHORTEST_PATIENCE_S", 0.5)
    with ExitStack() as held:
        for number in range(2, 130):
            for _ in range(3):
                with suppress(OSError):
                    held.enter_context(running.connect(f"127.0.1.{number}")).sendall(hello()[: 84 + number % 2 * 16])
        answered(running)
        assert running.service.queued > 0
        assert running.service.admission.memory.held_bytes <= LIMITS.memory_bytes


WRONG: list[tuple[str, list[tuple[Kind, int]]]] = [
    ("carry corrections frame announces", [(Kind.CARRY_CORRECTIONS, -1)]),
    ("carry corrections frame announces", [(Kind.CARRY_CORRECTIONS, 1)]),
    ("expected a frame of kind 'carry corrections', got 'ot extension'", [(Kind.OT_EXTENSION, 0)]),
    ("expected a frame of kind 'carry corrections', got 'base ot choices'", [(Kind.BASE_OT_CHOICES, 0)]),
    ("expected a frame of kind 'carry corrections', got 'lookup'", [(Kind.LOOKUP, 0)]),
]


@pytest.mark.parametrize(("words", "sent"), WRONG)
def test_transfers_of_a_wrong_size_or_order_end_a_lookup(
    running: Running, monkeypatch: pytest.MonkeyPatch, words: str, sent: list[tuple[Kind, int]]
) -> None:
    channel, meter = running.channel()
    with closing(channel):
        session = ClientSession.open(channel, meter, 1, False, SeedRecord())
        send = channel.send

        def other(kind: Kind, body: bytes | memoryview) -> None:
            if kind is not Kind.CARRY_CORRECTIONS:
                return send(kind, body)
            for instead, more in sent:
                send(instead, (bytes(body) + b"\0")[: len(body) + more])
            return channel.receive_error()

        monkeypatch.setattr(channel, "send", other)
        with pytest.raises(ProtocolError, match=words):
            session.lookup([7])
    answered(running)


def test_a_client_that_leaves_in_an_alignment_leaves_nothing_of_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, meter = running.channel()
    with closing(channel):
        session = ClientSession.open(channel, meter, 1, False, SeedRecord())

        def leave(*_: object) -> None:
            raise ProtocolError("gone")

        monkeypatch.setattr("protocol.alignment.carries.AlignmentClient.align", leave)
        with pytest.raises(ProtocolError, match="gone"):
            session.lookup([7])
    name = session.greeter.hello.session
    wait_until(lambda: name in running.server.parked._entries)
    assert isinstance(running.server.parked._entries[name].session._aligner, NoAlignment)


def test_a_channel_of_any_descriptor_tells_whether_something_arrived() -> None:
    here, there = socket.socketpair()
    with there, socket.socket(fileno=fcntl.fcntl(here.detach(), fcntl.F_DUPFD, 1500)) as far:
        channel = Channel(far, Meter("server"))
        assert not channel.readable
        there.sendall(b"F")
        assert channel.readable


def test_a_process_out_of_descriptors_refuses_and_lives_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors leave some to the records of lookups, and the crowd's places are given to others."""
    monkeypatch.setattr("protocol.limits.SHORTEST_PATIENCE_S", 0.5)
    used = max(map(int, os.listdir("/proc/self/fd")))
    monkeypatch.setattr(running.service._lobby, "_highest", used + 40)
    with ExitStack() as held:
        # The clients' own ends are of this process, too: they are moved out of the way.
        for number in range(300):
            connection = held.enter_context(running.connect(f"127.0.0.{2 + number % 5}"))
            far = fcntl.fcntl(connection.detach(), fcntl.F_DUPFD, used + 2000 + number)
            held.enter_context(socket.socket(fileno=far)).sendall(hello()[: 50 + number % 2 * 50])
        served = [*running.service._lobby._visitors, *running.service._guests]
        assert max((connection.fileno() for connection in served), default=-1) < used + 40
        # Where the crowd has greeted, its descriptors are free once it was shown out; whoever comes before is told.
        deadline, refused = time.monotonic() + 60, True
        while refused and time.monotonic() < deadline:
            with suppress(ProtocolError):
                answered(running)
                refused = False
        assert not refused
    answered(running)


def dribbled(connection: socket.socket, frames: list[bytes], over: threading.Event) -> None:
    with suppress(OSError):
        for frame in frames:
            for k in range(len(frame)):
                connection.sendall(frame[k : k + 1])
                if over.wait(0.05):
                    return


def test_a_token_beside_clients_that_write_a_byte_at_a_time(running: Running) -> None:
    over = threading.Event()
    with ExitStack() as held:
        held.callback(over.set)
        for _ in range(LIMITS.address_clients + 8):
            connection = held.enter_context(running.connect(CROWD))
            threading.Thread(target=dribbled, args=(connection, [hello(), bytes(4096)], over), daemon=True).start()
        answered(running)


@pytest.mark.parametrize("phase", ["hello", "keys", "query", "answer", "idle", "again"])
def test_a_service_stops_in_every_phase(running: Running, phase: str) -> None:
    with serving(prepared(running.configuration, LIMITS)) as served:
        recorder = Recorder(served.connect(), Meter("client"), 60.0)
        with closing(recorder):
            look_up(recorder, Meter("client"), [1], False, SeedRecord())
            recorded = list(enumerate(recorder.__dict__["frames"]))
            frames = [encode_frame(kind, number, fresh(kind, body)) for number, (kind, body) in recorded]
            whole = {"hello": 0, "keys": 1, "query": 3, "answer": 4, "idle": 2, "again": 3}[phase]
            last = b"" if phase in ("idle", "answer") else frames[whole][: len(frames[whole]) // 2]
            with served.connect(CROWD) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                connection.sendall(b"".join(frames[:whole]) + last)
                time.sleep(0.1)
                started = time.monotonic()
                served.service.stop()
                if phase == "again":
                    served.service.stop()
                kinds = [kind for kind, _ in read_frames(connection)]
                assert time.monotonic() - started < 5.0  # half a second on an idle machine; patience is four times this
                assert phase == "answer" or kinds[-1] is Kind.ERROR
