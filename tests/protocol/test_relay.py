"""The relay shows a link's rate and delay, carries every byte, and buffers no more than the link holds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from costmodel.link import Link, parse_link, relay_exchange_s
from protocol import relay
from protocol.relay import Relay


def target(serve: Callable[[socket.socket], None]) -> tuple[socket.socket, threading.Thread]:
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            serve(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    return listener, thread


def receive(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer where the connection ends; without a copy that would count as the link's time."""
    body = bytearray(count)
    view, filled = memoryview(body), 0
    while filled < count:
        got = connection.recv_into(view[filled:])
        if got == 0:
            break
        filled += got
    return bytes(view[:filled])


def exchange_s(link: Link, up: int, down: int) -> float:
    """Seconds of a request and its answer, after one of a byte each has opened the way."""

    request, answer = bytes(up), bytes(down)

    def serve(connection: socket.socket) -> None:
        receive(connection, 1)
        connection.sendall(b"x")
        receive(connection, up)
        connection.sendall(answer)

    listener, thread = target(serve)
    with listener, Relay("127.0.0.1", listener.getsockname()[1], link) as between:
        with socket.create_connection(("127.0.0.1", between.port)) as client:
            client.sendall(b"x")
            receive(client, 1)
            start = time.perf_counter()
            client.sendall(request)
            assert len(receive(client, down)) == down
            elapsed = time.perf_counter() - start
        thread.join()
    return elapsed


@pytest.mark.parametrize(
    ("spelt", "up", "down"),
    [
        ("44Mbit/s,40ms", 136_000, 9_000),
        ("44Mbit/s,40ms", 2_000, 1_000_000),
        ("9Mbit/s,40ms", 100_000, 20_000),
        ("384Mbit/s,20ms", 2_000_000, 200_000),
        ("1Gbit/s,4ms", 136_000, 400_000),
        ("10Mbit/s,200ms", 50_000, 50_000),
    ],
)
def test_an_exchange_takes_what_the_model_says(spelt: str, up: int, down: int) -> None:
    link = parse_link(spelt)
    predicted = float(relay_exchange_s(up, down, link.rate_bit_per_s, link.round_trip_s))
    # The best of three: a busy machine makes an exchange longer, never shorter.
    measured = min(exchange_s(link, up, down) for _ in range(3))
    assert 0.97 * predicted < measured < 1.05 * predicted + 3e-3


def test_every_byte_arrives_in_order_and_the_end_is_passed_on() -> None:
    sent = bytes(range(256)) * 4000
    arrived: list[bytes] = []
    listener, thread = target(lambda connection: arrived.append(receive(connection, len(sent) + 1)))
    link = Link(200e6, 2e-3, "test")
    with (
        listener,
        Relay("127.0.0.1", listener.getsockname()[1], link) as between,
        socket.create_connection(("127.0.0.1", between.port)) as client,
    ):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        thread.join(timeout=20)
    assert arrived == [sent]


def test_what_is_on_the_line_is_bounded() -> None:
    """A peer that does not read stops the sender once the line and the sockets' own buffers are full."""
    stop = threading.Event()
    listener, thread = target(lambda connection: bool(stop.wait(20)))
    link = Link(50e6, 10e-3, "test")
    with listener, Relay("127.0.0.1", listener.getsockname()[1], link) as between:
        with socket.create_connection(("127.0.0.1", between.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.sendall(bytes(200_000_000))
            line = between.lines[0]
            assert 0 < line.on_line_bytes <= line.capacity_bytes
            assert line.capacity_bytes < 40e-3 * 50e6 / 8 + 2 * relay.SLACK_BYTES
        stop.set()
        thread.join()


def test_a_target_that_goes_away_ends_the_connection() -> None:
    listener, thread = target(lambda connection: connection.close())
    with listener, Relay("127.0.0.1", listener.getsockname()[1], Link(10e6, 1e-3, "test")) as between:
        with socket.create_connection(("127.0.0.1", between.port), timeout=5.0) as client:
            assert client.recv(1) == b""
        thread.join()


def test_no_target_ends_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        Relay("127.0.0.1", port, Link(10e6, 1e-3, "test")) as between,
        socket.create_connection(("127.0.0.1", between.port), timeout=5.0) as client,
    ):
        assert client.recv(1) == b""
