"""One end of the socket: sends and receives frames, counts what leaves, bounds what arrives."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext

from protocol.errors import PeerGone, ProtocolError
from protocol.frames import (
    HEADER,
    MAX_ERROR_BYTES,
    Kind,
    check_body,
    decode_header,
    encode_frame,
)
from protocol.meter import Meter
from protocol.secured import SecuredSocket
from protocol.tls import handshake_words

_REPORT = "peer reports: "
FRAME_TIMEOUT_S = 120.0
"""Longest wait for a frame, the peer's computation before it included."""
STALL_TIMEOUT_S = 10.0
"""Longest time that a frame takes once its first byte is there; longer for long ones, see below."""
SLOWEST_BYTE_PER_S = 65536.0
"""Rate at which long frames have to arrive at least."""
LINGER_S = 1.0
"""How long a failed session's socket is kept open, so that the peer can read why."""
_DISCARD_BYTES = 65536
WAKING_BYTES = 65536
"""What has to be there of a longer message before its reader is woken, at least: what the slowest peer sends a second.
A slow link delivers a segment at a time. Waking for one takes 0.1 ms, and 0.3 ms over TLS, longer than to read it."""


class Channel:
    """Frames over a connected stream socket.

    Parameters
    ----------
    connection
        A connected stream socket; the channel owns it.
    meter
        Counts every frame that is sent, header included.
    timeout_s
        Bound on the wait for a frame, and on sending one.
    stall_s
        Bound on the time from a frame's first byte to its last, besides one second for every 64 KiB, and on every
        pause within it.
    patience_s
        Bound on all waiting for the peer, over the whole session.
    received
        What was already read from the socket.
    arrived
        Called with the bytes of a message that have come, as they come; may wait, or raise `ProtocolError`.
    aside
        Makes a context in which the channel waits for the peer.
    """

    def __init__(
        self,
        connection: socket.socket,
        meter: Meter,
        timeout_s: float = FRAME_TIMEOUT_S,
        *,
        stall_s: float = STALL_TIMEOUT_S,
        patience_s: float = math.inf,
        received: bytes = b"",
        arrived: Callable[[int], None] = lambda _: None,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.connection = connection
        self.meter = meter
        self._timeout_s = timeout_s
        self._stall_s = min(stall_s, timeout_s)
        self._patience_s = patience_s
        self._ahead = memoryview(received)
        self._arrived = arrived
        self._aside = aside
        self._sent = 0
        self._received = 0
        self._waiting_from: float | None = None
        self._sending = False
        self._interrupted: str | None = None
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        """Send one frame and count it."""
        framed = encode_frame(kind, self._sent, body)
        started = time.monotonic()
        self.connection.settimeout(max(1e-3, min(self._timeout_s + len(body) / SLOWEST_BYTE_PER_S, self._patience_s)))
        self._waiting_from, self._sending = started + len(framed) / SLOWEST_BYTE_PER_S, True
        try:
            with self._aside():
                self.connection.sendall(framed)
        except OSError as error:
            if self._interrupted is not None:
                raise ProtocolError(self._interrupted) from None
            # A peer that ended the session has said why before it closed.
            self.receive_error()
            raise PeerGone(f"peer does not take the {kind.item} frame: {error}") from None
        finally:
            self._waiting_from, self._sending = None, False
            self._patience_s -= time.monotonic() - started
        self._sent += 1
        self.meter.sent(kind.item, len(framed))

    def receive(self, kind: Kind, length: int) -> bytes:
        """The body of the next frame, which must be of this kind and exactly this long.

        Raises
        ------
        ProtocolError
            If it is anything else, is damaged, does not come in time, or reports the peer's error.
        """
        return self.receive_sized(kind, range(length, length + 1))

    def receive_sized(self, kind: Kind, lengths: range) -> bytes:
        """The body of the next frame, which must be of this kind and have one of these lengths.

        Raises
        ------
        ProtocolError
            As :meth:`receive`.
        """
        _, body = self._receive(f"{kind.item} frame", (kind,), lengths)
        return body

    def receive_any(self, lengths: Mapping[Kind, int]) -> tuple[Kind, bytes]:
        """The next frame, which must be of one of these kinds and as long as frames of its kind are.

        Raises
        ------
        ProtocolError
            As :meth:`receive`.
        """
        shortest, longest = min(lengths.values()), max(lengths.values())
        kind, body = self._receive("request", lengths.keys(), range(shortest, longest + 1))
        if len(body) != lengths[kind]:
            raise ProtocolError(f"{kind.item} frame has {len(body)} bytes, expected {lengths[kind]}")
        return kind, body

    @property
    def readable(self) -> bool:
        """Whether something has arrived that was not read, if only that the peer has left."""
        if self._ahead or (isinstance(self.connection, SecuredSocket) and self.connection.pending()):
            return True
        waiting = select.poll()  # which takes any descriptor, where select ends at 1023
        waiting.register(self.connection, select.POLLIN)
        return bool(waiting.poll(0))

    def renew_patience(self, patience_s: float) -> None:
        """Wait for the peer anew, for so long in all."""
        self._patience_s = patience_s

    def receive_error(self) -> None:
        """Raise what the peer or its TLS reported, if either reported anything; see :meth:`receive`."""
        try:
            self.receive(Kind.ERROR, 0)
        except ProtocolError as error:
            if str(error).startswith((_REPORT, "TLS: ")):
                raise

    def waited_s(self, now: float) -> float:
        """Seconds that the peer has kept this channel waiting, less what a message of its length may take."""
        since = self._waiting_from
        return 0.0 if since is None else now - since

    def interrupt(self, reason: str) -> None:
        """End the wait for the peer from another thread; what waits raises `ProtocolError` with the reason."""
        self._interrupted = reason
        with contextlib.suppress(OSError):
            # Not the method of a TLS socket, which would go on in the clear.
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR if self._sending else socket.SHUT_RD)

    def cut(self) -> None:
        """End the connection from another thread; what waits finds it lost."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    def fail(self, text: str) -> None:
        """Tell the peer why the session ends; a peer that is gone is not an error.

        What the peer is still sending is read and dropped for a while: a socket that is closed with unread bytes takes
        the error back.
        """
        body = text.encode("utf-8")[:MAX_ERROR_BYTES]
        deadline = time.monotonic() + LINGER_S
        with contextlib.suppress(OSError):
            self.connection.settimeout(LINGER_S)
            self.connection.sendall(encode_frame(Kind.ERROR, self._sent, body))
            socket.socket.shutdown(self.connection, socket.SHUT_WR)
            while (remaining := deadline - time.monotonic()) > 0:
                self.connection.settimeout(remaining)
                if not socket.socket.recv(self.connection, _DISCARD_BYTES):  # below TLS, which is over
                    break

    def dismiss(self, text: str) -> None:
        """Tell the peer why there is no session, as far as that can be done at once, and close the socket."""
        with contextlib.suppress(OSError):
            self.connection.setblocking(False)
            self.connection.send(encode_frame(Kind.ERROR, self._sent, text.encode("utf-8")[:MAX_ERROR_BYTES]))
        self.connection.close()

    @property
    def sending(self) -> bool:
        """Whether a frame is leaving."""
        return self._sending

    def close(self) -> None:
        """Close the socket."""
        self.connection.close()

    def _receive(self, what: str, kinds: Collection[Kind], lengths: range) -> tuple[Kind, bytes]:
        self._waiting_from = time.monotonic()
        try:
            with self._aside():
                return self._receive_frame(what, kinds, lengths)
        finally:
            self._waiting_from = None

    def _receive_frame(self, what: str, kinds: Collection[Kind], lengths: range) -> tuple[Kind, bytes]:
        deadline = time.monotonic() + self._timeout_s
        header = self._read(1, deadline, f"header of the {what}")
        deadline = min(deadline, time.monotonic() + self._stall_s)
        header += self._read(HEADER.size - 1, deadline, f"header of the {what}")
        found, sequence, announced, checksum = decode_header(bytes(header))
        if found is Kind.ERROR and announced <= MAX_ERROR_BYTES:
            text = self._read(announced, deadline, "error frame")
            check_body(bytes(header), text, checksum)
            raise ProtocolError(f"{_REPORT}{_printable(text)}")
        if found not in kinds:
            expected = " or ".join(repr(kind.item) for kind in kinds)
            raise ProtocolError(f"expected a frame of kind {expected}, got {found.item!r}")
        if sequence != self._received:
            raise ProtocolError(f"frame has sequence number {sequence}, expected {self._received}")
        if announced not in lengths:
            raise ProtocolError(f"{found.item} frame announces {announced} bytes, expected {_spelt(lengths)}")
        if self._waiting_from is not None:
            self._waiting_from += announced / SLOWEST_BYTE_PER_S
        body = self._read(announced, deadline + announced / SLOWEST_BYTE_PER_S, f"body of the {what}", self._stall_s)
        check_body(bytes(header), body, checksum)
        self._received += 1
        return found, bytes(body)

    def _own_wait(self, got: int) -> float:
        """Seconds that what has arrived had to wait for room here, which are not the peer's."""
        since, self._waiting_from, began = self._waiting_from, None, time.monotonic()
        self._arrived(got)
        own_s = time.monotonic() - began
        self._waiting_from = None if since is None else since + own_s
        return own_s

    def _read(self, length: int, deadline: float, what: str, stall_s: float = math.inf) -> bytearray:
        body = bytearray(length)
        view, filled = memoryview(body), min(length, len(self._ahead))
        view[:filled], self._ahead = self._ahead[:filled], self._ahead[filled:]
        started = time.monotonic()
        deadline = min(deadline, started + self._patience_s)
        try:
            while filled < length:
                remaining = min(deadline - time.monotonic(), stall_s)
                # A timeout of nothing would mean that the socket does not block.
                self.connection.settimeout(max(remaining, 1e-6))
                left = length - filled
                if isinstance(self.connection, SecuredSocket):  # which gives nothing before a whole record is there
                    left = self.connection.lacking_bytes(left)
                self._wake_for(_waking_bytes(left, stall_s))
                try:
                    got = self.connection.recv_into(view[filled:]) if remaining > 0 else -1
                except TimeoutError:
                    got = -1
                except ssl.SSLWantReadError:  # what came is no whole record, or none that is read here
                    continue
                except ssl.SSLError as error:
                    raise PeerGone(handshake_words(error)) from None
                except OSError as error:
                    raise PeerGone(f"connection lost in the {what}: {error}") from None
                if got < 0:
                    raise ProtocolError(
                        f"{what} did not arrive within the time allowed: {filled} of {length} bytes came"
                    )
                if got == 0 and self._interrupted is not None:
                    raise ProtocolError(self._interrupted)
                if got == 0:
                    raise PeerGone(f"peer closed the connection in the {what}")
                filled += got
                own_s = self._own_wait(got)
                deadline, started = deadline + own_s, started + own_s
        finally:
            with contextlib.suppress(OSError):
                self._wake_for(1)
            self._patience_s -= time.monotonic() - started
        return body

    def _wake_for(self, few: int) -> None:
        """Sleep until so many bytes have come."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, few)


def _waking_bytes(left: int, stall_s: float) -> int:
    """Bytes whose arrival wakes a reader: an even part of what is left, which the slowest peer sends without a stall.

    Examples
    --------
    >>> [_waking_bytes(left, 10.0) for left in (24, 100_000, 132_000)], _waking_bytes(132_000, 1.0)
    ([24, 100000, 66000], 32768)
    """
    part = -(-left // max(1, left // WAKING_BYTES))
    return max(1, int(min(part, stall_s * SLOWEST_BYTE_PER_S / 2)))


def _printable(text: bytes | bytearray) -> str:
    """A peer's text, fit for a log or a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text.decode("utf-8", "replace"))


def _spelt(lengths: range) -> str:
    return str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]} in steps of {lengths.step}"
