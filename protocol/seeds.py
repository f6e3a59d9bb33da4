"""Seeds are used once: a durable record of those that were.

Two queries on one seed have the same a, so that the difference of their b reveals the difference of their tokens.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
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
        life of the object.
    """

    def __init__(self, path: Path = MEMORY) -> None:
        if path != MEMORY:
            path.parent.mkdir(parents=True, exist_ok=True)
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
            self._connection.execute("INSERT INTO used VALUES (?)", (hashlib.sha256(seed).digest(),))
        except sqlite3.IntegrityError:
            raise SeedReused("a query's seed was used before") from None

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()
