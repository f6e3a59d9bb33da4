"""A budget of statistical distance for a table, counted over all answers that were ever given of it.

An answer tells its client a little of the table: with flooding a distance of at most 2^-30 or so a row
(``log2_statistical_distance`` of an estimate), and distances add up over rows, clients and restarts. The record is
keyed by a digest of the packed table, on disk, and shared by all servers of the table on a machine. What a lookup
takes is on the disk before its answer leaves: a server that is killed between the two has counted one too many. A
lookup that is refused takes nothing.
"""

from __future__ import annotations

import hashlib
import math
import threading
from pathlib import Path

import numpy as np

from protocol.errors import ProtocolError
from protocol.records import MEMORY, Record, RecordUnusable, state_folder
from quantize.packed import PackedTable

LOST = (
    "restore it from a copy; where there is none, move it away, and set a smaller --distance-budget by what may have "
    "been answered before"
)
_SCHEMA = "CREATE TABLE spent (digest TEXT PRIMARY KEY, distance REAL NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID"


class BudgetSpent(ProtocolError):
    """What may be told of a table has been told."""


def default_budgets() -> Path:
    """Where a server on this machine keeps what was spent: under the user's state folder.

    Raises
    ------
    RecordUnusable
        If the user has none.
    """
    return state_folder() / "budgets.sqlite"


def table_digest(table: PackedTable) -> str:
    """Digest of a packed table: its coefficients and all that is public of it."""
    digest = hashlib.sha256(table.public.to_json().encode())
    digest.update(np.ascontiguousarray(table.coefficients).astype("<u8").tobytes())
    return digest.hexdigest()


class DistanceBudget:
    """What may still be told of a table.

    Parameters
    ----------
    digest
        Of the table.
    log2_row
        log2 of the distance of a row's answer.
    log2_most
        log2 of the distance of all answers together, 0 at most.
    path, patience_s
        See :class:`protocol.records.Record`. Threads may share a budget.

    Raises
    ------
    ValueError
        If the budget is not even that of one row, or more than everything.
    RecordUnusable
        If the file cannot be used, or is no such record.

    Examples
    --------
    >>> budget = DistanceBudget("a table", log2_row=-3.0, log2_most=-1.0)
    >>> budget.spend(3)
    >>> budget.rows_left
    1
    """

    def __init__(
        self, digest: str, log2_row: float, log2_most: float, path: Path = MEMORY, patience_s: float = 10.0
    ) -> None:
        if not log2_row <= log2_most <= 0:
            raise ValueError(
                f"distance-budget is 2^{log2_most:.1f}; it must lie between that of one row, 2^{log2_row:.1f}, and 2^0"
            )
        self.log2_most = log2_most
        self._digest = digest
        self._row = 2.0**log2_row
        self._lock = threading.Lock()
        self._record = Record(path, "record of distances", (_SCHEMA,), LOST, patience_s)
        try:
            with self._record.transaction() as connection:
                found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
                if found != {"spent": _SCHEMA}:
                    raise self._record.unusable("it holds something else")
        except RecordUnusable:
            self._record.connection.close()
            raise

    def require(self, rows: int) -> None:
        """Refuse so many rows if they would exceed the budget; nothing is counted.

        Raises
        ------
        BudgetSpent
            If they would.
        """
        with self._lock, self._record.usable():
            self._check(rows)

    def spend(self, rows: int) -> None:
        """Count the answers of so many rows, before they leave.

        Raises
        ------
        BudgetSpent
            If they would exceed the budget; nothing is counted then.
        RecordUnusable
            If they cannot be counted; they must not be answered then.
        """
        with self._lock, self._record.transaction() as connection:
            self._check(rows)
            connection.execute(
                "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET "
                "distance = distance + excluded.distance, rows = rows + excluded.rows",
                (self._digest, rows * self._row, rows),
            )

    def log2_of(self, rows: int) -> float:
        """log2 of the distance of so many rows."""
        return math.log2(rows * self._row)

    @property
    def log2_spent(self) -> float:
        """log2 of the distance of all answers so far."""
        with self._lock, self._record.usable():
            spent, _ = self._spent()
        return math.log2(spent) if spent else -math.inf

    @property
    def rows_answered(self) -> int:
        """Rows of all answers so far, by all servers of this user."""
        with self._lock, self._record.usable():
            return self._spent()[1]

    @property
    def rows_left(self) -> int:
        """Rows that may still be answered."""
        with self._lock, self._record.usable():
            return max(0, int((2.0**self.log2_most - self._spent()[0]) / self._row))

    def close(self) -> None:
        """Let the file go."""
        self._record.connection.close()

    def _check(self, rows: int) -> None:
        spent, _ = self._spent()
        if spent + rows * self._row > 2.0**self.log2_most:
            raise BudgetSpent(f"the table's distance budget of 2^{self.log2_most:.1f} is used up")

    def _spent(self) -> tuple[float, int]:
        query = "SELECT distance, rows FROM spent WHERE digest = ?"
        found = self._record.connection.execute(query, (self._digest,)).fetchone()
        return (0.0, 0) if found is None else (float(found[0]), int(found[1]))
