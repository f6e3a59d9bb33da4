"""The lobby of a service: connections that have not yet greeted.

One thread listens to all of them, so that connections that say nothing, or say it a byte at a time, keep nobody
waiting. A connection leaves the lobby once its whole hello is there. Where there are too many, the one that has been
there longest, of the address with the most of them, makes place for the next.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from costmodel.wire import HELLO_BYTES
from protocol.errors import ProtocolError, place_of
from protocol.frames import HEADER, MAGIC, VERSION, Kind, decode_header, encode_frame
from protocol.limits import address_key, descriptors_allowed
from protocol.secured import SecuredSocket
from protocol.tls import Tls, handshake_words

LOG = logging.getLogger("fastquery.serve")

GREETING_BYTES = HEADER.size + HELLO_BYTES
_GREETING_START = MAGIC + bytes([VERSION, Kind.HELLO])
GREETING_TIMEOUT_S = 10.0
"""How long a connection may take for its hello."""
LEAVING_S = 1.0
"""How long a connection that was refused is kept open, so that the peer can read why."""
MAX_SECURED_BYTES = 65536
"""What a visitor may send before its hello is read, its certificates among them: the library reads on for as long as
there are records that carry nothing."""
SPARE_DESCRIPTORS = 32
"""Files and sockets that visitors leave to records, threads and the health of the service."""
MAX_VISITORS = 512
"""Connections in the lobby."""
_CROWDED = "server has too many connections; try again later"


@dataclass
class Visitor:
    """A connection in the lobby: who it is, what it has said so far, and until when it may stay."""

    connection: socket.socket
    peer: str
    address: str
    deadline: float
    said: bytearray = field(default_factory=bytearray)
    name: str | None = None
    shaking_hands: bool = False
    leaving: bool = False


class Lobby:
    """Accepts connections and gives away those that have greeted.

    Parameters
    ----------
    listener
        A listening socket; the lobby owns it.
    greeted
        Called with a visitor whose hello is there, and who is no longer in the lobby; a reason refuses it, and nothing
        takes it.
    timeout_s
        How long a hello may take, if that is less than usual.
    tls
        Speak TLS alone, by this.
    """

    def __init__(
        self, listener: socket.socket, greeted: Callable[[Visitor], str | None], timeout_s: float, tls: Tls | None
    ) -> None:
        self._listener = listener
        self._greeted = greeted
        self._timeout_s = min(GREETING_TIMEOUT_S, timeout_s)
        self._tls = tls
        self._visitors: dict[socket.socket, Visitor] = {}
        self._selector = selectors.DefaultSelector()
        self._highest = descriptors_allowed() - SPARE_DESCRIPTORS
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def attend(self, seconds: float) -> None:
        """Listen for so long, then show out those whose time is over."""
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._listener:
                self._welcome()
            elif key.fileobj in self._visitors:
                try:
                    self._listen_to(key.data)
                except Exception as error:  # of this visitor: the others stay
                    LOG.error("%s: lobby failed: %s", key.data.peer, place_of(error))
                    self._drop(key.data)
        now = time.monotonic()
        for visitor in [visitor for visitor in self._visitors.values() if visitor.deadline <= now]:
            if visitor.leaving:
                self._forget(visitor).close()
            else:
                self._refuse(visitor, "hello did not arrive within the time allowed")

    def close(self, reason: str) -> None:
        """Refuse everybody."""
        for visitor in list(self._visitors.values()):
            _say(visitor.connection, reason)
            self._forget(visitor).close()
        self._selector.close()
        self._listener.close()

    def _welcome(self) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError as error:
            # Out of descriptors, or the peer has left again: a place is made and the next one may have more luck.
            if not isinstance(error, (BlockingIOError, ConnectionError)):
                LOG.warning("no connection accepted: %s", error.strerror)
                self._dismiss_one()
                time.sleep(0.01)
            return
        crowded = connection.fileno() >= self._highest
        if crowded or len(self._visitors) >= MAX_VISITORS:
            self._dismiss_one()
        if crowded:
            with connection:
                connection = connection.dup()  # as the lowest that is free: that of whoever was dismissed
            if connection.fileno() >= self._highest:
                _say(connection, _CROWDED)
                connection.close()
                return
        connection.setblocking(False)
        peer, key = "local", "local"
        if isinstance(address, tuple):
            peer, key = f"{address[0]}:{address[1]}", address_key(address[0])
        visitor = Visitor(
            connection, peer, key, time.monotonic() + self._timeout_s, shaking_hands=self._tls is not None
        )
        self._visitors[connection] = visitor
        self._selector.register(connection, selectors.EVENT_READ, visitor)

    def _listen_to(self, visitor: Visitor) -> None:
        if visitor.shaking_hands and not visitor.leaving and not self._shake_hands(visitor):
            return
        try:
            if visitor.leaving:
                # Below TLS: what still comes is not read, but a socket closed with unread bytes takes its words back.
                said = socket.socket.recv(visitor.connection, 65536)
            else:
                said = visitor.connection.recv(GREETING_BYTES - len(visitor.said))
        except (BlockingIOError, ssl.SSLWantReadError):
            self._check_sent(visitor)
            return
        except OSError:
            said = b""
        if not said:
            self._forget(visitor).close()
            return
        if visitor.leaving:
            return
        visitor.said += said
        if (wrong := _wrong_start(bytes(visitor.said[: HEADER.size]))) is not None:
            self._refuse(visitor, wrong)
        elif len(visitor.said) == GREETING_BYTES:
            self._give_away(visitor)

    def _check_sent(self, visitor: Visitor) -> None:
        """Refuse a visitor that sends and sends, and nothing that is read here."""
        connection = visitor.connection
        if isinstance(connection, SecuredSocket) and connection.taken_bytes > MAX_SECURED_BYTES:
            self._refuse(visitor, "TLS: too many records before the hello")

    def _shake_hands(self, visitor: Visitor) -> bool:
        """Go on with the handshake of TLS; whether the visitor may speak now."""
        assert self._tls is not None
        try:
            if not isinstance(visitor.connection, SecuredSocket):
                first = visitor.connection.recv(1, socket.MSG_PEEK)
                if first == MAGIC[:1]:
                    self._refuse(visitor, "this server speaks TLS alone: query with --tls-ca")
                    return False
                # The same descriptor, detached from its socket: the selector has to be told.
                visitor.connection = self._tls.secured(self._forget(visitor))
                self._visitors[visitor.connection] = visitor
                self._selector.register(visitor.connection, selectors.EVENT_READ, visitor)
            visitor.connection.do_handshake()
        except (BlockingIOError, ssl.SSLWantReadError):
            self._check_sent(visitor)
            return False
        except OSError as error:
            # The peer has its own words for it from TLS, which has sent them.
            self._see_off(visitor, handshake_words(error))
            return False
        visitor.shaking_hands = False
        visitor.name = self._tls.name_of(visitor.connection)
        if not self._tls.allows(visitor.connection):
            self._refuse(visitor, f"certificate of {visitor.name or 'nobody'} is not of an allowed name")
            return False
        return True

    def _give_away(self, visitor: Visitor) -> None:
        self._selector.unregister(visitor.connection)
        reason = self._greeted(visitor)
        if reason is None:
            del self._visitors[visitor.connection]
            return
        self._selector.register(visitor.connection, selectors.EVENT_READ, visitor)
        self._refuse(visitor, reason)

    def _refuse(self, visitor: Visitor, reason: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            visitor.connection.send(encode_frame(Kind.ERROR, 0, reason.encode()))
        self._see_off(visitor, reason)

    def _see_off(self, visitor: Visitor, reason: str) -> None:
        """Say no more, and wait a little for the peer to read what was said."""
        LOG.warning("%s: refused: %s", visitor.peer, reason)
        visitor.leaving = True
        visitor.deadline = time.monotonic() + LEAVING_S
        try:
            socket.socket.shutdown(visitor.connection, socket.SHUT_WR)
        except OSError:
            self._forget(visitor).close()

    def _dismiss_one(self) -> None:
        if not self._visitors:
            return
        ((crowd, _),) = Counter(visitor.address for visitor in self._visitors.values()).most_common(1)
        oldest = next(visitor for visitor in self._visitors.values() if visitor.address == crowd)
        _say(oldest.connection, _CROWDED)
        self._forget(oldest).close()

    def _drop(self, visitor: Visitor) -> None:
        """Close a visitor's connection, whatever state it was left in."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(visitor.connection)
        self._visitors.pop(visitor.connection, None)
        visitor.connection.close()

    def _forget(self, visitor: Visitor) -> socket.socket:
        self._selector.unregister(visitor.connection)
        del self._visitors[visitor.connection]
        return visitor.connection


def _say(connection: socket.socket, reason: str) -> None:
    """Tell a peer why it is refused, as far as it can be told at once."""
    with contextlib.suppress(OSError, ValueError):
        connection.send(encode_frame(Kind.ERROR, 0, reason.encode()))


def _wrong_start(start: bytes) -> str | None:
    """What is wrong with the first bytes of a connection, up to a header, if it is none of this protocol's clients."""
    if len(start) < HEADER.size and _GREETING_START.startswith(start[: len(_GREETING_START)]):
        return None
    try:
        kind, _, length, _ = decode_header(start.ljust(HEADER.size, b"\0"))
    except ProtocolError as error:
        return str(error)
    if kind is not Kind.HELLO:
        return f"expected a frame of kind {Kind.HELLO.item!r}, got {kind.item!r}"
    return None if length == HELLO_BYTES else f"hello frame announces {length} bytes, expected {HELLO_BYTES}"
