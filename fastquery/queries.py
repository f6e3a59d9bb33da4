"""A query: rows looked up at a server by hand, and held against what its parameters predict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import Estimate, estimate
from costmodel.ledger import frame, totals
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine
from costmodel.parameters import Configuration
from fastquery.provenance import provenance
from fastquery.runs import BYTES
from validate.compare import compare

if TYPE_CHECKING:
    import ssl

    from protocol.client import Lookup
    from protocol.parameters_message import StatedBudget
    from protocol.requirements import Requirements
    from protocol.share import Share

WRONG_KEY_NOISE_BITS = -2.0
"""A quarter of the decoding interval. Answers that decrypt have an eighth at most; others are uniform, with -1.8."""
FEWEST_COEFFICIENTS = 64
"""Below which the noise of an answer says too little."""


class DoesNotDecrypt(Exception):
    """An answer is not of this session's keys; the server is not told, since it could learn of the key from that."""


@dataclass(frozen=True, eq=False)
class Query:
    """What a client has after a query: its shares, the ledger of both parties, and their prediction."""

    configuration: Configuration
    shares: NDArray[Any]
    mismatches: int | None  # None where the shares were not opened
    latency_s: float
    noise_bits: float
    ledger: pd.DataFrame
    prediction: Estimate
    comparison: pd.DataFrame
    share: Share
    budget: StatedBudget | None = None

    @property
    def agrees(self) -> bool:
        """Whether every entry of the ledgers has its counterpart with the same count and bytes."""
        return bool(self.comparison["agrees"].all())

    @property
    def told_seconds(self) -> bool:
        """Whether the server told its CPU seconds."""
        ledger = self.ledger
        return bool(ledger.loc[ledger["party"] == "server", "seconds"].sum() > 0)

    def document(self) -> dict[str, Any]:
        """What ``--json`` prints; neither the shares are in it, nor the noise of the answers, which says of the table.

        The server's seconds are null where it does not tell them.
        """
        measured, predicted = totals(self.ledger), self.prediction.figures
        configuration = self.configuration
        opened = {} if self.mismatches is None else {"correct": self.mismatches == 0, "mismatches": self.mismatches}
        return {
            **opened,
            "lookups": 1,
            "share_bytes": self.shares.nbytes,
            "tokens": len(self.shares),
            "ledgers_agree": self.agrees,
            **{name: measured[name] for name in BYTES},
            **{f"predicted_{name}": predicted[name] for name in BYTES},
            **{name: measured[name] if self.told_seconds else None for name in ("server_s", "table_s", "offline_s")},
            "client_s": measured["client_s"],
            "latency_s": self.latency_s,
            "predicted_server_s": predicted["server_s"],
            "predicted_latency_s": predicted["latency_s"],
            "predicted_noise_bits": predicted["noise_bits"],
            "security_bits": predicted["security_bits"],
            "log2_failure": predicted["log2_failure"],
            "flooding_bits": configuration.flooding_bits,
            "log2_statistical_distance": predicted["log2_statistical_distance"],
            "log2_distance_budget": None if self.budget is None else self.budget.log2_most,
            "log2_distance_spent": None if self.budget is None else self.budget.log2_spent,
            "align_bits": configuration.align_bits,
            "engine": configuration.engine,
            "protocol": configuration.protocol,
            "table_rows": configuration.table.rows,
            "table_channels": configuration.table.channels,
            "ledger": self.comparison,
            "provenance": provenance(),
        }


ADDED = (
    "lookups", "mismatches", "share_bytes", "tokens", "up_bytes", "down_bytes", "predicted_up_bytes",
    "predicted_down_bytes", "server_s", "offline_s", "client_s", "predicted_server_s",
)  # fmt: skip
"""Figures of a session that are sums over its lookups."""
HELD = ("correct", "ledgers_agree")
"""Of a session, true where they are of every lookup."""


class SessionDocument:
    """What ``--json`` prints of a session's lookups, gathered as they come: no more is kept than of one of them.

    Figures of the setup and what was stated are the first lookup's, sums are over all of them, and ``latency_s`` is the
    median of a lookup.

    Examples
    --------
    >>> gathered = SessionDocument()
    >>> for latency_s in (0.5, 0.1, 0.2):
    ...     gathered.add({"lookups": 1, "latency_s": latency_s})
    >>> gathered.document()
    {'lookups': 3, 'latency_s': 0.2}
    """

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}
        self._latencies: list[float] = []

    def add(self, found: dict[str, Any]) -> None:
        """Gather a lookup's document, of :meth:`Query.document`."""
        before, self._document = self._document, {**found, **self._document}
        self._latencies.append(found["latency_s"])
        if not before:
            return
        for name in ADDED:
            if found.get(name) is not None:
                self._document[name] = before[name] + found[name]
        for name in HELD:
            if name in found:
                self._document[name] = before[name] and found[name]
        if "ledger" in found:
            own = found["ledger"]
            self._document["ledger"] = pd.concat([before["ledger"], own[own["lookup"] > 0]], ignore_index=True)

    def document(self) -> dict[str, Any]:
        """The document of all of them."""
        return {**self._document, "latency_s": float(np.median(self._latencies))}


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9000``, ``[::1]:9000`` or ``name:9000``.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if not isinstance(text, str):
        raise ValueError(f"address is {text!r}; it must look like 127.0.0.1:9000")
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > 65535:
        raise ValueError(f"address is {text!r}; it must look like 127.0.0.1:9000, with a port of at most 65535")
    return found[1] or found[2], int(found[3])


def query(address: str, tokens: Sequence[int], **options: Any) -> Query:
    """Look rows up at a server and compare the session with its prediction; see :func:`query_each`."""
    (found,) = query_each(address, [tokens], len(tokens), **options)
    return found


def query_each(
    address: str,
    batches: Iterable[Sequence[int]],
    most: int,
    *,
    requirements: Requirements,
    check: str | None = None,
    seed: int = 0,
    machine: Machine | None = None,
    link: Link = PRESETS["loopback"],
    seeds: Path | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Query]:
    """Look rows up at a server in one session, a lookup a batch, and compare every one with its prediction.

    Parameters
    ----------
    address
        ``HOST:PORT`` of the server.
    batches
        The rows of every lookup, asked for once the last one was answered.
    most
        Rows of a lookup at most.
    requirements
        What the server's parameters have to hold; a security of 0 bits accepts every ring.
    check
        Name of the served table, to open both shares with: of a test server that reveals its own.
    seed
        Of a random table that is checked against.
    machine, link
        What the prediction is made for.
    seeds
        The client's record of used seeds; the user's own if left out.
    tls
        Speak TLS by this, of :func:`protocol.tls.client_context`; in the clear if left out.

    Raises
    ------
    ValueError
        If the address is none, a token is outside the vocabulary, or a batch has none or too many.
    DoesNotDecrypt
        If the answer is not of this session's keys.
    protocol.openfhe_library.OpenFHEUnavailable
        If OpenFHE does not load.
    protocol.seeds.SeedRecordUnusable
        If the record of used seeds cannot be kept.
    protocol.seeds.SeedReused
        If a seed comes twice: the machine is a copy of another, or was set back.
    protocol.errors.ProtocolError
        If the server cannot be reached, does not follow the protocol, or states what is refused.
    """
    from protocol.channel import Channel
    from protocol.client import Batch, ask_report, ask_shares, connect, look_up_each
    from protocol.frames import Kind
    from protocol.meter import Meter
    from protocol.openfhe_library import load_openfhe
    from protocol.seeds import SeedRecord, default_record

    host, port = parse_address(address)
    coming = (Batch(checked_tokens(tokens)) for tokens in batches)
    if (first := next(coming, None)) is None:
        raise ValueError("tokens are none; at least one is looked up")
    load_openfhe()
    meter = Meter("client")
    record = SeedRecord(seeds or default_record())
    with (
        closing(record),
        closing(Channel(connect(host, port, tls), meter, patience_s=requirements.patience_s)) as channel,
    ):
        insecure = requirements.security_bits == 0
        asked = chain([first], coming)
        for found in look_up_each(channel, meter, asked, most, insecure, record, requirements.check):
            report = ask_report(channel)
            others = None if check is None else ask_shares(channel, found.shares)
            if found.shares.size >= FEWEST_COEFFICIENTS and found.noise_bits > WRONG_KEY_NOISE_BITS:
                raise DoesNotDecrypt(
                    "the answer does not decrypt: it is not of this session's keys; there are no shares"
                )
            mismatches = None if others is None or check is None else _mismatches(found, others, check, seed)
            yield _compared(found, report, mismatches, link, machine)
            channel.renew_patience(requirements.patience_s)
        channel.send(Kind.END, b"")


def checked_tokens(tokens: Sequence[int]) -> Sequence[int]:
    """Tokens that a table may have.

    Raises
    ------
    ValueError
        If there are none, or one is negative; its value is not in the message.
    """
    if not tokens:
        raise ValueError("tokens are none; at least one is looked up")
    if any(token < 0 for token in tokens):
        raise ValueError("token is outside the vocabulary; it must be 0 at least")
    return tokens


def _compared(
    found: Lookup, report: list[dict[str, Any]], mismatches: int | None, link: Link, machine: Machine | None
) -> Query:
    """A lookup with the server's entries of it, held against its prediction."""
    configuration, number = found.configuration, found.share.lookup
    asked = configuration.updated(size="native", table=replace(configuration.table, tokens=len(found.shares)))
    prediction = estimate(asked, link, machine, link_model="relay")
    predicted = prediction.ledger
    ledger = frame([*found.ledger, *(row for row in report if row["lookup"] in (0, number))])
    return Query(
        configuration=asked,
        shares=found.shares,
        mismatches=mismatches,
        latency_s=found.latency_s,
        noise_bits=found.noise_bits,
        ledger=ledger,
        prediction=prediction,
        comparison=compare(predicted.assign(lookup=predicted["lookup"].replace(1, number)), ledger),
        share=found.share,
        budget=found.budget,
    )


def _mismatches(found: Lookup, others: NDArray[Any], check: str, seed: int) -> int:
    """Channels that do not open to the plaintext table's, which is loaded only now."""
    from protocol.execute import Execution, channel_differences
    from protocol.server import load_table

    plain = load_table(found.configuration, check, seed)
    if plain.public != found.public:
        raise ValueError(f"table {check!r} is not the one that the server describes")
    opened = Execution(frame(found.ledger), found.latency_s, found.noise_bits, found.shares, others, 0)
    return int(np.count_nonzero(channel_differences(opened, found.configuration, plain, found.tokens)))
