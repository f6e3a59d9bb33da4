"""An end of TLS that takes what its peer sends a bounded piece at a time, and knows how much has to come.

The standard library's socket of TLS goes on for as long as records come that carry nothing, as key updates and parts of
a handshake of a byte each do: whoever sends them holds the thread that reads, whatever its timeout. Here every call
reads the socket once at most, and says that it wants more. The lengths of records are read here as well, so that a
reader may sleep until what it needs is there, and is not woken by each segment of a slow link.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from costmodel.tls import RECORD_BYTES, RECORD_OVERHEAD_BYTES

Done = TypeVar("Done")

FEWEST_BYTES, MOST_BYTES = RECORD_BYTES + RECORD_OVERHEAD_BYTES, 131072
"""Read from the socket at once: as many as are asked for, within these bounds."""
_WRITTEN_BYTES = 4 * RECORD_BYTES
"""Given to the socket at once."""
_HEADER_BYTES = 5
"""Of a record: its type, a version, and in two bytes the length of all that follows."""
_SHORT_TAG_BYTES = 8
"""By which the records of the suites with a short tag are smaller."""
_MOST_LEFT_BYTES = RECORD_BYTES + 256
"""That follow a record's header."""


class SecuredSocket(socket.socket):
    """A connection under TLS; as :class:`ssl.SSLSocket` is, but for what is said of its methods.

    Parameters
    ----------
    connection
        Connected; this object takes its descriptor over.
    context
        Of the server, or of a client.
    host
        The server, as its certificate has to name it; on a client's side alone.

    Attributes
    ----------
    taken_bytes : read from the socket so far
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=host is None, server_hostname=host)
        self._header, self._record_bytes, self._missing_bytes = b"", 0, 0
        self.taken_bytes, timeout_s = 0, connection.gettimeout()
        super().__init__(connection.family, connection.type, connection.proto, connection.detach())
        self.settimeout(timeout_s)

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

    def shake_hands(self) -> None:
        """Do the whole handshake, within the timeout.

        Raises
        ------
        OSError
            If it fails.
        """
        timeout_s, started = self.gettimeout(), time.monotonic()
        while True:
            try:
                self.do_handshake()
            except ssl.SSLWantReadError:
                self._count_down(timeout_s, started)
            else:
                break
        self.settimeout(timeout_s)

    def lacking_bytes(self, length: int) -> int:
        """Fewest bytes that have to come to the socket before so many can be read here, of which none is here yet.

        A record of R bytes in all, which has begun, has to be whole, and holds R - 22 of them at most; the others come
        in records of 16384 at most. Where a suite has a short tag, 14 stands in the place of 22.
        """
        suite = self._tls.cipher()
        overhead = RECORD_OVERHEAD_BYTES - (_SHORT_TAG_BYTES if suite and suite[0].endswith("CCM_8_SHA256") else 0)
        held = max(0, self._record_bytes - overhead) if self._missing_bytes else 0
        others = max(0, length - held)
        return self._missing_bytes - len(self._header) + others + -(-others // RECORD_BYTES) * overhead

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
        _without(flags)
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
        return bytes(buffer[: self.recv_into(buffer, flags=flags)])

    def send(self, data: Any, flags: int = 0) -> int:
        """Send as much as the socket takes at once. The rest is lost and nothing may follow: for farewells alone."""
        _without(flags)
        written = self._tls.write(data)
        super().send(self._outgoing.read())
        return written

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all, within the timeout as a whole."""
        _without(flags)
        view, timeout_s, started = memoryview(data).cast("B"), self.gettimeout(), time.monotonic()
        while view:
            view = view[self._tls.write(view[:_WRITTEN_BYTES]) :]
            self._count_down(timeout_s, started)
            super().sendall(self._outgoing.read())

    def _refused(self, *_: Any, **__: Any) -> Any:
        """Raise, for what would pass by TLS."""
        raise NotImplementedError("a connection under TLS has recv, recv_into, send and sendall")

    sendmsg = sendto = sendfile = recvfrom = recvfrom_into = recvmsg = recvmsg_into = _refused

    def _count_down(self, timeout_s: float | None, started: float) -> None:
        """Wait no longer than what is left of a timeout; none is left of one that is over."""
        if timeout_s:
            left_s = timeout_s - (time.monotonic() - started)
            if left_s <= 0:
                raise TimeoutError("timed out")
            self.settimeout(left_s)

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
        self._follow(part)
        if part:
            self._incoming.write(part)
        else:
            self._incoming.write_eof()
        return act()

    def _follow(self, part: bytes) -> None:
        """Keep the length of the record that has begun, and what it lacks; of a header that is not whole, its bytes."""
        part, start = self._header + part, self._missing_bytes
        while start + _HEADER_BYTES <= len(part):
            left = int.from_bytes(part[start + 3 : start + _HEADER_BYTES], "big")
            if left > _MOST_LEFT_BYTES:
                error = ssl.SSLError(ssl.SSL_ERROR_SSL, f"record announces {left} bytes")
                error.reason = "RECORD_TOO_LONG"
                raise error
            self._record_bytes = _HEADER_BYTES + left
            start += self._record_bytes
        self._header, self._missing_bytes = part[start:], max(0, start - len(part))

    def _answered(self, act: Callable[[], Done]) -> Done:
        """Let the library act, and send what it says of its own accord: handshakes, alerts, answers to key updates."""
        try:
            done = act()
        except ssl.SSLWantReadError:
            self._say()
            raise
        except ssl.SSLError:
            with suppress(OSError):  # a peer that is gone hears no alert
                self._say()
            raise
        self._say()
        return done

    def _say(self) -> None:
        if said := self._outgoing.read():
            try:
                super().sendall(said)
            except BlockingIOError:
                raise ConnectionAbortedError("peer does not read what it asks for") from None


def _without(flags: int) -> None:
    if flags:
        raise ValueError(f"flags is {flags}; a connection under TLS has none")
