"""Seeds are used once: a durable record of those that were.

Two queries on one seed have the same a, so that the difference of their b reveals the difference of their tokens.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from pathlib import Path

MEMORY = Path(":memory:")


def default_record() -> Path:
    """Where a client on this machine keeps its record: under the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "fastquery" / "seeds.sqlite"


class SeedReused(Exception):
    """A seed was about to be used a second time."""


class SeedRecord:
    """Digests of the seeds used, in a file that outlives the process, or in memory.

    Parameters
    ----------
    path
        An SQLite file, made where there is none; several processes may share it. ``MEMORY`` keeps the record for the
        life of the object. Threads may share a record.
    """

    def __init__(self, path: Path = MEMORY) -> None:
        if path != MEMORY:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(str(path), timeout=10.0, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS used (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def claim(self, seed: bytes) -> None:
        """Enter a seed before its first use.

        Raises
        ------
        SeedReused
            If it is in the record.
        """
        try:
            with self._lock:
                self._connection.execute("INSERT INTO used VALUES (?)", (hashlib.sha256(seed).digest(),))
        except sqlite3.IntegrityError:
            raise SeedReused("a query's seed was used before") from None

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()


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
