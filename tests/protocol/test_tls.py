"""TLS between the parties: rows as without, and one clear line on both sides where it cannot be."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from costmodel.tls import handshake_bytes, record_overhead_bytes
from fastquery.cli import main
from fastquery.queries import query
from protocol.channel import Channel
from protocol.client import connect, look_up
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.limits import Limits
from protocol.meter import Meter
from protocol.requirements import Requirements
from protocol.seeds import SeedRecord
from protocol.tls import Tls, client_context
from tests.protocol.serving import Running, prepared, serving
from tests.waiting import PATIENCE_S, wait_until

pytest.importorskip("openfhe")
authority = pytest.importorskip("tests.protocol.authority", exc_type=ImportError)

TABLE = Table(300, 96)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("certificates")
    ours, others = authority.Authority(folder, "ours"), authority.Authority(folder, "others")
    return {
        "ca": ours.certificate,
        "other ca": others.certificate,
        "server": ours.signed("server", "127.0.0.1"),
        "elsewhere": ours.signed("elsewhere", "192.0.2.1"),
        "expired server": ours.signed("expired-server", "127.0.0.1", expired=True),
        "reader": ours.signed("reader"),
        "writer": ours.signed("writer"),
        "spoofer": ours.signed("spoofer", common="reader"),
        "placed": ours.signed("reader", "192.0.2.1"),
        "named reader": ours.signed("reader", common="somebody"),
        "expired": ours.signed("expired", expired=True),
        "stranger": others.signed("stranger"),
    }


@pytest.fixture(scope="module")
def ready() -> Running:
    return prepared(executed("fastquery", TABLE), Limits(clients=8, timeout_s=60.0))


@pytest.fixture
def mutual(ready: Running, made: dict[str, Any]) -> Iterator[Running]:
    """A server that talks to the reader alone."""
    with serving(ready, tls=Tls.server(*made["server"], made["ca"], ("reader",))) as served:
        yield served


def looked_up(port: int, context: ssl.SSLContext | None) -> Meter:
    meter = Meter("client")
    with closing(Channel(connect("127.0.0.1", port, context), meter, PATIENCE_S)) as channel:
        look_up(channel, meter, [7], False, SeedRecord())
    return meter


def test_rows_and_ledgers_are_those_without(mutual: Running, made: dict[str, Any], tmp_path: Path) -> None:
    result = query(
        f"127.0.0.1:{mutual.port}",
        [7, 299],
        requirements=Requirements(),
        check="300x96",
        seeds=tmp_path / "seeds.sqlite",
        tls=client_context(made["ca"], *made["reader"]),
    )
    assert (result.mismatches, result.agrees) == (0, True)


CLIENTS: list[tuple[str, str | None, str]] = [
    ("ca", None, "certificate required"),
    ("ca", "writer", "certificate of writer is not of an allowed name"),
    ("ca", "spoofer", "certificate of spoofer is not of an allowed name"),
    ("ca", "placed", "certificate of nobody is not of an allowed name"),
    ("ca", "server", "certificate of nobody is not of an allowed name"),
    ("ca", "expired", "certificate expired"),
    ("ca", "stranger", "unknown ca"),
    ("other ca", "reader", "the peer's certificate is refused"),
]


@pytest.mark.parametrize(("authority", "own", "words"), CLIENTS)
def test_a_client_that_is_not_allowed_gets_one_line_and_no_parameters(
    mutual: Running, made: dict[str, Any], caplog: pytest.LogCaptureFixture, authority: str, own: str | None, words: str
) -> None:
    context = client_context(made[authority], *(made[own] if own else ()))
    with pytest.raises(ProtocolError, match=words) as raised:
        looked_up(mutual.port, context)
    assert "\n" not in str(raised.value)
    wait_until(lambda: caplog.records)
    (logged,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "refused" in logged
    assert "\n" not in logged
    assert mutual.service.sessions == 0


@pytest.mark.parametrize(("server", "words"), [("elsewhere", "IP address mismatch"), ("expired server", "has expired")])
def test_a_server_that_is_not_who_it_should_be_gets_no_hello(
    ready: Running, made: dict[str, Any], server: str, words: str
) -> None:
    with serving(ready, tls=Tls.server(*made[server])) as served:
        with pytest.raises(ProtocolError, match=words):
            looked_up(served.port, client_context(made["ca"]))
        assert served.service.sessions == 0


def test_a_client_in_the_clear_is_told_that_it_needs_tls(mutual: Running, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ProtocolError, match="peer reports: this server speaks TLS alone"):
        looked_up(mutual.port, None)
    wait_until(lambda: caplog.records)  # the client is told first
    assert [record.getMessage().partition("refused: ")[2] for record in caplog.records] == [
        "this server speaks TLS alone: query with --tls-ca"
    ]


def test_a_client_of_tls_at_a_server_in_the_clear_is_told(ready: Running, made: dict[str, Any]) -> None:
    with serving(ready) as served, pytest.raises(ProtocolError, match=r"TLS: .*; does the peer speak TLS"):
        looked_up(served.port, client_context(made["ca"]))


def test_nothing_older_than_tls_1_3_is_spoken(mutual: Running, made: dict[str, Any]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(made["ca"])
    with pytest.raises(ProtocolError, match=r"TLS: .*version"):
        looked_up(mutual.port, context)


def test_an_alternative_name_is_a_name(mutual: Running, made: dict[str, Any]) -> None:
    looked_up(mutual.port, client_context(made["ca"], *made["named reader"]))


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00"])
def test_peers_that_break_off_in_their_first_bytes_leave_the_service_whole(
    mutual: Running, made: dict[str, Any], said: bytes
) -> None:
    """Some are gone between two calls: after the lobby has seen a byte of them, before TLS takes their socket."""
    for number in range(150):
        connection = mutual.connect("127.0.0.2")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(said)
        connection.close()
        if number % 3 == 0:
            time.sleep(0.003)
    looked_up(mutual.port, client_context(made["ca"], *made["reader"]))


def test_a_peer_that_reads_a_record_at_a_time_does_not_stretch_the_time_of_a_frame(made: dict[str, Any]) -> None:
    here, there = socket.socketpair()
    for end in (here, there):
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, buffer, 4096)
    context, over = client_context(made["ca"]), threading.Event()

    def read_slowly() -> None:
        with suppress(OSError), context.wrap_socket(there, server_hostname="127.0.0.1") as secured:
            while not over.wait(0.15):
                secured.recv(16384)

    reader = threading.Thread(target=read_slowly, daemon=True)
    reader.start()
    served = Tls.server(*made["server"]).secured(here)
    served.shake_hands()
    channel = Channel(served, Meter("server"), patience_s=0.6)
    with pytest.raises(ProtocolError, match="peer does not take"):
        channel.send(Kind.ANSWER, bytes(2**20))  # 64 records, of which each alone is in time
    channel.close()
    over.set()
    reader.join(timeout=PATIENCE_S)


@pytest.mark.parametrize("length", [1, 16383, 16384, 16385, 49140, 49160, 65536, 100_001])
def test_a_frame_that_comes_in_any_parts_is_read_to_its_end(made: dict[str, Any], length: int) -> None:
    certificate, key = made["server"]
    client, server = client_context(made["ca"]), Tls.server(certificate, key)
    here, there = socket.socketpair()
    wire, far = socket.socketpair()
    sent = bytes(range(256)) * (length // 256 + 1)

    def send() -> None:
        with suppress(OSError), client.wrap_socket(here, server_hostname="127.0.0.1") as secured:
            Channel(secured, Meter("client")).send(Kind.QUERY, sent[:length])
            secured.recv(1)  # stays until the other side has read

    def pass_on(source: socket.socket, sink: socket.socket, least: int) -> None:
        """In parts of three sizes, each of them there before the next."""
        with suppress(OSError):
            while part := source.recv(least + 977):
                for cut in (part[:5], part[5:-3], part[-3:]):
                    sink.sendall(cut)
                    time.sleep(1e-4)

    threads = [
        threading.Thread(target=run, daemon=True)
        for run in (send, partial(pass_on, there, wire, 8000), partial(pass_on, wire, there, 8000))
    ]
    for thread in threads:
        thread.start()
    with server.secured(far) as secured:
        secured.shake_hands()
        assert Channel(secured, Meter("server"), timeout_s=30.0).receive(Kind.QUERY, length) == sent[:length]
    for one in (there, wire):
        one.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(timeout=10)
    for one in (there, wire, here):
        one.close()


def test_half_handshakes_keep_nobody_waiting(mutual: Running, made: dict[str, Any]) -> None:
    context = client_context(made["ca"], *made["reader"])
    held = [mutual.connect("127.0.0.2") for _ in range(60)]
    for connection in held:
        connection.sendall(b"\x16\x03\x01")
    start = time.monotonic()
    looked_up(mutual.port, context)
    assert time.monotonic() - start < 60.0  # the handshakes have ten seconds each
    for connection in held:
        connection.close()


class Counting:
    """Passes bytes on, and counts them."""

    def __init__(self, port: int) -> None:
        self.up, self.down = 0, 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._target))
        back = threading.Thread(target=self._carry, args=(far, near, "down"), daemon=True)
        back.start()
        self._carry(near, far, "up")
        back.join(timeout=PATIENCE_S)
        for connection in (near, far, self._listener):
            connection.close()

    def _carry(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        while part := source.recv(65536):
            setattr(self, way, getattr(self, way) + len(part))
            sink.sendall(part)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def total(self) -> int:
        self._thread.join(timeout=PATIENCE_S)
        assert not self._thread.is_alive()
        return self.up + self.down


def carried_bytes(served: Running, context: ssl.SSLContext | None) -> int:
    between = Counting(served.port)
    looked_up(between.port, context)
    return between.total()


@pytest.mark.parametrize("asked", [False, True])
def test_added_bytes_are_priced(ready: Running, made: dict[str, Any], asked: bool) -> None:
    """What records add to the frames of both ledgers, and the handshake with its certificates."""
    with serving(ready) as served:
        _, report, _ = served.look_up([7])
        plain = carried_bytes(served, None)
    with serving(ready, tls=Tls.server(*made["server"], made["ca"] if asked else None)) as served:
        context = client_context(made["ca"], *(made["reader"] if asked else ()))
        added = carried_bytes(served, context) - plain
        frames = [row for row in (*looked_up(served.port, context).rows(), *report) if row["kind"] == "transfer"]
    records = sum(row["count"] * record_overhead_bytes(row["bytes"] // row["count"]) for row in frames)
    ours, server, reader = (
        len(ssl.PEM_cert_to_DER_cert(path.read_text())) for path in (made["ca"], made["server"][0], made["reader"][0])
    )
    # A server that knows the authority of its certificate sends that one's too.
    priced = handshake_bytes(server + ours, reader + ours) if asked else handshake_bytes(server)
    assert abs(added - records - priced) < 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "0.0.0.0:0"], "give tls-cert and tls-key, or say --plaintext"),
        (["--listen", "127.0.0.1:0", "--tls-cert", "server.pem"], "go together"),
        (["--listen", "127.0.0.1:0", "--allow", "reader"], "client-ca and allow go with"),
        (
            ["--listen", "127.0.0.1:0", "--tls-cert", "none.pem", "--tls-key", "none.key"],
            "must be a certificate and its key",
        ),
    ],
)
def test_options_that_leave_the_port_open_are_refused(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["serve", "--table", "300x96", *options]))
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
