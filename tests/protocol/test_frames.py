"""Frames and channels: damage is found, nothing is trusted, bytes are counted as sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.wire import FRAME_HEADER_BYTES
from protocol.channel import Channel
from protocol.errors import ProtocolError
from protocol.frames import HEADER, VERSION, Kind, encode_frame
from protocol.meter import Meter


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    here, there = socket.socketpair()
    channel = Channel(here, Meter("client"), timeout_s=1.0)
    yield channel, there
    channel.close()
    there.close()


def receive(raw: bytes, kind: Kind = Kind.QUERY, length: int = 40) -> bytes:
    here, there = socket.socketpair()
    channel = Channel(here, Meter("client"), timeout_s=60.0)
    try:
        there.sendall(raw)
        there.close()
        return channel.receive(kind, length)
    finally:
        channel.close()


def test_header_is_as_long_as_the_model_says() -> None:
    assert HEADER.size == FRAME_HEADER_BYTES


@given(st.binary(max_size=300))
def test_a_frame_arrives_as_sent(body: bytes) -> None:
    assert receive(encode_frame(Kind.ANSWER, 0, body), Kind.ANSWER, len(body)) == body


@given(st.data())
def test_any_flipped_bit_is_noticed(data: st.DataObject) -> None:
    raw = bytearray(encode_frame(Kind.QUERY, 0, bytes(range(40))))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError):
        receive(bytes(raw))


@given(st.integers(0, 55))
def test_a_truncated_frame_is_noticed(kept: int) -> None:
    with pytest.raises(ProtocolError, match="closed"):
        receive(encode_frame(Kind.QUERY, 0, bytes(40))[:kept])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (encode_frame(Kind.ANSWER, 0, bytes(40)), "expected a frame of kind 'query'"),
        (encode_frame(Kind.QUERY, 0, bytes(41)), "announces 41 bytes, expected 40"),
        (encode_frame(Kind.QUERY, 3, bytes(40)), "sequence number 3"),
        (HEADER.pack(b"FQ", 9, 4, 0, 40, 0), "version 9"),
        (HEADER.pack(b"FQ", VERSION, 99, 0, 40, 0), "unknown kind 99"),
        (HEADER.pack(b"FQ", VERSION, 4, 0, 2**32 - 1, 0), "at most"),
        (HEADER.pack(b"HT", VERSION, 4, 0, 40, 0), "magic"),
        (encode_frame(Kind.ERROR, 0, b"table is away"), "peer reports: table is away"),
    ],
)
def test_what_is_not_expected_is_refused_by_name(raw: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        receive(raw)


def test_a_silent_and_a_slow_peer_time_out(pair: tuple[Channel, socket.socket]) -> None:
    channel, there = pair
    with pytest.raises(ProtocolError, match="did not arrive within"):
        channel.receive(Kind.QUERY, 40)
    stop = threading.Event()

    def drip() -> None:
        for byte in encode_frame(Kind.QUERY, 0, bytes(40)):
            if stop.wait(0.1):
                return
            there.sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(ProtocolError, match="did not arrive within"):
        channel.receive(Kind.QUERY, 40)
    stop.set()
    thread.join()


def test_the_meter_counts_what_crossed_the_socket() -> None:
    here, there = socket.socketpair()
    meter = Meter("client")
    channel = Channel(here, meter)
    with meter.phase_of("online"):
        channel.send(Kind.QUERY, bytes(100))
        channel.send(Kind.QUERY, bytes(7))
    channel.close()
    arrived = b"".join(iter(lambda: there.recv(4096), b""))
    there.close()
    (row,) = [row for row in meter.rows() if row["kind"] == "transfer"]
    assert (row["item"], row["count"], row["bytes"]) == ("query", 2, len(arrived))
