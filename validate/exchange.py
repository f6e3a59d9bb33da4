"""Requests and answers of given sizes over TCP, timed: on a new connection, and on one that has just carried as much.

``python -m validate.exchange serve ADDRESS`` answers; its first line is its port. ``python -m validate.exchange ask
ADDRESS PORT`` reads ``UP DOWN`` lines and writes one JSON list a line, the seconds of the fresh exchange and of those
that follow on the same connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import time

HEADER = struct.Struct("!QQ")
"""Bytes that are still to come, and bytes of the answer."""
MAX_BYTES = 2**28
WARM = 2
"""Exchanges on a connection after its first."""
CONGESTION = b"cubic"
"""Congestion control of both sides: the model's. BBR paces the slow start by tens of a round trip more."""
TIMEOUT_S = 60.0
BLOCK = 2**18


def serve(address: str) -> None:
    """Answer one connection after the other until the process is ended."""
    with socket.create_server((address, 0)) as listener:
        _prepare(listener)
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            connection.settimeout(TIMEOUT_S)
            with connection, contextlib.suppress(OSError):
                _prepare(connection)
                while header := _received(connection, HEADER.size):
                    up, down = HEADER.unpack(header)
                    if max(up, down) > MAX_BYTES:
                        break
                    _received(connection, up)
                    connection.sendall(bytes(down))


def ask(address: str, port: int) -> None:
    """Time the exchanges that standard input names."""
    for line in sys.stdin:
        up, down = (int(word) for word in line.split())
        message, seconds = HEADER.pack(up, down) + bytes(up), []
        start = time.monotonic()
        with socket.socket() as connection:
            _prepare(connection)
            connection.settimeout(TIMEOUT_S)
            connection.connect((address, port))
            for _ in range(1 + WARM):
                connection.sendall(message)
                _received(connection, down)
                seconds.append(time.monotonic() - start)
                start = time.monotonic()
        print(json.dumps(seconds), flush=True)


def _prepare(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # a kernel without it keeps its own
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)


def _received(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or none if the peer has left."""
    parts, left = [], size
    while left:
        part = connection.recv(min(left, BLOCK))
        if not part:
            return b""
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        ask(sys.argv[2], int(sys.argv[3]))
