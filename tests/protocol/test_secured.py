"""Clients of TLS that are odd: nobody waits for them, and each is told or shown out."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.channel import Channel
from protocol.client import connect, look_up
from protocol.errors import ProtocolError
from protocol.frames import Kind, encode_frame
from protocol.limits import Limits
from protocol.lobby import MAX_SECURED_BYTES
from protocol.meter import Meter
from protocol.secured import SecuredSocket
from protocol.seeds import SeedRecord
from protocol.tls import Tls, client_context, secured
from tests.protocol.serving import Running, hello, prepared, serving

pytest.importorskip("openfhe")
authority = pytest.importorskip("tests.protocol.authority", exc_type=ImportError)
crafted = pytest.importorskip("tests.protocol.crafted", exc_type=ImportError)

CROWD = "127.0.0.2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    ours = authority.Authority(tmp_path_factory.mktemp("certificates"), "ours")
    names: dict[str, Any] = {name: ours.signed(name) for name in ("reader", "writer")}
    return {**names, "ca": ours.certificate, "server": ours.signed("server", "127.0.0.1")}


@pytest.fixture(scope="module")
def running(made: dict[str, Any]) -> Iterator[Running]:
    ready = prepared(executed("fastquery", Table(300, 24)), Limits(clients=16, timeout_s=20.0))
    with serving(ready, tls=Tls.server(*made["server"], made["ca"], ("reader",))) as served:
        yield served


@pytest.fixture
def reader(made: dict[str, Any]) -> ssl.SSLContext:
    return client_context(made["ca"], *made["reader"])


def answered(running: Running, context: ssl.SSLContext) -> None:
    with closing(Channel(connect("127.0.0.1", running.port, context), Meter("client"), 20.0)) as channel:
        look_up(channel, Meter("client"), [7], False, SeedRecord())


def odd(running: Running, context: ssl.SSLContext, folder: Path) -> Any:
    return crafted.Crafted(running.connect(CROWD), context, folder / "keys")


@pytest.mark.parametrize("asked", [False, True])
def test_key_updates_in_place_of_a_hello_are_shown_out(
    running: Running, reader: ssl.SSLContext, tmp_path: Path, caplog: pytest.LogCaptureFixture, asked: bool
) -> None:
    client, sent = odd(running, reader, tmp_path), 0
    with client.secured, suppress(OSError):
        for part in client.flood(asked):
            socket.socket.sendall(client.secured, part)
            sent += len(part)
            assert sent < 2**22
    assert any("too many records before the hello" in record.getMessage() for record in caplog.records)
    answered(running, reader)


def test_a_few_key_updates_and_padding_are_taken(running: Running, reader: ssl.SSLContext, tmp_path: Path) -> None:
    client = odd(running, reader, tmp_path)
    parts = [client.key_update(), client.key_update(padding=3000)]
    parts += [client.record(crafted.APPLICATION_DATA, hello()[k : k + 9]) for k in range(0, len(hello()), 9)]
    with client.secured:
        socket.socket.sendall(client.secured, b"".join(parts))
        client.secured.settimeout(20)
        assert client.secured.recv(4)[3] == Kind.PARAMETERS


def refused(connection: socket.socket) -> bool:
    """Whether a server ends a connection without a frame that is no error."""
    with connection, suppress(OSError):
        connection.settimeout(20)
        while part := connection.recv(65536):
            assert Kind.PARAMETERS not in part[3:4]
    return True


def first_flight() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.org").do_handshake()
    return outgoing.read()


FIRST_FLIGHT = first_flight()
GARBAGE = bytes(range(256)) * 8
EARLY_DATA = (b"\x17\x03\x03\x01\x00" + bytes(256)) * 40
A_BYTE_A_RECORD = b"".join(b"\x16\x03\x01\x00\x01" + bytes([byte]) for byte in b"\x01\0\xff\xff" + bytes(2**16))


@pytest.mark.parametrize(
    "said",
    [FIRST_FLIGHT + GARBAGE, FIRST_FLIGHT + EARLY_DATA, FIRST_FLIGHT * 20, A_BYTE_A_RECORD],
    ids=["garbage", "early data", "greetings", "a byte a record"],
)
def test_what_is_no_handshake_is_refused(running: Running, reader: ssl.SSLContext, said: bytes) -> None:
    with ExitStack() as held:
        crowd = [held.enter_context(running.connect(CROWD)) for _ in range(20)]
        for connection in crowd:
            with suppress(OSError):
                connection.sendall(said)
        answered(running, reader)
        assert all(map(refused, crowd))


def test_garbage_after_a_handshake_is_refused(running: Running, reader: ssl.SSLContext, tmp_path: Path) -> None:
    client = odd(running, reader, tmp_path)
    with client.secured:
        socket.socket.sendall(client.secured, GARBAGE)
        with pytest.raises(ssl.SSLError):
            client.secured.recv(1)
    answered(running, reader)


def test_a_chain_of_certificates_that_is_too_long_is_refused(
    running: Running, made: dict[str, Any], reader: ssl.SSLContext, tmp_path: Path
) -> None:
    certificate, key = made["reader"]
    chain = tmp_path / "chain.pem"
    chain.write_text(certificate.read_text() + made["writer"][0].read_text() * (2 * MAX_SECURED_BYTES // 400))
    with pytest.raises((ProtocolError, OSError)):
        answered(running, client_context(made["ca"], chain, key))
    answered(running, reader)


def test_a_token_beside_clients_whose_name_is_not_allowed(
    running: Running, made: dict[str, Any], reader: ssl.SSLContext
) -> None:
    context, over, refusals = client_context(made["ca"], *made["writer"]), threading.Event(), []

    def knock() -> None:
        while not over.is_set():
            with pytest.raises(ProtocolError):
                answered(running, context)
            refusals.append(True)

    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        answered(running, reader)
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=30)
    assert len(refusals) >= 4


def test_handshakes_that_are_begun_and_left_leave_nothing(running: Running, reader: ssl.SSLContext) -> None:
    for number in range(200):
        with running.connect(CROWD) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", number % 2, 0))
            connection.sendall(FIRST_FLIGHT[: 1 + 7 * number])
    answered(running, reader)


def test_a_frame_is_due_in_time_beside_key_updates(
    made: dict[str, Any], reader: ssl.SSLContext, tmp_path: Path
) -> None:
    """They are no message: the time for one does not begin anew with each of them."""
    here, there = socket.socketpair()
    served, over = Tls.server(*made["server"]).secured(here), threading.Event()

    def send() -> None:
        client = crafted.Crafted(there, reader, tmp_path / "keys")
        with client.secured, suppress(OSError):
            for part in client.flood():
                if over.is_set():
                    return
                socket.socket.sendall(client.secured, part)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    channel = Channel(served, Meter("server"), timeout_s=0.5)
    with pytest.raises(ProtocolError, match="did not arrive within the time allowed"):
        channel.receive(Kind.HELLO, 84)
    over.set()
    channel.close()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_handshake_that_drips_is_over_in_time(reader: ssl.SSLContext) -> None:
    """A byte now and then is not a handshake: the timeout is of all of it."""
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03")
            while not over.wait(2e-4):
                connection.sendall(b"\x00")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        connection, started = socket.create_connection(listener.getsockname()), time.monotonic()
        connection.settimeout(0.2)
        ending = threading.Timer(60, over.set)
        ending.start()
        with pytest.raises(ProtocolError, match=r"TLS: .*timed out"):
            secured(connection, reader, "127.0.0.1")
        assert time.monotonic() - started < 3  # 16384 bytes take more than four seconds
        ending.cancel()
        over.set()
        thread.join(timeout=10)


def test_a_message_that_cannot_be_sent_in_time_is_over_in_time(made: dict[str, Any]) -> None:
    with pair(made) as (client, _):
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.sendall(bytes(2**24))


@contextmanager
def pair(made: dict[str, Any]) -> Iterator[tuple[SecuredSocket, SecuredSocket]]:
    """A client's end and a server's, whose handshake is done."""
    ours, theirs = socket.socketpair()
    with (
        SecuredSocket(ours, client_context(made["ca"]), "127.0.0.1") as client,
        SecuredSocket(theirs, Tls.server(*made["server"]).context) as server,
    ):
        for end in (client, server):
            end.settimeout(20)
        thread = threading.Thread(target=client.shake_hands, daemon=True)
        thread.start()
        server.shake_hands()
        thread.join(timeout=20)
        yield client, server


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (lambda client: client.record(crafted.ALERT, b"\x01\0"), "closed the connection"),
        (lambda client: client.record(crafted.ALERT, b"\x02\x28"), "TLS: "),
        (lambda client: client.record(crafted.APPLICATION_DATA, encode_frame(Kind.ERROR, 0, b"so it is")), "so it is"),
        (lambda client: client.record(crafted.APPLICATION_DATA, encode_frame(Kind.QUERY, 0, bytes(9000))), "announces"),
        (lambda client: GARBAGE, "TLS: "),
        (lambda client: b"\x17\x03\x03\xff\xff" + bytes(18), "TLS: record too long"),
    ],
    ids=["farewell", "alert", "error", "another length", "garbage", "too long"],
)
def test_what_is_shorter_than_the_frame_that_is_due_is_seen_at_once(
    made: dict[str, Any], reader: ssl.SSLContext, tmp_path: Path, said: Callable[[Any], bytes], words: str
) -> None:
    """The connection stays open: nothing but these bytes wakes the reader, whose time is longer than the test's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # a pair of Unix sockets wakes for any byte
        there = socket.create_connection(listener.getsockname())
        here, _ = listener.accept()
    with closing(there), Tls.server(*made["server"]).secured(here) as server:
        server.settimeout(20)
        clients: list[Any] = []
        thread = threading.Thread(
            target=lambda: clients.append(crafted.Crafted(there, reader, tmp_path / "keys")), daemon=True
        )
        thread.start()
        server.shake_hands()
        thread.join(timeout=20)
        (client,) = clients
        with client.secured:
            socket.socket.sendall(client.secured, said(client))
            with pytest.raises(ProtocolError, match=words):
                Channel(server, Meter("server"), timeout_s=1000.0, stall_s=1000.0).receive(Kind.QUERY, 100_000)


def test_nothing_passes_by_the_encryption(made: dict[str, Any]) -> None:
    with pair(made) as (client, _):
        for method in (client.sendmsg, client.sendto, client.sendfile, client.recvfrom, client.recvmsg):
            with pytest.raises(NotImplementedError, match="under TLS"):
                method([b"token"])
        with pytest.raises(ValueError, match="flags is 2"):
            client.recv(1, socket.MSG_PEEK)
        with pytest.raises(ValueError, match="flags is 1"):
            client.sendall(b"token", socket.MSG_OOB)


def test_a_reader_leaves_the_socket_as_it_was(made: dict[str, Any]) -> None:
    with pair(made) as (client, server):
        sending = threading.Thread(target=Channel(client, Meter("client")).send, args=(Kind.QUERY, bytes(200_000)))
        sending.start()
        Channel(server, Meter("server")).receive(Kind.QUERY, 200_000)
        sending.join(timeout=20)
        assert server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


@given(
    frames=st.lists(st.integers(1, 40_000), min_size=1, max_size=3),
    cuts=st.lists(st.one_of(st.integers(1, 9), st.integers(1, 40_000)), min_size=1, max_size=12),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_reader_knows_to_the_byte_how_much_has_to_come(
    made: dict[str, Any], frames: list[int], cuts: list[int]
) -> None:
    """Fewer would wake it for each segment of a slow link, and more would let it sleep for good."""
    turns = cycle([*cuts, 999])
    with ExitStack() as held:
        ends = [held.enter_context(end) for _ in range(2) for end in socket.socketpair()]
        for end in ends:
            end.setblocking(False)
        here, there, wire, far = ends
        client = held.enter_context(SecuredSocket(here, client_context(made["ca"]), "127.0.0.1"))
        server = held.enter_context(Tls.server(*made["server"]).secured(far))
        for _ in range(4):  # flights of the handshake, and one more
            for party in (client, server):
                with suppress(BlockingIOError, ssl.SSLWantReadError):
                    party.do_handshake()
            for source, sink in ((there, wire), (wire, there)):
                with suppress(BlockingIOError):
                    sink.sendall(source.recv(65536))
        for length in frames:
            client.sendall(bytes(length))
            sent, read, buffer = there.recv(2**20), 0, bytearray(length)
            while read < length:
                assert server.lacking_bytes(length - read) == len(sent)
                cut = next(turns)
                wire.sendall(sent[:cut])
                sent = sent[cut:]
                with suppress(BlockingIOError, ssl.SSLWantReadError):
                    while read < length:
                        read += server.recv_into(memoryview(buffer)[read:])


class Counted(SecuredSocket):
    """Counts how often it is asked for bytes."""

    asked = 0

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.asked += 1
        return super().recv_into(buffer, nbytes, flags)


def test_a_reader_of_a_slow_link_sleeps_through_its_segments(made: dict[str, Any]) -> None:
    length, segment = 131072, 1448
    with ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        near = [held.enter_context(socket.create_connection(one.getsockname())) for one in listeners]
        here, wire = near
        there, far = (held.enter_context(one.accept()[0]) for one in listeners)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def pass_on(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):
                while part := source.recv(segment):
                    sink.sendall(part)
                    time.sleep(1e-4)

        def send() -> None:
            secured = held.enter_context(SecuredSocket(here, client_context(made["ca"]), "127.0.0.1"))
            secured.shake_hands()
            Channel(secured, Meter("client")).send(Kind.QUERY, bytes(length))

        for end in (here, far):
            end.settimeout(30)
        threads = [threading.Thread(target=pass_on, args=ends, daemon=True) for ends in ((there, wire), (wire, there))]
        threads.append(threading.Thread(target=send, daemon=True))
        for thread in threads:
            thread.start()
        server = held.enter_context(Counted(far, Tls.server(*made["server"]).context))
        server.shake_hands()
        assert Channel(server, Meter("server"), timeout_s=30.0).receive(Kind.QUERY, length) == bytes(length)
        assert server.asked <= 12  # of 91 segments
        for end in (there, wire):
            end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(timeout=10)
            assert not thread.is_alive()
