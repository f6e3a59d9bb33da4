"""The client: looks rows up at an address, as a part of a program or as a process of its own.

The process takes a job on standard input and reports events as JSON lines on standard output. The job names the
server's address and the tokens; nothing else reaches the client but the server's messages.
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.ledger import PHASES, UNITS
from costmodel.parameters import Configuration
from protocol.alignment.session import ChannelShares
from protocol.channel import Channel
from protocol.engine import Shares
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.jobs import emit, peak_memory_bytes, read_job
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


@dataclass(frozen=True, eq=False)
class Lookup:
    """What a client has after a lookup: what the server stated, its own shares, and what it measured.

    ``started_s`` and ``finished_s`` are readings of the machine's clock: the tokens were known, the shares were there.
    """

    configuration: Configuration
    public: PublicTable
    shares: Shares | ChannelShares
    ledger: list[dict[str, Any]]
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
    return next(look_up_each(channel, meter, [tokens], len(tokens), allow_insecure, seeds, accept))


def look_up_each(
    channel: Channel,
    meter: Meter,
    batches: Iterable[Sequence[int]],
    most: int,
    allow_insecure: bool,
    seeds: SeedRecord,
    accept: Callable[[Configuration], None] | None = None,
) -> Iterator[Lookup]:
    """Look rows up in one session, a lookup a batch of them; batches are asked for as their turn comes.

    Parameters
    ----------
    batches
        Tokens of every lookup; the first one's are there before the session is opened.
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
        if any(not 0 <= token < configuration.table.rows for token in first):
            raise _OutsideVocabulary(configuration.table.rows)

    try:
        session = ClientSession.open(channel, meter, most, allow_insecure, seeds, checked)
        opened = meter.rows()
        for tokens in chain([first], coming):
            yield _looked_up(session, tokens, opened)
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


def _looked_up(session: ClientSession, tokens: Sequence[int], opened: list[dict[str, Any]]) -> Lookup:
    """One lookup of a session, prepared just before where anything can be."""
    if session.configuration.has_offline_phase:
        session.prepare(len(tokens))
        session.wait_prepared()
    started_s = time.monotonic()
    shares = session.lookup(tokens)
    finished_s = time.monotonic()
    own = [row for row in session.meter.rows() if row["lookup"] == session.last_number]
    return Lookup(
        configuration=session.configuration,
        public=session.public,
        shares=shares,
        ledger=[*opened, *own],
        started_s=started_s,
        finished_s=finished_s,
        noise_bits=session.engine.noise_bits(),
        share=Share.held(session, shares),
        tokens=tokens,
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


def query_once(job: dict[str, Any]) -> None:
    """Look the job's tokens up, write the client's shares, and emit the measured ledger."""
    meter = Meter("client")
    tokens = [int(token) for token in job["tokens"]]
    channel = Channel(connect(job["host"], job["port"]), meter)
    try:
        found = look_up(channel, meter, tokens, job["allow_insecure"], SeedRecord(Path(job["seed_record"])))
    finally:
        channel.close()
    np.save(Path(job["reveal_shares_to"]), found.shares)
    emit(
        "result",
        ledger=found.ledger,
        started_s=found.started_s,
        finished_s=found.finished_s,
        noise_bits=found.noise_bits,
        peak_memory_bytes=peak_memory_bytes(),
    )


def main() -> int:
    """Run the job on standard input; exit code 0 if the shares are there."""
    try:
        query_once(read_job())
    except (ProtocolError, SeedReused, SeedRecordUnusable, ValueError) as error:
        emit("failed", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
