"""The ledger: what a protocol run sends and computes, entry by entry.

A *predicted* ledger is derived from parameters by a :class:`costmodel.design.Design`; a *measured* one is
written by the socket and the kernels' clocks of a run. Both have the same columns, so that a total, a table, a
plot, a calibration or a comparison is written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Phase: TypeAlias = Literal["setup", "offline", "online"]
Party: TypeAlias = Literal["client", "server"]
Unit: TypeAlias = Literal["ciphertexts", "keys", "key rows", "halves", "vectors", "transfers", "messages"]
Number: TypeAlias = Any  # a scalar or an array that broadcasts with the others of its grid

OVERHEAD = "session overhead"
"""Work entry for a party's CPU seconds of a phase that no metered operation covers."""
UNITS: tuple[Unit, ...] = ("ciphertexts", "keys", "key rows", "halves", "vectors", "transfers", "messages")
PHASES: tuple[Phase, ...] = ("setup", "offline", "online")
KEY_COLUMNS = ["kind", "lookup", "phase", "party", "item"]
COLUMNS = [*KEY_COLUMNS, "count", "unit", "messages", "bytes", "seconds", "formula", "source"]


class Transfer(NamedTuple):
    """A message item that one party sends.

    Attributes
    ----------
    phase, party, item
        When it is sent, by whom, and what it is.
    count
        Objects sent, for all tokens: ciphertexts where ``unit`` says so.
    size_bytes
        Bytes of all of them, for all tokens.
    formula, source
        How ``size_bytes`` comes about in the ledger's symbols (:mod:`costmodel.formulas`), and where it stands.
    exchange
        Its place in the conversation of its phase, with ``party``: see :mod:`costmodel.latency`.
    pieces
        Frames that leave one by one as the work on them is done; 1 where all of it is done before.
    unit
        The kind of object that ``count`` counts: ciphertexts; switching and public keys, or their rows; halves of
        ciphertexts that
        travel apart from the others; vectors in the clear; correlated transfers; or
        messages of any other kind.
    messages
        Frames that carry the objects.
    """

    phase: Phase
    party: Party
    item: str
    count: Number
    size_bytes: Number
    formula: str
    source: str
    exchange: int = 0
    pieces: Number = 1
    unit: Unit = "messages"
    messages: Number = 1


class Work(NamedTuple):
    """An operation that one party repeats.

    Attributes
    ----------
    phase, party, operation
        When it is done, by whom, and the name of its unit cost in a machine profile.
    count
        Repetitions, for all tokens.
    size
        Residues that one repetition handles; it costs ``call_s + element_s * size`` of its unit.
    formula, source
        How ``count`` comes about in the ledger's symbols, and where it stands.
    exchange
        Its place in the conversation of its phase, with ``party``: before the message that the party sends there.
    products, key_switches
        Products of a ciphertext and a plaintext, and switches of a ciphertext's key, that the entry stands for.
    tasks
        Equal parts that a server's threads take one after the other, whole: tokens that are computed side by side.
    kept
        Residues that a repetition leaves in memory for all queries, of an encoded table.
    """

    phase: Phase
    party: Party
    operation: str
    count: Number
    size: Number
    formula: str
    source: str
    exchange: int = 0
    products: Number = 0
    key_switches: Number = 0
    tasks: Number = 1
    kept: Number = 0


Term: TypeAlias = Transfer | Work


class Entries:
    """Entries of one ledger that have their formulas in the same place.

    Parameters
    ----------
    source
        Module of the formulas.

    Examples
    --------
    >>> entries = Entries("costmodel.packing")
    >>> entries.work("online", "server", "merge", 4095, 8192, "N - 1").count
    4095
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def transfer(
        self,
        phase: Phase,
        party: Party,
        item: str,
        count: Number,
        size_bytes: Number,
        formula: str,
        pieces: Number = 1,
        unit: Unit = "messages",
        messages: Number = 1,
    ) -> Transfer:
        """Return a message item that one party sends."""
        return Transfer(
            phase, party, item, count, size_bytes, formula, self.source, pieces=pieces, unit=unit, messages=messages
        )

    def work(
        self,
        phase: Phase,
        party: Party,
        operation: str,
        count: Number,
        size: Number,
        formula: str,
        exchange: int = 0,
        products: Number = 0,
        key_switches: Number = 0,
        tasks: Number = 1,
        kept: Number = 0,
    ) -> Work:
        """Return an operation that one party repeats."""
        counted = exchange, products, key_switches, tasks, kept
        return Work(phase, party, operation, count, size, formula, self.source, *counted)


def total_bytes(terms: Iterable[Term], party: Party, phases: Sequence[Phase]) -> NDArray[np.float64]:
    """Bytes that a party sends in the given phases, summed over the transfers of a predicted ledger."""
    total: Any = np.float64(0)
    for term in terms:
        if isinstance(term, Transfer) and term.party == party and term.phase in phases:
            total = total + term.size_bytes
    return np.asarray(total, dtype=np.float64)


def frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Entries as a data frame with the columns of every ledger, absent ones empty."""
    # Loaded here: the parties' processes count entries, and need none of its 60 MB.
    import pandas as pd

    return pd.DataFrame(list(rows)).reindex(columns=COLUMNS)


def totals(ledger: pd.DataFrame) -> dict[str, float]:
    """Byte and second totals of a ledger, by the names that results use.

    ``up_bytes`` and ``down_bytes`` cover the offline and online phases, ``setup_bytes`` both directions of the
    setup; ``server_s`` and ``client_s`` the offline and online work, ``offline_s`` the offline work of both.
    """
    transfers = ledger[ledger["kind"] == "transfer"]
    work = ledger[ledger["kind"] == "work"]
    query, query_work = transfers["phase"] != "setup", work["phase"] != "setup"
    return {
        "up_bytes": float(transfers.loc[query & (transfers["party"] == "client"), "bytes"].sum()),
        "down_bytes": float(transfers.loc[query & (transfers["party"] == "server"), "bytes"].sum()),
        "setup_bytes": float(transfers.loc[~query, "bytes"].sum()),
        "server_s": float(work.loc[query_work & (work["party"] == "server"), "seconds"].sum()),
        "client_s": float(work.loc[query_work & (work["party"] == "client"), "seconds"].sum()),
        "offline_s": float(work.loc[work["phase"] == "offline", "seconds"].sum()),
        "table_s": float(work.loc[work["item"] == "encode table", "seconds"].sum()),
    }
