"""Seeds are used once: a durable record of those that were.

Two queries on one seed have the same a, so that the difference of their b reveals the difference of their tokens.

The record is its user's alone: a file that others can open they can lock, and a folder that others can write to they
can put another record into.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

MEMORY = Path(":memory:")


class SeedReused(Exception):
    """A seed was about to be used a second time."""


class SeedRecordUnusable(OSError):
    """The record cannot be read or written, so that no seed may be used; the text names the file and a way out."""


def default_record() -> Path:
    """Where a client on this machine keeps its record: under the user's state folder.

    Raises
    ------
    SeedRecordUnusable
        If the user has none.
    """
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if not os.path.isabs(state):
        raise SeedRecordUnusable(
            "record of used seeds: this user has no home to keep it in; set XDG_STATE_HOME to a folder that lasts"
        )
    return Path(state) / "fastquery" / "seeds.sqlite"


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
_COUNT = "CREATE TABLE entered (seeds INTEGER NOT NULL)"
"""How many were ever entered: rows that are gone are noticed."""


class SeedRecord:
    """Digests of the seeds used, in a file that outlives the process, or in memory.

    Parameters
    ----------
    path
        An SQLite file, made where there is none; several processes of one user may share it. ``MEMORY`` keeps the
        record for the life of the object. Threads may share a record.
    patience_s
        How long to wait for other processes that write.

    Raises
    ------
    SeedRecordUnusable
        If the file cannot be opened, is no such record, has lost entries, is another user's, or lies in a folder that
        other users can write to.
    """

    def __init__(self, path: Path = MEMORY, patience_s: float = 10.0) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None
        with self._usable():
            if path != MEMORY:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._make()
                self._file = self._private()
            self._connection = sqlite3.connect(
                str(path), timeout=patience_s, isolation_level=None, check_same_thread=False
            )
        try:
            with self._usable():
                self._connection.execute("PRAGMA synchronous = FULL")
                if path == MEMORY:
                    _write_schema(self._connection)
                self._check()
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
                self._check_in_place()
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    self._connection.execute("INSERT INTO used VALUES (?)", (hashlib.sha256(seed).digest(),))
                    self._connection.execute("UPDATE entered SET seeds = seeds + 1")
                    self._connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
        except sqlite3.IntegrityError:
            raise SeedReused("a query's seed was used before") from None

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def _make(self) -> None:
        """Make the file, whole from its first moment, unless there is one: an empty one has lost what it held."""
        if self._path.exists():
            return
        descriptor, made = tempfile.mkstemp(dir=self._path.parent, prefix=".seeds-")  # 0600
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(made, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                _write_schema(connection)
            with suppress(FileExistsError):  # another process was faster
                os.link(made, self._path)
        finally:
            os.unlink(made)

    def _private(self) -> tuple[int, int]:
        """Hold file and folder to their user; device and number of the file."""
        folder, file = self._path.parent.stat(), self._path.stat()
        if folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise self._unusable("its folder can be written to by other users", "chmod go-w the folder")
        if file.st_uid != os.geteuid():
            raise self._unusable("it is another user's", "move it away, or set XDG_STATE_HOME to a folder of yours")
        if stat.S_ISREG(file.st_mode) and file.st_mode & 0o077:
            self._path.chmod(0o600)  # of a record that was made before others were kept out
        if stat.S_ISREG(file.st_mode) and file.st_size == 0:
            raise self._unusable("it was emptied", LOST)
        return file.st_dev, file.st_ino

    def _check(self) -> None:
        """Hold the tables to what they must be; one made before entries were counted is counted now."""
        run = self._connection.execute
        found = dict(run("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
        # A table without its key would take a seed twice.
        if found.get("used") != _SCHEMA:
            raise self._unusable("it holds something else", LOST)
        run("BEGIN IMMEDIATE")
        try:
            (present,) = run("SELECT COUNT(*) FROM used").fetchone()
            if "entered" not in found:
                run(_COUNT.replace("TABLE", "TABLE IF NOT EXISTS"))
                run("INSERT INTO entered SELECT ? WHERE NOT EXISTS (SELECT * FROM entered)", (present,))
            (entered,) = run("SELECT MAX(seeds) FROM entered").fetchone()
        finally:
            run("COMMIT")
        if entered is None or present < entered:
            raise self._unusable(f"it lost entries: {present} of {entered} are there", LOST)

    def _check_in_place(self) -> None:
        """Notice that the file was taken away under this process: others would start another one."""
        if self._file is None:
            return
        try:
            file = self._path.stat()
        except FileNotFoundError:
            raise self._unusable("it was removed while in use", LOST) from None
        if (file.st_dev, file.st_ino) != self._file:
            raise self._unusable("it was replaced while in use", LOST)

    def _unusable(self, reason: str, remedy: str) -> SeedRecordUnusable:
        return SeedRecordUnusable(f"record of used seeds {self._path}: {reason}; {remedy}")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, SeedRecordUnusable):
            raise
        except (sqlite3.Error, OSError) as error:
            remedy = next((remedy for word, remedy in REMEDIES.items() if word in str(error)), LOST)
            if isinstance(error, OSError):
                remedy = REMEDIES["unable to open"]
            raise self._unusable(str(error), remedy) from None


def _write_schema(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute(_SCHEMA)
    connection.execute(_COUNT)
    connection.execute("INSERT INTO entered VALUES (0)")
    connection.execute("COMMIT")


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
