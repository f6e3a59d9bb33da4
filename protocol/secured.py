"""A server's end of TLS that takes what its peer sends a bounded piece at a time.

The standard library's socket of TLS goes on for as long as records come that carry nothing, as key updates and parts of
a handshake of a byte each do: whoever sends them holds the thread that reads, whatever its timeout. Here every call
reads the socket once at most, and says that it wants more.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

Done = TypeVar("Done")

FEWEST_BYTES, MOST_BYTES = 4096, 65536
"""Read from the socket at once: as many as are asked for, within these bounds."""
_RECORD_BYTES = 16384


class SecuredSocket(socket.socket):
    """A connection under TLS; as :class:`ssl.SSLSocket` is, but for what is said of its methods.

    Parameters
    ----------
    connection
        Connected; this object takes its descriptor over.
    context
        Of the server.

    Attributes
    ----------
    taken_bytes : read from the socket so far
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        timeout_s = connection.gettimeout()
        super().__init__(connection.family, connection.type, connection.proto, connection.detach())
        self.settimeout(timeout_s)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.taken_bytes = 0

    def do_handshake(self) -> None:
        """Go on with the handshake.

        Raises
        ------
        ssl.SSLWantReadError
            If more has to come.
        OSError
            If it fails.
        """
        self._fed(partial(self._answered, self._tls.do_handshake), FEWEST_BYTES)

    def getpeercert(self) -> dict[str, Any] | None:
        """The peer's certificate; see :meth:`ssl.SSLSocket.getpeercert`."""
        return self._tls.getpeercert()

    def pending(self) -> int:
        """Bytes that were read from the socket and not yet from here."""
        return self._tls.pending() + self._incoming.pending

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read what a single reading of the socket brings, of as many records as it is; 0 once the peer has ended.

        Raises
        ------
        ssl.SSLWantReadError
            If it brings nothing to be read here.
        """
        view, length = memoryview(buffer)[: nbytes or None], 0
        try:
            length = self._fed(partial(self._read, view), len(view))
            while 0 < length < len(view):
                length += self._read(view[length:])
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return length
        except ssl.SSLWantReadError:
            if not length:
                raise
        return length

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Read as :meth:`recv_into` does."""
        buffer = bytearray(bufsize)
        return bytes(buffer[: self.recv_into(buffer)])

    def send(self, data: Any, flags: int = 0) -> int:
        """Send as much as the socket takes at once. The rest is lost and nothing may follow: for farewells alone."""
        self._tls.write(data)
        super().send(self._outgoing.read())
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all, within the timeout as a whole."""
        view, timeout_s, started = memoryview(data).cast("B"), self.gettimeout(), time.monotonic()
        for first in range(0, len(view), _RECORD_BYTES):
            self._tls.write(view[first : first + _RECORD_BYTES])
            if timeout_s is not None:
                self.settimeout(max(1e-6, timeout_s - (time.monotonic() - started)))
            super().sendall(self._outgoing.read())

    def _read(self, view: memoryview) -> int:
        """Read what is here into a buffer."""
        length: Any = self._answered(partial(self._tls.read, len(view), view))
        return int(length)

    def _fed(self, act: Callable[[], Done], wanted_bytes: int) -> Done:
        """Let the library act on what is here, and if that is not enough, on what the socket has."""
        try:
            return act()
        except ssl.SSLWantReadError:
            part = super().recv(min(max(wanted_bytes, FEWEST_BYTES), MOST_BYTES))
        self.taken_bytes += len(part)
        if part:
            self._incoming.write(part)
        else:
            self._incoming.write_eof()
        return act()

    def _answered(self, act: Callable[[], Done]) -> Done:
        """Let the library act, and send what it says of its own accord: handshakes, alerts, answers to key updates."""
        try:
            return act()
        finally:
            if said := self._outgoing.read():
                try:
                    super().sendall(said)
                except BlockingIOError:
                    raise ConnectionAbortedError("peer does not read what it asks for") from None
