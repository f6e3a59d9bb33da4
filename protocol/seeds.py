"""Seeds are used once: a durable record of those that were.

Two queries on one seed have the same a, so that the difference of their b reveals the difference of their tokens.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from pathlib import Path

from protocol.records import MEMORY, Record, RecordUnusable, state_folder

SeedRecordUnusable = RecordUnusable


def default_record() -> Path:
    """Where a client on this machine keeps its record: under the user's state folder.

    Raises
    ------
    RecordUnusable
        If the user has none.
    """
    return state_folder() / "seeds.sqlite"


class SeedReused(Exception):
    """A seed was about to be used a second time."""


LOST = (
    "restore it from a copy; where there is none, move it away, but only if this machine was not restored from a "
    "snapshot since it was last used"
)
_SCHEMA = "CREATE TABLE used (digest BLOB PRIMARY KEY) WITHOUT ROWID"
_COUNT = "CREATE TABLE entered (seeds INTEGER NOT NULL)"
"""How many were ever entered: rows that are gone are noticed."""


class SeedRecord:
    """Digests of the seeds used, in a file that outlives the process, or in memory.

    Parameters
    ----------
    path, patience_s
        See :class:`protocol.records.Record`. Threads may share a record.

    Raises
    ------
    RecordUnusable
        If the file cannot be used, is no such record, or has lost entries.
    """

    def __init__(self, path: Path = MEMORY, patience_s: float = 10.0) -> None:
        self._lock = threading.Lock()
        schema = (_SCHEMA, _COUNT, "INSERT INTO entered VALUES (0)")
        self._record = Record(path, "record of used seeds", schema, LOST, patience_s)
        try:
            self._check()
        except RecordUnusable:
            self._record.connection.close()
            raise

    def claim(self, seed: bytes) -> None:
        """Enter a seed before its first use.

        Raises
        ------
        SeedReused
            If it is in the record.
        RecordUnusable
            If it cannot be entered; it must not be used then.
        """
        try:
            with self._lock, self._record.transaction() as connection:
                connection.execute("INSERT INTO used VALUES (?)", (hashlib.sha256(seed).digest(),))
                connection.execute("UPDATE entered SET seeds = seeds + 1")
        except sqlite3.IntegrityError:
            raise SeedReused("a query's seed was used before") from None

    def close(self) -> None:
        """Let the file go."""
        self._record.connection.close()

    def _check(self) -> None:
        """Hold the tables to what they must be; one made before entries were counted is counted now."""
        with self._record.transaction() as connection:
            run = connection.execute
            found = dict(run("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
            # A table without its key would take a seed twice.
            if found.get("used") != _SCHEMA:
                raise self._record.unusable("it holds something else")
            (present,) = run("SELECT COUNT(*) FROM used").fetchone()
            if "entered" not in found:
                run(_COUNT)
                run("INSERT INTO entered VALUES (?)", (present,))
            (entered,) = run("SELECT MAX(seeds) FROM entered").fetchone()
            if entered is None or present < entered:
                raise self._record.unusable(f"it lost entries: {present} of {entered} are there")


class RecentSeeds:
    """Digests of the seeds that a server saw last, in memory; a client's own record is the one that forgets none.

    Parameters
    ----------
    most
        How many are kept.
    """

    def __init__(self, most: int = 2**16) -> None:
        self._most = most
        self._digests: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def claim(self, seed: bytes) -> None:
        """Enter a seed.

        Raises
        ------
        SeedReused
            If it is among those kept.
        """
        digest = hashlib.sha256(seed).digest()
        with self._lock:
            if digest in self._digests:
                raise SeedReused("a query's seed was used before")
            self._digests[digest] = None
            if len(self._digests) > self._most:
                del self._digests[next(iter(self._digests))]
