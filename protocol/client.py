"""The client: looks rows up at an address, as a part of a program or as a process of its own.

The process takes a job on standard input and reports events as JSON lines on standard output. The job names the
server's address and the tokens of every lookup; nothing else reaches the client but the server's messages.
"""

from __future__ import annotations

import json
import math
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.ledger import PHASES, UNITS
from costmodel.parameters import Configuration
from protocol.alignment.session import ChannelShares
from protocol.channel import Channel
from protocol.engine import Shares
from protocol.engines import engine_of
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.jobs import emit, peak_memory_bytes, read_job, shares_path
from protocol.lookup import ClientSession
from protocol.meter import Meter
from protocol.parameters_message import StatedBudget
from protocol.seeds import SeedRecord, SeedRecordUnusable, SeedReused
from protocol.share import Share
from protocol.tls import secured
from quantize.public import PublicTable

CONNECT_TIMEOUT_S = 10.0
REPORT_LENGTHS = range(2, 65537)
PARAMETERS_REFUSED = "client does not take the parameters"
LEFT = "client ended the session"
"""What a server hears of a session that its client ends: whatever was wrong may have depended on token or key."""


class Batch(NamedTuple):
    """Tokens that are looked up together.

    Attributes
    ----------
    tokens
        Their rows in the table.
    prepared
        Whether the lookup is prepared just before, where the server's parameters have anything to prepare. A lookup
        that they let nobody compute whole is prepared in any case.
    """

    tokens: Sequence[int]
    prepared: bool = True


@dataclass(frozen=True, eq=False)
class Lookup:
    """What a client has after a lookup: what the server stated, its own shares, and what it measured.

    ``ordered_s``, ``started_s`` and ``finished_s`` are readings of the machine's clock: the lookup's preparation was
    ordered, if there is one; the tokens were known; the shares were there.
    """

    configuration: Configuration
    public: PublicTable
    shares: Shares | ChannelShares
    ledger: list[dict[str, Any]]
    ordered_s: float
    started_s: float
    finished_s: float
    noise_bits: float
    share: Share
    tokens: Sequence[int] = field(repr=False)
    budget: StatedBudget | None = None

    @property
    def latency_s(self) -> float:
        """Seconds until the client had its shares; where the last message is its own, the server has them later."""
        return self.finished_s - self.started_s


def connect(host: str, port: int, tls: ssl.SSLContext | None = None) -> socket.socket:
    """A connection to a server, in the clear unless TLS is given.

    Raises
    ------
    ProtocolError
        If none answers there, or it is not who its certificate should say.
    """
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S)
    except OSError as error:
        raise ProtocolError(f"no server at {host}:{port}: {error}") from None
    return connection if tls is None else secured(connection, tls, host)


class _OutsideVocabulary(Exception):
    """A token is none of the table's, which has so many rows."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows


def look_up(
    channel: Channel,
    meter: Meter,
    tokens: Sequence[int],
    allow_insecure: bool,
    seeds: SeedRecord,
    accept: Callable[[Configuration], None] | None = None,
) -> Lookup:
    """Look rows up, the only ones of a session that is left open; see :func:`look_up_each`."""
    return next(look_up_each(channel, meter, [Batch(tokens)], len(tokens), allow_insecure, seeds, accept))


def look_up_each(
    channel: Channel,
    meter: Meter,
    batches: Iterable[Batch],
    most: int,
    allow_insecure: bool,
    seeds: SeedRecord,
    accept: Callable[[Configuration], None] | None = None,
) -> Iterator[Lookup]:
    """Look rows up in one session, a lookup a batch of them; batches are asked for as their turn comes.

    Parameters
    ----------
    batches
        Of every lookup; the first one is there before the session is opened.
    most
        Rows of a lookup at most.
    channel, meter, allow_insecure, seeds, accept
        As :meth:`protocol.lookup.ClientSession.open`.

    Yields
    ------
    Lookup
        With the entries of the session's setup and its own.

    Raises
    ------
    ValueError
        If a token is outside the vocabulary, or there are too many: nothing was made or sent of them, and of the first
        lookup the server sees a client leave that did not take its parameters.
    ProtocolError
        If the server does not follow the protocol, ends the session, or states what is refused. It is told of its
        parameters what is refused; once keys are there, that the client has left and no more.
    """
    coming = iter(batches)
    first = next(coming)

    def checked(configuration: Configuration) -> None:
        if accept is not None:
            accept(configuration)
        if any(not 0 <= token < configuration.table.rows for token in first.tokens):
            raise _OutsideVocabulary(configuration.table.rows)

    try:
        session = ClientSession.open(channel, meter, most, allow_insecure, seeds, checked)
        opened = meter.rows()
        for batch in chain([first], coming):
            yield _looked_up(session, batch, opened)
            meter.forget(session.next_number)
    except _OutsideVocabulary as error:
        channel.fail(PARAMETERS_REFUSED)
        raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {error.rows - 1}") from None
    except ValueError:
        channel.fail(LEFT)
        raise
    except ProtocolError:
        channel.fail(PARAMETERS_REFUSED if not meter.transfers.get((0, "setup", Kind.KEYS.item)) else LEFT)
        raise


def _looked_up(session: ClientSession, batch: Batch, opened: list[dict[str, Any]]) -> Lookup:
    """One lookup of a session."""
    ordered_s = time.monotonic()
    if batch.prepared and session.configuration.has_offline_phase:
        session.prepare(len(batch.tokens))
        session.wait_prepared()
    started_s = time.monotonic()
    shares = session.lookup(batch.tokens)
    finished_s = time.monotonic()
    own = [row for row in session.meter.rows() if row["lookup"] == session.last_number]
    return Lookup(
        configuration=session.configuration,
        public=session.public,
        shares=shares,
        ledger=[*opened, *own],
        ordered_s=ordered_s,
        started_s=started_s,
        finished_s=finished_s,
        noise_bits=session.engine.noise_bits(),
        share=Share.held(session, shares),
        tokens=batch.tokens,
        budget=session.budget,
    )


def ask_report(channel: Channel) -> list[dict[str, Any]]:
    """The server's ledger of this session, its table's encoding included; after a lookup.

    Raises
    ------
    ProtocolError
        If what comes is no ledger.
    """
    channel.send(Kind.REPORT, b"")
    try:
        rows = json.loads(channel.receive_sized(Kind.REPORT, REPORT_LENGTHS))
        return [_server_row(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ProtocolError("server's report is malformed") from None


def ask_shares(channel: Channel, own: Shares | ChannelShares) -> Shares | ChannelShares:
    """The server's shares, from a server that reveals them for tests.

    Raises
    ------
    ProtocolError
        If it does not.
    """
    channel.send(Kind.SHARES, b"")
    body = channel.receive(Kind.SHARES, 8 * own.size)
    shares: NDArray[Any] = np.frombuffer(body, dtype="<u8").astype(np.uint64).view(own.dtype).reshape(own.shape)
    return shares


def _server_row(row: dict[str, Any]) -> dict[str, Any]:
    kind, phase, item, count = row["kind"], row["phase"], row["item"], int(row["count"])
    lookup = int(row["lookup"])
    quantity = {"transfer": "bytes", "work": "seconds"}[kind]
    value = float(row[quantity])
    if phase not in PHASES or not 1 <= len(item) <= 64 or not item.isprintable():
        raise ValueError("phase or item")
    if not (0 <= lookup < 2**32 and 0 <= count < 2**53 and 0 <= value < 2**53 and math.isfinite(value)):
        raise ValueError("count or quantity")
    entry = {"kind": kind, "lookup": lookup, "phase": phase, "party": "server", "item": item, "count": count}
    if kind == "work":
        return {**entry, "seconds": value}
    unit, messages = row["unit"], int(row["messages"])
    if unit not in UNITS or not 0 <= messages < 2**53:
        raise ValueError("unit or messages")
    return {**entry, "unit": unit, "messages": messages, "bytes": int(value)}


class Loading:
    """Loads everything that a client computes with once its server's parameters are there, and takes the time.

    A program that has opened a session before has all of it, so that no session's time has a part in it.

    Attributes
    ----------
    seconds
        Wall seconds that it took.
    """

    def __init__(self, allow_insecure: bool) -> None:
        self.seconds = 0.0
        self._allow_insecure = allow_insecure

    def __call__(self, configuration: Configuration) -> None:
        """Make a client that is thrown away."""
        started_s = time.monotonic()
        tokens = configuration.table.tokens
        engine_of(configuration).client(configuration, tokens, Meter("client"), self._allow_insecure, SeedRecord())
        self.seconds = time.monotonic() - started_s


def query_each(job: dict[str, Any]) -> None:
    """Look the job's batches up in one session; write the client's shares and emit the measured ledger of each."""
    meter = Meter("client")
    batches = [Batch([int(token) for token in tokens], bool(prepared)) for tokens, prepared in job["batches"]]
    most = max(len(batch.tokens) for batch in batches)
    insecure, loading = job["allow_insecure"], Loading(job["allow_insecure"])
    connected_s = time.monotonic()
    channel = Channel(connect(job["host"], job["port"]), meter)
    try:
        seeds = SeedRecord(Path(job["seed_record"]))
        for number, found in enumerate(look_up_each(channel, meter, batches, most, insecure, seeds, loading)):
            np.save(shares_path(job["reveal_shares_to"], "client", number), found.shares)
            emit(
                "result",
                ledger=found.ledger,
                connected_s=connected_s,
                loading_s=loading.seconds,
                ordered_s=found.ordered_s,
                started_s=found.started_s,
                finished_s=found.finished_s,
                noise_bits=found.noise_bits,
                peak_memory_bytes=peak_memory_bytes(),
            )
        channel.send(Kind.END, b"")
    finally:
        channel.close()


def main() -> int:
    """Run the job on standard input; exit code 0 if the shares are there."""
    try:
        query_each(read_job())
    except (ProtocolError, SeedReused, SeedRecordUnusable, ValueError) as error:
        emit("failed", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
