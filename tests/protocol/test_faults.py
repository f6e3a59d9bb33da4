"""What a hostile, broken or slow peer gets: a reason or a timeout; and what everybody else gets: service."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.parameters import Ring, Table
from costmodel.systems import executed
from fastquery.queries import DoesNotDecrypt, query
from protocol.channel import Channel
from protocol.client import look_up
from protocol.compact.client import ResidueClient
from protocol.errors import ProtocolError
from protocol.frames import HEADER, MAX_BODY_BYTES, VERSION, Kind, encode_frame
from protocol.limits import Limits
from protocol.lobby import GREETING_BYTES, MAX_VISITORS
from protocol.meter import Meter
from protocol.openfhe.parties import OpenFHEClient
from protocol.openfhe.products import ProductPlan
from protocol.openfhe.ring import OpenFHERing
from protocol.parameters_message import JSON_BYTES, decode_parameters, encode_parameters
from protocol.requirements import Requirements
from protocol.seeds import SeedRecord
from tests.protocol.serving import Running, hello, prepared, read_frames, serving
from tests.waiting import wait_until

pytest.importorskip("openfhe")

CONFIGURATION = executed("fastquery", Table(300, 192))
PATIENCE_S = 0.6


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(prepared(CONFIGURATION, Limits(clients=16, timeout_s=60.0))) as served:
        yield served


@pytest.fixture(scope="module")
def impatient() -> Iterator[Running]:
    with serving(prepared(CONFIGURATION, Limits(clients=16, timeout_s=PATIENCE_S))) as served:
        yield served


@dataclass(frozen=True)
class Recording:
    """Frames of a client: kind and body of each, in order."""

    frames: tuple[tuple[Kind, bytes], ...]

    def encoded(self) -> list[bytes]:
        return [encode_frame(kind, k, body) for k, (kind, body) in enumerate(self.frames)]


class RecordingChannel(Channel):
    """A client's channel that keeps what is sent."""

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        self.__dict__.setdefault("frames", []).append((kind, bytes(body)))
        super().send(kind, body)


def record(running: Running) -> Recording:
    meter = Meter("client")
    channel = RecordingChannel(running.connect(), meter, 60.0)
    look_up(channel, meter, [7], False, SeedRecord())
    channel.close()
    return Recording(tuple(channel.__dict__["frames"]))


@pytest.fixture(scope="module")
def recording(running: Running) -> Recording:
    return record(running)


def reply(running: Running, sent: bytes, leave: bool = True) -> list[tuple[Kind, bytes]]:
    """What a server says to these bytes, until it closes."""
    with running.connect() as connection:
        try:
            connection.sendall(sent)
            if leave:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        return read_frames(connection)


def greets(running: Running) -> bool:
    """Whether a new client gets the server's parameters, before what others do has taken their whole time."""
    start = time.monotonic()
    with running.connect() as connection:
        connection.sendall(hello())
        greeted = connection.recv(4)[3] == Kind.PARAMETERS
    return greeted and time.monotonic() - start < 45.0


def reason(frames: list[tuple[Kind, bytes]]) -> str:
    assert frames, "the server said nothing"
    kind, body = frames[-1]
    assert kind is Kind.ERROR
    return body.decode()


def of_other_context(frames: Recording) -> bytes:
    """Keys of a ring with other primes, in place of this session's."""
    other = executed("fastquery", CONFIGURATION.table, ring={"degree": 4096, "limb_bits": (50, 50)})
    (keys,) = ResidueClient(other, 1, Meter("client"), False, SeedRecord()).keys()
    return hello() + encode_frame(Kind.KEYS, 1, keys)


def query_out_of_range(frames: Recording) -> bytes:
    """Two limbs of nothing but ones, padded with zeros to whole bytes, after a fresh seed."""
    limb = b"\xff" * ((len(frames.frames[3][1]) - 32) // 2 - 1) + b"\x0f"
    return b"".join(frames.encoded()[:3]) + encode_frame(Kind.QUERY, 3, os.urandom(32) + limb + limb)


def flipped(raw: bytes, bit: int) -> bytes:
    damaged = bytearray(raw)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def frames_with(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Recording], bytes]:
    return lambda recording: b"".join(change(recording.encoded()))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (lambda r: b"GET / HTTP/1.1\r\n\r\n", "magic"),
        (lambda r: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), "magic"),
        (lambda r: HEADER.pack(b"FQ", 9, Kind.HELLO, 0, 16, 0) + bytes(16), "version 9"),
        (lambda r: HEADER.pack(b"FQ", VERSION, 77, 0, 16, 0) + bytes(16), "unknown kind 77"),
        (lambda r: encode_frame(Kind.QUERY, 0, bytes(16)), "expected a frame of kind 'hello'"),
        (lambda r: HEADER.pack(b"FQ", VERSION, Kind.HELLO, 0, 2**32 - 1, 0) + bytes(16), "at most"),
        (lambda r: HEADER.pack(b"FQ", VERSION, Kind.HELLO, 0, MAX_BODY_BYTES, 0) + bytes(16), "expected 84"),
        (lambda r: flipped(hello(), 8 * 20 + 3), "checksum"),
        (lambda r: hello(0), "asks for 0 tokens"),
        (lambda r: hello(1025), "asks for 1025 tokens"),
        (lambda r: hello(2**32 - 1), "tokens"),
        (lambda r: hello() + hello(), "expected a frame of kind 'keys', got 'hello'"),
        (lambda r: hello() + HEADER.pack(b"FQ", VERSION, Kind.KEYS, 1, 2**30, 0), "at most"),
        (lambda r: hello() + HEADER.pack(b"FQ", VERSION, Kind.KEYS, 1, 2**20, 0), "announces 1048576 bytes, expected"),
        (lambda r: hello() + r.encoded()[1][:5000], "closed the connection in the body"),
        (lambda r: hello() + r.encoded()[1][:7], "closed the connection in the header"),
        (lambda r: hello() + flipped(r.encoded()[1], 80001), "checksum"),
        (lambda r: hello() + encode_frame(Kind.KEYS, 1, b"\xff" * len(r.frames[1][1])), "not below its modulus"),
        (of_other_context, "expected"),
        (frames_with(lambda f: [f[0], f[2], f[1]]), "expected a frame of kind 'keys', got 'lookup'"),
        (frames_with(lambda f: [f[0], f[1], f[1]]), "or 'end', got 'keys'"),
        (frames_with(lambda f: [*f[:3], f[1]]), "expected a frame of kind 'query', got 'keys'"),
        (frames_with(lambda f: [f[0], b"xyz", f[1]]), "magic"),
        (lambda r: hello() + encode_frame(Kind.KEYS, 7, r.frames[1][1]), "sequence number 7, expected 1"),
        (lambda r: b"".join(r.encoded()[:3]) + encode_frame(Kind.QUERY, 3, bytes(3)), "announces 3 bytes"),
        (lambda r: b"".join(r.encoded()), "seed was used before"),
        (lambda r: b"".join(r.encoded()[:3]) + encode_frame(Kind.QUERY, 3, b"\xff" * len(r.frames[3][1])), "encoding"),
        (query_out_of_range, "query has a residue that is not below its modulus"),
        (lambda r: encode_frame(Kind.ERROR, 0, b"x\x1b[2J\n")[:GREETING_BYTES] + bytes(9), "expected a frame"),
    ],
)
def test_bad_input_gets_a_reason_and_the_next_client_service(
    running: Running, recording: Recording, sent: Callable[[Recording], bytes], words: str
) -> None:
    assert words in reason(reply(running, sent(recording)))
    assert greets(running)


def test_after_all_of_it_rows_are_right(running: Running) -> None:
    assert running.opens([0, 299])


@dataclass(frozen=True)
class Damage:
    """What becomes of one frame of a client's stream."""

    what: str
    which: int
    place: int
    number: int
    part: bytes

    def of(self, recording: Recording) -> bytes:
        """The stream; every damage but the first three has a checksum that fits."""
        out = recording.encoded()
        k = self.which % len(out)
        (kind, body), raw = recording.frames[k], out[k]
        place = self.place % len(raw)
        if self.what == "flip":
            out[k] = flipped(raw, 8 * place + self.number % 8)
        elif self.what == "cut":
            out[k:] = [raw[:place]]
        elif self.what == "length":
            out[k:] = [HEADER.pack(b"FQ", VERSION, kind, k, self.number, 0) + body]
        elif self.what == "drop":
            del out[k]
        elif self.what == "twice":
            out.insert(k, raw)
        elif self.what == "swap":
            out[k], out[k - 1] = out[k - 1], out[k]
        elif self.what == "kind":
            out[k] = encode_frame(list(Kind)[self.number % len(Kind)], k, body)
        elif self.what == "number":
            out[k] = encode_frame(kind, self.number, body)
        elif self.what == "short":
            out[k] = encode_frame(kind, k, body[:place])
        else:
            part = self.part[: max(0, len(body) - place)]
            out[k] = encode_frame(kind, k, body[:place] + part + body[place + len(part) :])
        return b"".join(out)


DAMAGES = st.builds(
    Damage,
    what=st.sampled_from(["flip", "cut", "length", "drop", "twice", "swap", "kind", "number", "short", "body"]),
    which=st.integers(0, 3),
    place=st.integers(0, 64) | st.integers(0, 2**21),
    number=st.integers(0, 2**32 - 1),
    part=st.binary(min_size=1, max_size=64),
)


def bombard(running: Running, recording: Recording, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None)
    @given(DAMAGES)
    def throw(damage: Damage) -> None:
        frames = reply(running, damage.of(recording))
        assert all(kind in (Kind.PARAMETERS, Kind.READY, Kind.ANSWER, Kind.ERROR) for kind, _ in frames)

    reply(running, recording.encoded()[0])
    before = resident_bytes()
    throw()
    assert resident_bytes() - before < 64 * 2**20
    wait_until(lambda: running.service.sessions == 0)
    assert greets(running)
    assert running.opens([123])


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_damaged_frames_leave_the_server_whole(running: Running, recording: Recording) -> None:
    bombard(running, recording, 100)


@pytest.mark.slow
def test_a_thousand_damaged_frames_leave_the_server_whole(running: Running, recording: Recording) -> None:
    bombard(running, recording, 1000)


class Between:
    """A relay that damages one byte of what the server sends, or the client, and passes on the rest."""

    def __init__(self, port: int, of_server: bool, place: int) -> None:
        self._port = port
        self._of_server = of_server
        self._place = place
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._port))
        ways = [
            threading.Thread(target=self._carry, args=(near, far, not self._of_server), daemon=True),
            threading.Thread(target=self._carry, args=(far, near, self._of_server), daemon=True),
        ]
        for way in ways:
            way.start()
        for way in ways:
            way.join()
        near.close()
        far.close()
        self._listener.close()

    def _carry(self, source: socket.socket, sink: socket.socket, damage: bool) -> None:
        seen = 0
        try:
            while part := bytearray(source.recv(65536)):
                if damage and seen <= self._place < seen + len(part):
                    part[self._place - seen] ^= 0x10
                seen += len(part)
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for connection in (source, sink):
                connection.close()


@pytest.mark.parametrize("of_server", [True, False])
@pytest.mark.parametrize("place", [0, 5, 14, 1000, 4300, 4500, 4600])
def test_damage_on_the_way_gives_no_wrong_share(running: Running, of_server: bool, place: int) -> None:
    """Hello, parameters, keys, ready, query and answer: whatever is hit, the client has an error and no share."""
    between = Between(running.port, of_server, place)
    meter = Meter("client")
    channel = Channel(socket.create_connection(("127.0.0.1", between.port)), meter, 10.0)
    with pytest.raises(ProtocolError):
        look_up(channel, meter, [7], False, SeedRecord())
    channel.close()


def test_keys_of_another_secret_give_no_share(
    running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The server cannot tell whose keys they are; the client can tell that its answer does not decrypt."""

    def others(_: ResidueClient) -> Iterator[bytes]:
        monkeypatch.undo()
        yield from ResidueClient(CONFIGURATION, 1, Meter("client"), False, SeedRecord()).keys()

    monkeypatch.setattr(ResidueClient, "keys", others)
    # The kernels' warming up makes keys too, of a small table.
    monkeypatch.setattr("protocol.compact.engine.warm_up", lambda *_: None)
    with pytest.raises(DoesNotDecrypt):
        query(f"127.0.0.1:{running.port}", [7], requirements=Requirements(), seeds=tmp_path / "seeds.sqlite")


def test_a_ciphertext_of_another_openfhe_context_is_refused() -> None:
    served = executed("fastquery", Table(300, 24), engine="openfhe", ring={"degree": 4096, "limb_bits": (50, 50)})
    other = served.updated(ring=Ring(4096, (51, 51), served.ring.plaintext_modulus))
    client = OpenFHEClient(ProductPlan(other, False), 1, Meter("client"))
    ciphertext = client.encrypt_polynomial(np.zeros(4096, dtype=np.int64))
    with pytest.raises(ProtocolError, match=r"context|residue|expected"):
        OpenFHERing(served.ring).read(ciphertext)


def drip(connection: socket.socket, raw: bytes, stop: threading.Event) -> None:
    for byte in raw:
        if stop.wait(0.1):
            return
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return


@pytest.mark.parametrize("greeted", [False, True])
def test_a_client_that_sends_a_byte_at_a_time_times_out(
    impatient: Running, recording: Recording, greeted: bool
) -> None:
    stop = threading.Event()
    with impatient.connect() as connection:
        if greeted:
            connection.sendall(hello())
        slow = recording.encoded()[1] if greeted else hello()
        thread = threading.Thread(target=drip, args=(connection, slow, stop))
        thread.start()
        assert greets(impatient)
        frames = read_frames(connection)
        assert "did not arrive within" in reason(frames)
        # A frame that arrived whole, in ten seconds or hours, would have been answered.
        assert [kind for kind, _ in frames[:-1]] == [Kind.PARAMETERS] * greeted
        stop.set()
        thread.join()


@pytest.mark.parametrize("kept", [0, 3, 20, 31, GREETING_BYTES, GREETING_BYTES + 5, GREETING_BYTES + 90000])
def test_a_client_that_stops_mid_frame_times_out(impatient: Running, recording: Recording, kept: int) -> None:
    sent = b"".join(recording.encoded())[:kept]
    assert "did not arrive within" in reason(reply(impatient, sent, leave=False))


def test_a_client_that_never_reads_is_let_go(impatient: Running, recording: Recording) -> None:
    with impatient.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.sendall(b"".join(recording.encoded()))
        wait_until(lambda: impatient.service.sessions == 0)


@pytest.mark.parametrize("sent", [b"", b"FQ", hello()])
def test_a_hundred_connections_keep_nobody_waiting(sent: bytes) -> None:
    with serving(prepared(CONFIGURATION, Limits(address_clients=128))) as served, ExitStack() as held:
        for _ in range(100):
            connection = held.enter_context(served.connect())
            connection.sendall(sent)
        assert greets(served)
        assert served.opens([9])


def test_connections_without_end_push_out_the_oldest(running: Running) -> None:
    with ExitStack() as held:
        first = held.enter_context(running.connect())
        for _ in range(MAX_VISITORS + 1):
            held.enter_context(running.connect())
        assert "too many connections" in reason(read_frames(first))
        assert greets(running)


def test_a_server_that_stops_in_mid_frame_or_says_nothing_times_out() -> None:
    for said in (b"", encode_frame(Kind.PARAMETERS, 0, bytes(2060))[:500]):
        here, there = socket.socketpair()
        there.sendall(said)
        channel = Channel(here, Meter("client"), 0.3)
        with pytest.raises(ProtocolError, match="did not arrive within"):
            look_up(channel, Meter("client"), [1], False, SeedRecord())
        channel.close()
        there.close()


def test_what_a_peer_reports_cannot_write_to_the_terminal() -> None:
    here, there = socket.socketpair()
    there.sendall(encode_frame(Kind.ERROR, 0, b"gone\x1b[2J\nfastquery: all is well"))
    channel = Channel(here, Meter("client"), 1.0)
    with pytest.raises(ProtocolError) as raised:
        look_up(channel, Meter("client"), [1], False, SeedRecord())
    assert str(raised.value) == "peer reports: gone?[2J?fastquery: all is well"
    channel.close()
    there.close()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_parameters_of_any_content_are_read_or_refused(data: st.DataObject) -> None:
    """Also by the client's own requirements, which estimate what was stated."""
    block = json.loads(PARAMETERS[:JSON_BYTES])
    path = data.draw(st.sampled_from([*((s, k) for s in block for k in block[s]), *(("ring", k) for k in RING)]))
    section = block["configuration"]["ring"] if path[0] == "ring" else block[path[0]]
    section[path[1]] = data.draw(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
        | st.lists(st.integers(-1, 2**33), max_size=9) | st.dictionaries(st.text(max_size=5), st.integers(), max_size=3)
    )  # fmt: skip
    message = json.dumps(block).encode()[:JSON_BYTES].ljust(JSON_BYTES) + PARAMETERS[JSON_BYTES:]
    try:
        configuration, _ = decode_parameters(message)
        Requirements().check(configuration)
    except (ProtocolError, ValueError):
        pass


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 8 * 4000), st.binary(max_size=8))
def test_parameters_with_damage_that_no_checksum_finds_are_read_or_refused(place: int, put: bytes) -> None:
    message = bytearray(PARAMETERS)
    start = place // 8
    message[start : start + len(put)] = put
    message = message[: len(PARAMETERS)].ljust(len(PARAMETERS))
    with contextlib.suppress(ProtocolError):
        decode_parameters(bytes(message))


RING = ("degree", "limb_bits", "plaintext_modulus", "sigma", "secret")
PARAMETERS = encode_parameters(CONFIGURATION, prepared(CONFIGURATION, Limits()).table.public)
