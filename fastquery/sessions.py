"""Lookups as a part of a program: a session with a server, and a server whose shares a program takes.

Examples
--------
>>> import fastquery as fq
>>> with fq.Server("300x24", align_bits=32) as server, fq.connect(server.address) as session:
...     mine = session.lookup([7, 299])
...     theirs = next(server.shares())
>>> fq.open(mine, theirs).shape
(2, 24)
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from costmodel.checks import whole_between
from costmodel.parameters import Configuration
from fastquery.queries import parse_address
from fastquery.words import ask, real, truth, whole
from protocol.audit import Audit
from protocol.channel import Channel
from protocol.client import connect as connect_socket
from protocol.errors import PeerGone
from protocol.hello import Hello
from protocol.limits import Limits
from protocol.lookup import ClientSession, LookupServer
from protocol.meter import Meter
from protocol.openfhe_library import load_openfhe
from protocol.requirements import Requirements
from protocol.seeds import SeedRecord, default_record
from protocol.server import budget_of, load_table
from protocol.service import Service
from protocol.share import MAX_TOKENS, Share
from protocol.tls import client_tls, require_tls, server_tls

MOST_UNTAKEN = 1024
"""Shares of a server that wait to be taken; a lookup more waits itself."""
HANDING_S = 30.0
"""Most seconds that a server which ends waits for whoever takes its shares."""


class Session:
    """A client's session: keys once, then lookups; threads may share it.

    A connection that is lost is made again, and the session resumed where the server still holds its keys.

    Parameters
    ----------
    reach
        Makes a connection to the server.
    tokens
        Most rows of a lookup.
    requirements
        What the server's parameters have to hold.
    seeds
        Record of the seeds used; the session closes it.

    Examples
    --------
    >>> import fastquery as fq
    >>> with fq.Server("300x24", protocol="folded") as server, fq.connect(server.address, tokens=2) as session:
    ...     first, setup_bytes = session.lookup([7, 299]), session.setup_bytes
    ...     second, setup_bytes_of_both = session.lookup([7]), session.setup_bytes
    >>> first.lookup, second.lookup, setup_bytes_of_both == setup_bytes
    (1, 2, True)
    """

    def __init__(
        self, reach: Callable[[], socket.socket], tokens: int, requirements: Requirements, seeds: SeedRecord
    ) -> None:
        self._reach, self._patience_s, self._seeds = reach, requirements.patience_s, seeds
        self._lock, self._closed = threading.Lock(), False
        self.meter = Meter("client", clock=time.thread_time)
        channel = self._channel()
        insecure = requirements.security_bits == 0
        try:
            self._session = ClientSession.open(channel, self.meter, tokens, insecure, seeds, requirements.check)
        except BaseException:
            channel.close()
            seeds.close()
            raise

    def __enter__(self) -> Session:
        """The session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        session, asked = self._session, self._session.configuration
        state = "closed" if self.connection.fileno() < 0 else f"{session.last_number} lookup(s)"
        return f"Session({asked.protocol}, {asked.table.rows}x{asked.table.channels}, {state})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session holds a connection and secret keys, and is not copied; connect again")

    @property
    def setup_bytes(self) -> int:
        """Bytes that this party has sent for the session itself: hello, keys, base transfers."""
        return sum(size for (lookup, *_), (_, size) in self.meter.transfers.items() if lookup == 0)

    @property
    def connection(self) -> socket.socket:
        """The socket that the session speaks over now."""
        return self._session.channel.connection

    @property
    def hello(self) -> Hello:
        """The session's last first message."""
        return self._session.greeter.hello

    def lookup(self, ids: Any) -> Share:
        """Look rows up together; this party's share of them.

        Parameters
        ----------
        ids
            Token ids: a sequence, an array or a tensor of whole numbers, or one of them.

        Raises
        ------
        ValueError
            If an id is no whole number or outside the vocabulary, or there are none or too many; no id is in the
            message.
        protocol.errors.ProtocolError
            If the server does not follow the protocol, or a lost session cannot be resumed.
        """
        tokens = ids_of(ids)
        with self._lock:
            self._require_connected()
            self._session.channel.renew_patience(self._patience_s)
            try:
                values = self._session.lookup(tokens)
            except PeerGone:
                # Under a new number, seed and counter: nothing of the lookup that was lost is used again.
                self._resume()
                values = self._session.lookup(tokens)
            self.meter.forget(self._session.last_number - 16)
            return Share.held(self._session, values)

    def prepare(self, tokens: int = 1) -> None:
        """Order the preparation of a lookup of so many tokens, which the server makes while it is idle.

        Raises
        ------
        ValueError
            If the server prepares nothing.
        protocol.errors.ProtocolError
            If it keeps no more.
        """
        with self._lock:
            self._require_connected()
            self._session.prepare(whole("tokens", tokens))

    def wait_prepared(self) -> None:
        """Wait until what was ordered is prepared: a lookup of as many tokens then uses it."""
        with self._lock:
            self._require_connected()
            self._session.wait_prepared()

    def close(self) -> None:
        """End the session; the server drops its keys."""
        with self._lock:
            self._closed = True
            try:
                if self.connection.fileno() >= 0:  # a connection that was lost and could not be made again is closed
                    self._session.end()
            except PeerGone:
                pass
            finally:
                self._session.channel.close()
                self._seeds.close()

    def _require_connected(self) -> None:
        if self._closed:
            raise ValueError("the session is closed; connect again")
        if self.connection.fileno() < 0:  # it was lost, and could not be made again at once
            self._resume()

    def _resume(self) -> None:
        self._session.channel.close()
        self._session.resume(self._channel())

    def _channel(self) -> Channel:
        return Channel(self._reach(), self.meter, patience_s=self._patience_s)


def ids_of(ids: Any) -> list[int]:
    """Token ids as a list.

    Raises
    ------
    ValueError
        If one is no whole number; it is not in the message.

    Examples
    --------
    >>> ids_of(np.array([[7, 299]], np.uint16)), ids_of(7)
    ([7, 299], [7])
    """
    held = np.asarray(ids) if hasattr(ids, "__array__") else np.asarray(ids, dtype=object)
    try:
        return [whole("token", one) for one in held.reshape(-1).tolist()]
    except ValueError:
        raise ValueError("a token id is no whole number; it must be one from 0") from None


def connect(
    address: str,
    *,
    tokens: int = 64,
    requirements: Requirements | None = None,
    seeds: Path | None = None,
    tls_ca: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> Session:
    """Open a session with a server.

    Parameters
    ----------
    address
        ``HOST:PORT``.
    tokens
        Most rows of a lookup.
    requirements
        What the server's parameters have to hold; 128 bits of security if left out.
    seeds
        The client's record of used seeds; the user's own if left out.
    tls_ca
        Speak TLS 1.3 with a server whose certificate one of these authorities signed, PEM; in the clear if left out.
    tls_cert, tls_key
        This client's certificate and its key, PEM, where the server asks for one.

    Raises
    ------
    ValueError
        If the address is none, tokens are not from 1 to 1024, or a file of TLS is missing or no such file.
    protocol.errors.ProtocolError
        If the server cannot be reached, does not follow the protocol, or states what is refused.

    Examples
    --------
    >>> import fastquery as fq
    >>> with fq.Server("300x24") as server, fq.connect(server.address, tokens=2) as session:
    ...     shares = server.shares()
    ...     mine, theirs = session.lookup([7, 299]), next(shares)
    >>> fq.open(mine, theirs).shape
    (2, 24)
    """
    host, port = parse_address(address)
    rows = whole_between("tokens", whole("tokens", tokens), 1, MAX_TOKENS)
    tls = client_tls(tls_ca, tls_cert, tls_key)
    load_openfhe()
    record = SeedRecord(seeds or default_record())
    return Session(lambda: connect_socket(host, port, tls), rows, requirements or Requirements(), record)


class Server:
    """A table served from this process while its context is open.

    Parameters
    ----------
    table
        As :func:`fastquery.estimate` takes it; it is loaded, quantised and encoded.
    on_share
        Called with the server's share of every lookup, in its session's thread, which an exception ends; :meth:`shares`
        gives them if left out.
    listen
        ``HOST:PORT``; port 0 takes a free one.
    seed
        Of a random table.
    limits
        Of the service.
    threads
        Threads that share the work of a lookup; as many as the limits say if left out, all free processors.
    tls_cert, tls_key
        Speak TLS 1.3 with this certificate and its key, PEM.
    client_ca
        Ask clients for certificates that these authorities signed, PEM.
    allow
        Names, one of which a client's certificate must have; any if there are none.
    plaintext
        Serve others than this machine without TLS.
    distance_budget
        log2 of the statistical distance that all answers of this table together may have, over restarts and all servers
        of it on this machine. An answer that would exceed it is refused.
    audit
        Append a line of JSON for every lookup to this file.
    words
        As :func:`fastquery.estimate`.

    Raises
    ------
    ValueError
        If a word is unknown, no engine executes the lookup, a file of TLS is missing or no such file, others than
        this machine would be served without TLS, the budget is not even that of one row, or the audit log cannot be
        written.
    RecordUnusable
        If the user's record of distances cannot be used.
    OSError
        If nothing can listen there.

    Examples
    --------
    >>> import fastquery as fq
    >>> taken = []
    >>> with fq.Server("300x24", protocol="folded", on_share=taken.append) as server:
    ...     with fq.connect(server.address) as session:
    ...         mine = session.lookup([299])
    >>> taken[0].party, fq.open(mine, taken[0]).shape
    ('server', (1, 24))
    """

    def __init__(
        self,
        table: Any,
        *,
        on_share: Callable[[Share], None] | None = None,
        listen: str = "127.0.0.1:0",
        seed: int = 0,
        limits: Limits | None = None,
        threads: int | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        client_ca: Path | None = None,
        allow: Collection[str] = (),
        plaintext: bool = False,
        distance_budget: float = -10.0,
        audit: Path | None = None,
        **words: Any,
    ) -> None:
        if on_share is not None and not callable(on_share):
            raise ValueError(f"on_share is {on_share!r}; it must be a function of a share")
        if limits is not None and not isinstance(limits, Limits):
            raise ValueError(f"limits is {limits!r}; it must be protocol.limits.Limits")
        seed, budget = whole("seed", seed), real("distance_budget", distance_budget)
        plaintext = truth("plaintext", plaintext)
        tls = server_tls(tls_cert, tls_key, client_ca, allow)
        host, port = parse_address(listen)
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            if not plaintext:
                require_tls(listener, listen, tls)
            asked = ask({"table": table, **words})
            allowed, meter = limits or Limits(), Meter("server")
            if threads is not None:
                allowed = replace(allowed, threads=whole("threads", threads))
            packed = load_table(asked.configuration, asked.table, seed)
            self._server = LookupServer(
                asked.configuration,
                packed,
                meter,
                lambda *_: None,
                bool(words.get("allow_insecure")),
                allowed.max_tokens,
                budget_of(asked.configuration, packed, budget),
                allowed.parked_bytes,
            )
            log = None if audit is None else Audit(audit)
            self._shares: queue.Queue[Share] = queue.Queue(MOST_UNTAKEN)
            self._port, self._host = listener.getsockname()[1], host
            self._service = Service(
                self._server, listener, allowed, meter, tls=tls, audit=log, on_share=on_share or self._shares.put
            )
        except BaseException:
            listener.close()
            raise
        self._thread = threading.Thread(target=self._service.run, name="fastquery server")

    @property
    def address(self) -> str:
        """Where it is served, as :func:`connect` takes it.

        Raises
        ------
        ValueError
            Before it is served.
        """
        if self._thread.ident is None:
            raise ValueError("the server serves inside its context; write `with server:` around its clients")
        return self._address

    @property
    def _address(self) -> str:
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    @property
    def configuration(self) -> Configuration:
        """What is served."""
        return self._server.configuration

    def __repr__(self) -> str:
        served = self.configuration
        return f"Server({self._address}, {served.protocol}, {served.table.rows}x{served.table.channels})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a server holds connections and clients' keys, and is not copied; make another one")

    def __enter__(self) -> Server:
        """Serve."""
        if self._thread.ident is not None:
            raise ValueError("a server serves once; make another one")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all sessions; the shares of answers that left have been handed out by then."""
        self._service.stop()
        self._thread.join()
        self._service.join(HANDING_S)

    def shares(self) -> Iterator[Share]:
        """The server's shares of all lookups as they are answered; waits for the next one."""
        while True:
            yield self._shares.get()
