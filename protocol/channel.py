"""One end of the socket: sends and receives frames, counts what leaves, bounds what arrives."""

from __future__ import annotations

import contextlib
import socket
import time

from protocol.errors import ProtocolError
from protocol.frames import (
    HEADER,
    MAX_ERROR_BYTES,
    Kind,
    check_body,
    decode_header,
    encode_frame,
)
from protocol.meter import Meter

FRAME_TIMEOUT_S = 120.0
"""Longest wait for a whole frame, the peer's computation before it included."""


class Channel:
    """Frames over a connected stream socket.

    Parameters
    ----------
    connection
        A connected stream socket; the channel owns it.
    meter
        Counts every frame that is sent, header included.
    timeout_s
        Bound on the time from asking for a frame to having all of it, however slowly its bytes come.
    """

    def __init__(self, connection: socket.socket, meter: Meter, timeout_s: float = FRAME_TIMEOUT_S) -> None:
        self._connection = connection
        self._meter = meter
        self._timeout_s = timeout_s
        self._sent = 0
        self._received = 0
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        """Send one frame and count it."""
        framed = encode_frame(kind, self._sent, body)
        self._connection.settimeout(self._timeout_s)
        try:
            self._connection.sendall(framed)
        except OSError as error:
            raise ProtocolError(f"peer does not take the {kind.item} frame: {error}") from None
        self._sent += 1
        self._meter.sent(kind.item, len(framed))

    def receive(self, kind: Kind, length: int) -> bytes:
        """The body of the next frame, which must be of this kind and exactly this long.

        Raises
        ------
        ProtocolError
            If it is anything else, is damaged, does not come in time, or reports the peer's error.
        """
        deadline = time.monotonic() + self._timeout_s
        header = bytes(self._read(HEADER.size, deadline, f"header of the {kind.item} frame"))
        found, sequence, announced, checksum = decode_header(header)
        if found is Kind.ERROR and announced <= MAX_ERROR_BYTES:
            text = self._read(announced, deadline, "error frame")
            check_body(header, text, checksum)
            raise ProtocolError(f"peer reports: {text.decode('utf-8', 'replace')}")
        if found is not kind:
            raise ProtocolError(f"expected a frame of kind {kind.item!r}, got {found.item!r}")
        if sequence != self._received:
            raise ProtocolError(f"frame has sequence number {sequence}, expected {self._received}")
        if announced != length:
            raise ProtocolError(f"{kind.item} frame announces {announced} bytes, expected {length}")
        body = self._read(announced, deadline, f"body of the {kind.item} frame")
        check_body(header, body, checksum)
        self._received += 1
        return bytes(body)

    def fail(self, text: str) -> None:
        """Tell the peer why the session ends; a peer that is gone is not an error."""
        body = text.encode("utf-8")[:MAX_ERROR_BYTES]
        with contextlib.suppress(OSError):
            self._connection.settimeout(1.0)
            self._connection.sendall(encode_frame(Kind.ERROR, self._sent, body))

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()

    def _read(self, length: int, deadline: float, what: str) -> bytearray:
        body = bytearray(length)
        view, filled = memoryview(body), 0
        while filled < length:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise ProtocolError(f"{what} did not arrive within {self._timeout_s:.0f} s")
            self._connection.settimeout(remaining)
            try:
                got = self._connection.recv_into(view[filled:])
            except TimeoutError:
                continue
            except OSError as error:
                raise ProtocolError(f"connection lost in the {what}: {error}") from None
            if got == 0:
                raise ProtocolError(f"peer closed the connection in the {what}")
            filled += got
        return body
