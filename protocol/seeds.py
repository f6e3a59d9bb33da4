"""Seeds are used once: a durable record of those that were.

Two queries on one seed have the same a, so that the difference of their b reveals the difference of their tokens.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path(":memory:")


def default_record() -> Path:
    """Where a client on this machine keeps its record: under the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "fastquery" / "seeds.sqlite"


class SeedReused(Exception):
    """A seed was about to be used a second time."""


class SeedRecordUnusable(OSError):
    """The record cannot be read or written, so that no seed may be used; the text names the file and a way out."""


REMEDIES = {
    "locked": "another program holds it; wait until it is done, or end it",
    "readonly": "make the file and its folder writable for this user",
    "unable to open": "make the file and its folder readable and writable for this user",
    "full": "make room on its disk",
}
"""What to do, by a word of what SQLite says."""
LOST = (
    "restore it from a copy; where there is none, move it away, but only if this machine was not restored from a "
    "snapshot since it was last used"
)
_SCHEMA = "CREATE TABLE used (digest BLOB PRIMARY KEY) WITHOUT ROWID"


class SeedRecord:
    """Digests of the seeds used, in a file that outlives the process, or in memory.

    Parameters
    ----------
    path
        An SQLite file, made where there is none; several processes may share it. ``MEMORY`` keeps the record for the
        life of the object. Threads may share a record.
    patience_s
        How long to wait for other processes that write.

    Raises
    ------
    SeedRecordUnusable
        If the file cannot be opened, or is no such record.
    """

    def __init__(self, path: Path = MEMORY, patience_s: float = 10.0) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._usable():
            if path != MEMORY:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                str(path), timeout=patience_s, isolation_level=None, check_same_thread=False
            )
        try:
            with self._usable():
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute(_SCHEMA.replace("TABLE", "TABLE IF NOT EXISTS"))
                (found,) = self._connection.execute("SELECT sql FROM sqlite_master WHERE name = 'used'").fetchone()
            # A table without its key would take a seed twice.
            if found != _SCHEMA:
                raise SeedRecordUnusable(f"record of used seeds {path}: holds something else; {LOST}")
        except SeedRecordUnusable:
            self._connection.close()
            raise

    def claim(self, seed: bytes) -> None:
        """Enter a seed before its first use.

        Raises
        ------
        SeedReused
            If it is in the record.
        SeedRecordUnusable
            If it cannot be entered; it must not be used then.
        """
        try:
            with self._lock, self._usable():
                self._connection.execute("INSERT INTO used VALUES (?)", (hashlib.sha256(seed).digest(),))
        except sqlite3.IntegrityError:
            raise SeedReused("a query's seed was used before") from None

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as error:
            remedy = next((remedy for word, remedy in REMEDIES.items() if word in str(error)), LOST)
            if isinstance(error, OSError):
                remedy = REMEDIES["unable to open"]
            raise SeedRecordUnusable(f"record of used seeds {self._path}: {error}; {remedy}") from None


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
