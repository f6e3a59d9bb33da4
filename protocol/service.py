"""A server for many clients: connections that have not yet greeted wait in a lobby, the others have a thread each.

A connection takes a session's thread only once its whole hello is there, so that connections that say nothing, or say
it a byte at a time, keep nobody waiting. Sessions share the encoded table, which nothing writes to; keys, queries and
masks belong to a session and go with it. A session that fails tells its peer why and ends alone.

The log has addresses, numbers of tokens, seconds, and what was wrong with a message: no token, key, mask or share.

Frames carry a checksum against damage and nothing against malice: neither party knows who the other is, and whoever
sits between them can replace keys, queries and answers, which turns shares into wrong ones and, with a table of the
attacker's, proves nothing about this one. Run the service through a tunnel that authenticates both ends (TLS by
stunnel, ``ssh -L``) wherever the link is not trusted. Nor are the parties protected from each other beyond what the
protocol gives curious ones; see the flooding that the parameters state.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from costmodel.wire import HELLO_BYTES
from protocol.admission import Admission
from protocol.alignment.session import ChannelShares
from protocol.channel import Channel
from protocol.engine import Shares
from protocol.errors import ProtocolError
from protocol.frames import HEADER, MAGIC, VERSION, Kind, decode_header, encode_frame
from protocol.lookup import LookupServer
from protocol.meter import Meter

LOG = logging.getLogger("fastquery.serve")

GREETING_BYTES = HEADER.size + HELLO_BYTES
_GREETING_START = MAGIC + bytes([VERSION, Kind.HELLO])
GREETING_TIMEOUT_S = 10.0
"""How long a connection may take for its hello."""
LEAVING_S = 1.0
"""How long a connection that was refused is kept open, so that the peer can read why."""
MAX_VISITORS = 512
"""Connections in the lobby; the one that has been there longest makes place for one more."""
MAX_REQUESTS = 2
"""Of a client after its lookup."""
_TICK_S = 0.25


def free_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """What a service allows.

    ``clients`` sessions at once, and as many again waiting as the lobby has places; ``memory_bytes`` for their
    messages together; ``timeout_s`` for a frame that is due, ``patience_s`` for all waiting for one client;
    ``workers`` sessions computing at once.
    """

    clients: int = 128
    memory_bytes: int = 2**30
    timeout_s: float = 60.0
    patience_s: float = 300.0
    workers: int = field(default_factory=free_processors)

    def __post_init__(self) -> None:
        for name, low, high in (("clients", 1, 4096), ("memory_bytes", 2**20, 2**44), ("workers", 1, 1024)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between {low} and {high}")
        for name in ("timeout_s", "patience_s"):
            if not 0.1 <= getattr(self, name) <= 86400:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0.1 and 86400 seconds")

    def admission(self) -> Admission:
        """Room and turns within these limits."""
        return Admission(self.memory_bytes, self.workers, self.patience_s)


@dataclass
class _Visitor:
    """A connection in the lobby: what it has said so far, until when it may stay, and whether it was refused."""

    connection: socket.socket
    peer: str
    deadline: float
    said: bytearray = field(default_factory=bytearray)
    leaving: bool = False


class Service:
    """Serves one table to many clients.

    Parameters
    ----------
    server
        The table, encoded, made with the admission of the same limits.
    listener
        A listening socket; the service owns it.
    limits
        What is allowed.
    table_meter
        Counted the encoding of the table, which reports to clients include.
    reveal_shares
        Give a client that asks for it the server's share of its own rows: for tests, since both shares are the table.
    """

    def __init__(
        self,
        server: LookupServer,
        listener: socket.socket,
        limits: Limits,
        table_meter: Meter,
        reveal_shares: bool = False,
    ) -> None:
        self._server = server
        self._listener = listener
        self._limits = limits
        self._table_rows = table_meter.rows()
        self._reveal_shares = reveal_shares
        self._visitors: dict[socket.socket, _Visitor] = {}
        self._selector = selectors.DefaultSelector()
        self._pool = ThreadPoolExecutor(limits.clients, thread_name_prefix="session")
        self._guests: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def sessions(self) -> int:
        """Connections that have greeted, waiting for a thread included."""
        return len(self._guests)

    def run(self) -> None:
        """Serve until :meth:`stop` is called."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        try:
            while not self._stopping.is_set():
                for key, _ in self._selector.select(_TICK_S):
                    if key.fileobj is self._listener:
                        self._welcome()
                    elif key.fileobj in self._visitors:
                        self._listen_to(key.data)
                self._show_out()
        finally:
            self._close()

    def stop(self) -> None:
        """End all sessions and :meth:`run`; may be called from a signal handler or another thread."""
        self._stopping.set()

    def _welcome(self) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError as error:
            # Out of descriptors, or the peer has left again: a place is made and the next one may have more luck.
            if not isinstance(error, (BlockingIOError, ConnectionError)):
                LOG.warning("no connection accepted: %s", error.strerror)
                self._dismiss_oldest()
                time.sleep(0.01)
            return
        if len(self._visitors) >= MAX_VISITORS:
            self._dismiss_oldest()
        connection.setblocking(False)
        peer = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "local"
        visitor = _Visitor(connection, peer, time.monotonic() + min(GREETING_TIMEOUT_S, self._limits.timeout_s))
        self._visitors[connection] = visitor
        self._selector.register(connection, selectors.EVENT_READ, visitor)

    def _listen_to(self, visitor: _Visitor) -> None:
        try:
            said = visitor.connection.recv(65536 if visitor.leaving else GREETING_BYTES - len(visitor.said))
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._forget(visitor).close()
            return
        if visitor.leaving:
            return
        visitor.said += said
        start = bytes(visitor.said[: len(_GREETING_START)])
        if not _GREETING_START.startswith(start):
            self._refuse(visitor, _wrong_start(start))
        elif len(visitor.said) == GREETING_BYTES:
            self._receive(visitor)

    def _receive(self, visitor: _Visitor) -> None:
        """Give a connection that has greeted a thread, or a place in the queue for one."""
        if len(self._guests) >= self._limits.clients + MAX_VISITORS:
            self._refuse(visitor, "server is full; try again later")
            return
        connection = self._forget(visitor)
        with self._lock:
            self._guests.add(connection)
        self._pool.submit(self._session, connection, bytes(visitor.said), visitor.peer)

    def _refuse(self, visitor: _Visitor, reason: str) -> None:
        LOG.warning("%s: refused: %s", visitor.peer, reason)
        visitor.leaving = True
        visitor.deadline = time.monotonic() + LEAVING_S
        try:
            visitor.connection.send(encode_frame(Kind.ERROR, 0, reason.encode()))
            visitor.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(visitor).close()

    def _show_out(self) -> None:
        """End the stay of visitors whose time is over."""
        now = time.monotonic()
        for visitor in [visitor for visitor in self._visitors.values() if visitor.deadline <= now]:
            if visitor.leaving:
                self._forget(visitor).close()
            else:
                self._refuse(visitor, "hello did not arrive within the time allowed")

    def _dismiss_oldest(self) -> None:
        for visitor in list(self._visitors.values())[:1]:
            with contextlib.suppress(OSError):
                visitor.connection.send(
                    encode_frame(Kind.ERROR, 0, b"server has too many connections; try again later")
                )
            self._forget(visitor).close()

    def _forget(self, visitor: _Visitor) -> socket.socket:
        self._selector.unregister(visitor.connection)
        del self._visitors[visitor.connection]
        return visitor.connection

    def _close(self) -> None:
        for visitor in list(self._visitors.values()):
            self._forget(visitor).close()
        self._selector.close()
        self._listener.close()
        with self._lock:
            for connection in self._guests:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connection in self._guests:
            connection.close()

    def _session(self, connection: socket.socket, greeting: bytes, peer: str) -> None:
        """One client, from its hello to its leaving, in a thread of its own."""
        limits, started = self._limits, time.monotonic()
        meter = Meter("server", clock=time.thread_time)
        try:
            connection.setblocking(True)
            channel = Channel(connection, meter, limits.timeout_s, patience_s=limits.patience_s, received=greeting)
            try:
                shares = self._server.session(channel, meter)
                LOG.info("%s: %d token(s) in %.2f s", peer, len(shares), time.monotonic() - started)
                # Whoever stays without asking is not to keep the server's shares in memory.
                revealed = shares if self._reveal_shares else None
                del shares
                self._answer_requests(channel, meter, revealed)
            except ProtocolError as error:
                LOG.warning("%s: ended after %.2f s: %s", peer, time.monotonic() - started, str(error))
                channel.fail(str(error))
            except Exception as error:
                # What an unexpected error says may hold anything; where it happened does not.
                LOG.error("%s: server failed: %s", peer, _place(error))
                channel.fail("server failed in this session; its log says where")
        except OSError as error:
            LOG.warning("%s: connection lost: %s", peer, error.strerror)
        finally:
            with self._lock:
                self._guests.discard(connection)
            connection.close()

    def _answer_requests(self, channel: Channel, meter: Meter, shares: Shares | ChannelShares | None) -> None:
        """What a client may ask after its lookup: the server's ledger and, of a test server, its shares."""
        report = json.dumps([*self._table_rows, *meter.rows()], separators=(",", ":")).encode()
        for _ in range(MAX_REQUESTS):
            asked = channel.receive_request((Kind.REPORT, Kind.SHARES))
            if asked is None:
                return
            if asked is Kind.REPORT:
                channel.send(Kind.REPORT, report)
            elif shares is not None:
                channel.send(Kind.SHARES, np.ascontiguousarray(shares).view(np.uint64).astype("<u8").tobytes())
            else:
                raise ProtocolError("server does not reveal its shares")


def _wrong_start(start: bytes) -> str:
    """What is wrong with the first bytes of a connection that is none of this protocol's clients."""
    try:
        kind, *_ = decode_header(start.ljust(HEADER.size, b"\0"))
    except ProtocolError as error:
        return str(error)
    return f"expected a frame of kind {Kind.HELLO.item!r}, got {kind.item!r}"


def _place(error: Exception) -> str:
    """Where an error was raised, without a word of what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
