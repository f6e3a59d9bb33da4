"""A service in this process, and raw and whole clients of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from costmodel.parameters import Configuration
from protocol.channel import Channel
from protocol.client import Lookup, ask_report, ask_shares, look_up
from protocol.frames import HEADER, Kind, decode_header, encode_frame
from protocol.hello import Hello
from protocol.limits import Limits
from protocol.lookup import LookupServer
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.service import Service
from protocol.tls import Tls
from quantize.packed import PackedTable
from quantize.quantizers import quantize_table
from quantize.tables import open_table
from tests.waiting import PATIENCE_S


class Running:
    """A running service of one configuration."""

    def __init__(
        self, configuration: Configuration, limits: Limits, table: PackedTable, server: LookupServer, meter: Meter
    ) -> None:
        self.configuration = configuration
        self.limits = limits
        self.table = table
        self.server = server
        self.meter = meter
        self.port = 0
        self.service: Service

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A raw connection, from an address of the loopback interface."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S, source_address=(source, 0))

    def channel(self, source: str = "127.0.0.1") -> tuple[Channel, Meter]:
        """A client's end of a new connection."""
        meter = Meter("client")
        return Channel(self.connect(source), meter, PATIENCE_S), meter

    def look_up(self, tokens: list[int], source: str = "127.0.0.1") -> tuple[Lookup, list[dict[str, Any]], np.ndarray]:
        """A whole lookup, with the server's report and its shares."""
        channel, meter = self.channel(source)
        try:
            found = look_up(channel, meter, tokens, False, SeedRecord())
            return found, ask_report(channel), ask_shares(channel, found.shares)
        finally:
            channel.close()

    def opens(self, tokens: list[int], source: str = "127.0.0.1") -> bool:
        """Whether a lookup gives the rows of the table."""
        found, _, others = self.look_up(tokens, source)
        opened = (found.shares.astype(np.int64) + others.astype(np.int64)) % found.configuration.ring.plaintext_modulus
        rows = self.table.public.open(opened)
        return all(np.array_equal(row, self.table.levels(token)) for row, token in zip(rows, tokens, strict=True))


def prepared(configuration: Configuration, limits: Limits) -> Running:
    """A table encoded, not yet served."""
    shape = configuration.table
    table = quantize_table(open_table(f"{shape.rows}x{shape.channels}"), configuration.packing.widths)
    meter = Meter("server")
    server = LookupServer(configuration, table, meter, lambda *_: None, False, limits.max_tokens)
    return Running(configuration, limits, table, server, meter)


@contextmanager
def serving(running: Running, reveal: bool = True, port: int = 0, tls: Tls | None = None) -> Iterator[Running]:
    """Serve it for the length of a block."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    running.port = listener.getsockname()[1]
    running.service = Service(running.server, listener, running.limits, running.meter, reveal, tls, tell_seconds=reveal)
    thread = threading.Thread(target=running.service.run)
    thread.start()
    try:
        yield running
    finally:
        running.service.stop()
        thread.join(timeout=PATIENCE_S)
        assert not thread.is_alive()


def hello(tokens: int = 1) -> bytes:
    """A client's first frame."""
    return encode_frame(Kind.HELLO, 0, Hello(bytes(12), tokens, bytes(32), bytes(32)).encode())


def read_frames(connection: socket.socket) -> list[tuple[Kind, bytes]]:
    """Every frame that comes until the peer closes; nothing but whole frames may."""
    frames = []
    while header := _exactly(connection, HEADER.size):
        kind, _, length, _ = decode_header(header)
        frames.append((kind, _exactly(connection, length)))
    return frames


def _exactly(connection: socket.socket, count: int) -> bytes:
    body = bytearray()
    while len(body) < count:
        try:
            part = connection.recv(count - len(body))
        except ConnectionError:
            return b""
        if not part:
            assert not body, "the peer closed within a frame"
            return b""
        body += part
    return bytes(body)
