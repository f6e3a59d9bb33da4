"""A server for many clients: connections that have not yet greeted wait in a lobby, the others have a thread each.

Sessions share the encoded table, which nothing writes to; keys, queries and masks belong to a session and go with it.
A session that fails tells its peer why and ends alone. Places, memory and turns at computing are counted by address:
whoever comes from another one than those that crowd the service finds it free.

The log has addresses, numbers of tokens, seconds, and what was wrong with a message: no token, key, mask or share.

Frames carry a checksum against damage and nothing against malice; TLS is what keeps others from the link. The parties
are not protected from each other beyond what the protocol gives curious ones; see the flooding that the parameters
state.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from protocol.alignment.session import ChannelShares
from protocol.audit import Audit
from protocol.channel import Channel
from protocol.engine import Shares
from protocol.errors import ProtocolError, place_of
from protocol.frames import Kind
from protocol.limits import Limits, memory_for
from protocol.lobby import MAX_VISITORS, Lobby, Visitor
from protocol.lookup import Answered, LookupServer, ServedSession
from protocol.meter import Meter
from protocol.records import RecordUnusable
from protocol.share import Share
from protocol.threads import Threads
from protocol.tls import Tls

LOG = logging.getLogger("fastquery.serve")

MAX_REQUESTS = 2
"""Of a client after a lookup."""
MAX_REPORTED = 8
"""Lookups, the last ones, that a report has entries of."""
_ASIDE = (Kind.REPORT.item, Kind.SHARES.item)
"""Messages that measure a session and are no part of it."""
STOPPING_S = 0.5
"""How long a service that stops waits for what is being computed and sent."""
_TICK_S = 0.1
_FULL = "server is full; try again later"
_STOPPING = "server is stopping; try again later"


@dataclass
class _Guest:
    """A client that has greeted: its channel, once it has a thread."""

    visitor: Visitor
    channel: Channel | None = None
    thread: threading.Thread | None = None


class Service:
    """Serves one table to many clients.

    Parameters
    ----------
    server
        The table, encoded.
    listener
        A listening socket; the service owns it.
    limits
        What is allowed.
    table_meter
        Counted the encoding of the table, which reports to clients include.
    reveal_shares
        Give a client that asks for it the server's share of its own rows: for tests, since both shares are the table.
    tls
        Speak TLS alone, by this.
    tell_seconds
        Give a client that asks for the server's ledger its CPU seconds too, rounded: how long a server computes may say
        something of its table and of other clients.
    audit
        Enters every lookup before its answer leaves.
    on_share
        Called with the server's share of every lookup, in the session's thread.

    Raises
    ------
    ValueError
        If the limits' memory does not hold a lookup of a single row.
    """

    def __init__(
        self,
        server: LookupServer,
        listener: socket.socket,
        limits: Limits,
        table_meter: Meter,
        reveal_shares: bool = False,
        tls: Tls | None = None,
        tell_seconds: bool = False,
        audit: Audit | None = None,
        on_share: Callable[[Share], None] | None = None,
    ) -> None:
        self._server = server
        self._limits = limits
        self._table_rows = table_meter.rows()
        self._reveal_shares = reveal_shares
        self._tell_seconds = tell_seconds
        self._audit = audit
        self._on_share = on_share
        self._threads = Threads(limits.threads)
        self.admission = limits.admission(self._fitted(), self._threads.cpu_s)
        self._lobby = Lobby(listener, self._receive, limits.timeout_s, tls)
        self._guests: dict[socket.socket, _Guest] = {}
        self._queues: dict[str, deque[_Guest]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @property
    def sessions(self) -> int:
        """Connections that have greeted, waiting for a place included."""
        return len(self._guests) + self.queued

    @property
    def queued(self) -> int:
        """Connections that have greeted and wait for a place."""
        with self._lock:
            return sum(map(len, self._queues.values()))

    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """What shows the health of the service, by name: a text, and the value now."""
        memory, turns, budget = self.admission.memory, self.admission.turns, self._server.budget
        workspaces = self.admission.workspaces
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "sessions": ("Clients that have greeted and have a place", lambda: len(self._guests)),
            "queued_sessions": ("Clients that have greeted and wait for a place", lambda: self.queued),
            "waiting_for_a_turn": ("Sessions that wait to compute", lambda: turns.waiting),
            "held_bytes": ("Memory held by messages and keys of all sessions", lambda: memory.held_bytes),
            "working_bytes": ("Memory held by lookups that are being computed", lambda: workspaces.held_bytes),
            "waiting_for_memory": ("Lookups that wait for memory to compute in", lambda: workspaces.waiting),
            "parked_sessions": ("Sessions whose connection was lost", lambda: len(self._server.parked)),
        }
        if budget is not None:
            gauges["budget_rows_left"] = ("Rows that the table's distance budget leaves", lambda: budget.rows_left)
        return gauges

    def run(self) -> None:
        """Serve until :meth:`stop` is called."""
        try:
            while not self._stopping.is_set():
                self._lobby.attend(_TICK_S)
                self._seat()
                self._show_out()
        finally:
            self._close()

    def stop(self) -> None:
        """End all sessions and :meth:`run`; may be called from a signal handler or another thread."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """After :meth:`run`, wait so long for sessions that are still handing out the share of an answer."""
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = [guest.thread for guest in self._guests.values() if guest.thread is not None]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _fitted(self) -> int:
        """Hold the server to the limits' memory; bytes of its largest lookup."""
        limits, server, threads = self._limits, self._server, self._threads.count
        wanted, stated = server.tokens_together, limits.memory_bytes >> 20
        best = memory_for(server.working_bytes(wanted, threads))
        try:
            lookup_bytes = server.fit(limits.largest_lookup_bytes, threads)
        except ValueError as error:
            least = memory_for(server.working_bytes(1, threads))
            remedy = f"give at least {-(-least >> 20)} MiB" + (" or fewer threads" if threads > 1 else "")
            raise ValueError(f"memory is {stated} MiB, and {error}: {remedy}") from None
        if server.tokens_together < wanted:
            LOG.info(
                "memory of %d MiB has room to compute on %d rows of a lookup at once; %d MiB would have it for %d",
                stated, server.tokens_together, -(-best >> 20), wanted,
            )  # fmt: skip
        return lookup_bytes

    def _receive(self, visitor: Visitor) -> str | None:
        """Give a client that has greeted a place in the queue of its address.

        Where all queues together are full, whoever came last of the longest makes place for it.
        """
        dismissed = None
        with self._lock:
            queue = self._queues.setdefault(visitor.address, deque())
            if len(queue) >= MAX_VISITORS // 8:
                return "server is full for your address; try again later"
            if sum(map(len, self._queues.values())) >= MAX_VISITORS:
                longest = max(self._queues.values(), key=len)
                if len(longest) <= len(queue) + 1:
                    return _FULL
                dismissed = longest.pop()
            queue.append(_Guest(visitor))
        if dismissed is not None:
            Channel(dismissed.visitor.connection, Meter("server")).dismiss(_FULL)
        self._seat()
        return None

    def _seat(self) -> None:
        """Give places that are free to those who wait, the next to the address that has the fewest.

        Among addresses with as few, to the one that was given none for longest.
        """
        with self._lock:
            while len(self._guests) < self._limits.clients:
                places = self._places()
                waiting = [
                    address
                    for address, queue in self._queues.items()
                    if queue and places.get(address, 0) < self._limits.address_clients
                ]
                if not waiting:
                    break
                chosen = min(waiting, key=lambda address: places.get(address, 0))
                queue = self._queues[chosen] = self._queues.pop(chosen)
                guest = queue.popleft()
                guest.thread = threading.Thread(target=self._session, args=(guest,), daemon=True, name="session")
                self._guests[guest.visitor.connection] = guest
                try:
                    guest.thread.start()
                except RuntimeError as error:  # the system allows no more of them
                    LOG.warning("no place given: %s", error)
                    del self._guests[guest.visitor.connection]
                    guest.thread = None
                    queue.appendleft(guest)
                    break
            for address in [address for address, queue in self._queues.items() if not queue]:
                del self._queues[address]

    def _places(self) -> dict[str, int]:
        places: dict[str, int] = {}
        for guest in self._guests.values():
            places[guest.visitor.address] = places.get(guest.visitor.address, 0) + 1
        return places

    def _show_out(self) -> None:
        """End sessions whose clients keep others waiting for longer than a service as full as this one bears."""
        memory, workspaces = self.admission.memory, self.admission.workspaces
        with self._lock:
            guests, places = list(self._guests.values()), self._places()
            wanted = memory.waiting > 0 or any(
                places.get(address, 0) < self._limits.address_clients
                for address, queue in self._queues.items()
                if queue
            )
        if not wanted and not workspaces.waiting:
            return
        filled = max(
            len(guests) / self._limits.clients,
            memory.held_bytes / memory.most_bytes,
            workspaces.held_bytes / workspaces.most_bytes,
        )
        patience_s, now = self._limits.patience_when(filled), time.monotonic()
        for guest in guests:
            # Memory to compute in is held by those alone that are sent an answer.
            if guest.channel is None or not (wanted or guest.channel.sending):
                continue
            if guest.channel.waited_s(now) > patience_s:
                guest.channel.interrupt("you kept others waiting for longer than a full server bears; try again later")

    def _close(self) -> None:
        deadline = time.monotonic() + STOPPING_S
        self.admission.stop(_STOPPING)
        with self._lock:
            queued = [guest for queue in self._queues.values() for guest in queue]
            self._queues.clear()
            guests = list(self._guests.values())
        for guest in queued:
            Channel(guest.visitor.connection, Meter("server")).dismiss(_STOPPING)
        self._lobby.close(_STOPPING)
        for guest in guests:
            if guest.channel is not None and not guest.channel.sending:
                guest.channel.interrupt(_STOPPING)
        for guest in guests:
            if guest.thread is not None:
                guest.thread.join(max(0.0, deadline - time.monotonic()))
        for guest in guests:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(guest.visitor.connection, socket.SHUT_RDWR)

    def _session(self, guest: _Guest) -> None:
        """One client, from its hello to its leaving, in a thread of its own."""
        visitor, limits, started = guest.visitor, self._limits, time.monotonic()
        connection, peer = visitor.connection, visitor.peer
        allowance = self.admission.allowance(visitor.address)
        meter = Meter("server", clock=self._threads.cpu_s, turn=allowance.turn, threads=self._threads)
        try:
            connection.setblocking(True)
            channel = guest.channel = Channel(
                connection,
                meter,
                limits.timeout_s,
                patience_s=limits.patience_s,
                received=bytes(visitor.said),
                arrived=allowance.room.arrived,
                aside=allowance.turn.aside,
            )
            try:
                if self._stopping.is_set():
                    raise ProtocolError(_STOPPING)
                with allowance.room.held():
                    session = self._server.open(channel, meter, allowance, partial(self._enter, visitor))
                    self._serve(session, channel, visitor)
            except ProtocolError as error:
                LOG.warning("%s: ended after %.2f s: %s", peer, time.monotonic() - started, str(error))
                channel.fail(str(error))
            except Exception as error:
                # A record's text names the file and a remedy, for the operator alone; others may hold what is secret.
                told = error if isinstance(error, RecordUnusable) else place_of(error)
                LOG.error("%s: server failed: %s", peer, told)
                channel.fail("server failed in this session; its log says where")
        except OSError as error:
            LOG.warning("%s: connection lost: %s", peer, error.strerror)
        finally:
            connection.close()
            with self._lock:
                self._guests.pop(connection, None)
            if not self._stopping.is_set():
                self._seat()

    def _enter(self, visitor: Visitor, rows: int) -> None:
        """Write a lookup to the audit log."""
        if self._audit is not None:
            budget = self._server.budget
            self._audit.enter(visitor.peer, visitor.name, rows, None if budget is None else budget.log2_of(rows))

    def _serve(self, session: ServedSession, channel: Channel, visitor: Visitor) -> None:
        """A client's lookups, and what it asks for after each of them."""
        began, asked, last = time.monotonic(), 0, None
        for event in session.events():
            channel.renew_patience(self._limits.patience_s)
            if not isinstance(event, Answered):
                asked += 1
                if asked > MAX_REQUESTS:
                    raise ProtocolError(f"more than {MAX_REQUESTS} requests after a lookup")
                self._meet(event, channel, session.meter, last)
                began = time.monotonic()
                continue
            count = len(event.shares)
            LOG.info(
                "%s: lookup %d, %d token(s) in %.2f s", visitor.peer, event.number, count, time.monotonic() - began
            )
            if self._on_share is not None:
                self._on_share(Share.of(session, event))
            # Whoever stays without asking is not to keep the server's shares in memory.
            last, asked = event.shares if self._reveal_shares else None, 0
            session.meter.forget(event.number + 1 - MAX_REPORTED)
            began = time.monotonic()

    def _meet(self, asked: Kind, channel: Channel, meter: Meter, shares: Shares | ChannelShares | None) -> None:
        """Send a client that asks the server's ledger or, of a test server, its shares of the last lookup."""
        if asked is Kind.REPORT:
            counted = (row for row in (*self._table_rows, *meter.rows()) if row["item"] not in _ASIDE)
            rows = [self._told(row) for row in counted]
            channel.send(Kind.REPORT, json.dumps(rows, separators=(",", ":")).encode())
        elif shares is not None:
            channel.send(Kind.SHARES, np.ascontiguousarray(shares).view(np.uint64).astype("<u8").tobytes())
        else:
            raise ProtocolError("server does not reveal its shares")

    def _told(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of the ledger as clients get it: seconds to two digits, or none."""
        if "seconds" not in row:
            return row
        return {**row, "seconds": float(f"{row['seconds']:.1e}") if self._tell_seconds else 0.0}
