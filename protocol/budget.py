"""A budget of statistical distance for a table, counted over all answers that were ever given of it.

An answer tells its client a little of the table: with flooding a distance of at most 2^-30 or so a row
(``log2_statistical_distance`` of an estimate). Over rows, clients and restarts the distances of uniform flooding add
up, and the squares of those of expanded queries' flooding do (section 1 of ``docs/flooding.md``); where both kinds of
answers were given, the sum of the first and the root of the second bound the whole. The record is keyed by a digest of
the packed table, on disk, and shared by all servers of the table on a machine. What a lookup takes is on the disk
before its answer leaves: a server that is killed between the two has counted one too many. A lookup that is refused
takes nothing.
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
_COLUMNS = "(digest TEXT PRIMARY KEY, distance REAL NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID"
_TABLES = {1: "spent", 2: "spent_squares"}
"""What is kept of the distances of rows, by the power of them that adds up."""
_SCHEMA = {table: f"CREATE TABLE {table} {_COLUMNS}" for table in _TABLES.values()}


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
    power
        Of the distances of rows that adds up: 1, or 2 for the flooding of expanded queries.
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
    >>> DistanceBudget("a table", log2_row=-3.0, log2_most=-1.0, power=2).rows_left
    16
    """

    def __init__(
        self,
        digest: str,
        log2_row: float,
        log2_most: float,
        path: Path = MEMORY,
        patience_s: float = 10.0,
        *,
        power: int = 1,
    ) -> None:
        if power not in _TABLES:
            raise ValueError(f"power is {power}; it must be one of {', '.join(map(str, _TABLES))}")
        if not log2_row <= log2_most <= 0:
            raise ValueError(
                f"distance-budget is 2^{log2_most:.1f}; it must lie between that of one row, 2^{log2_row:.1f}, and 2^0"
            )
        self.log2_most = log2_most
        self._digest = digest
        self._power = power
        self._row = 2.0 ** (power * log2_row)
        self._lock = threading.Lock()
        self._record = Record(path, "record of distances", tuple(_SCHEMA.values()), LOST, patience_s)
        try:
            with self._record.transaction() as connection:
                found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
                if found == {"spent": _SCHEMA["spent"]}:  # of a version that counted no squares
                    connection.execute(_SCHEMA["spent_squares"])
                elif found != _SCHEMA:
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
                f"INSERT INTO {_TABLES[self._power]} VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET "
                "distance = distance + excluded.distance, rows = rows + excluded.rows",
                (self._digest, rows * self._row, rows),
            )

    def log2_of(self, rows: int) -> float:
        """log2 of the distance of so many rows alone."""
        return math.log2(rows * self._row) / self._power

    @property
    def log2_spent(self) -> float:
        """log2 of the distance of all answers so far."""
        with self._lock, self._record.usable():
            spent = sum(self._distance(power) for power in _TABLES)
        return math.log2(spent) if spent else -math.inf

    @property
    def rows_answered(self) -> int:
        """Rows of all answers so far, by all servers of this user."""
        with self._lock, self._record.usable():
            return sum(self._spent(power)[1] for power in _TABLES)

    @property
    def rows_left(self) -> int:
        """Rows that may still be answered."""
        with self._lock, self._record.usable():
            return self._left()

    def close(self) -> None:
        """Let the file go."""
        self._record.connection.close()

    def _check(self, rows: int) -> None:
        if rows > self._left():
            raise BudgetSpent(f"the table's distance budget of 2^{self.log2_most:.1f} is used up")

    def _left(self) -> int:
        others = sum(self._distance(power) for power in _TABLES if power != self._power)
        room = max(2.0**self.log2_most - others, 0.0) ** self._power
        return max(0, int((room - self._spent(self._power)[0]) / self._row))

    def _distance(self, power: int) -> float:
        return math.pow(self._spent(power)[0], 1.0 / power)

    def _spent(self, power: int) -> tuple[float, int]:
        """What has added up, the distance to this power, and its rows."""
        query = f"SELECT distance, rows FROM {_TABLES[power]} WHERE digest = ?"
        found = self._record.connection.execute(query, (self._digest,)).fetchone()
        return (0.0, 0) if found is None else (float(found[0]), int(found[1]))
