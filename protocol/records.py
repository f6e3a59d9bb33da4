"""Records on disk that are their user's alone, whole from their first moment, and shared by its processes.

A file that others can open they can lock, and a folder that others can write to they can put another file into.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

MEMORY = Path(":memory:")


class RecordUnusable(OSError):
    """A record cannot be read or written; the text names the file and a way out."""


REMEDIES = {
    "locked": "another program holds it; wait until it is done, or end it",
    "readonly": "make the file and its folder writable for this user",
    "unable to open": "make the file and its folder readable and writable for this user",
    "full": "make room on its disk",
}
"""What to do, by a word of what SQLite says."""


def state_folder() -> Path:
    """Where this user's records are kept.

    Raises
    ------
    RecordUnusable
        If the user has no home, and no other place is named.
    """
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if not os.path.isabs(state):
        raise RecordUnusable("this user has no home to keep records in; set XDG_STATE_HOME to a folder that lasts")
    return Path(state) / "fastquery"


class Record:
    """An SQLite file, or one in memory.

    Parameters
    ----------
    path
        The file, made where there is none; several processes of one user may share it. ``MEMORY`` keeps the record for
        the life of the object.
    name
        How the record is called in errors.
    schema
        Statements that make its tables.
    lost
        What to do where it was damaged.
    patience_s
        How long to wait for other processes that write.

    Raises
    ------
    RecordUnusable
        If the file cannot be opened, was emptied or cut short, is another user's, or lies in a folder that others can
        write to.
    """

    def __init__(self, path: Path, name: str, schema: Sequence[str], lost: str, patience_s: float) -> None:
        self._path = path
        self._name = name
        self._lost = lost
        self._file: tuple[int, int] | None = None
        with self.usable():
            if path != MEMORY:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._make(schema)
                self._file = self._private()
            self.connection = sqlite3.connect(
                str(path), timeout=patience_s, isolation_level=None, check_same_thread=False
            )
            if path == MEMORY:
                _write(self.connection, schema)
        try:
            with self.usable():
                self.connection.execute("PRAGMA synchronous = FULL")
        except RecordUnusable:
            self.connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done inside, on the disk at its end.

        Raises
        ------
        RecordUnusable
            If it cannot be written, or the file was taken away under this process.
        sqlite3.IntegrityError
            If what is done inside is against the tables' keys.
        """
        with self.usable():
            self._check_in_place()
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_whole()
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise

    def unusable(self, reason: str, remedy: str | None = None) -> RecordUnusable:
        """An error that names the file."""
        return RecordUnusable(f"{self._name} {self._path}: {reason}; {remedy or self._lost}")

    @contextmanager
    def usable(self) -> Iterator[None]:
        """Turn what SQLite and the file system raise inside into errors that say what to do."""
        try:
            yield
        except (sqlite3.IntegrityError, RecordUnusable):
            raise
        except (sqlite3.Error, OSError) as error:
            remedy = next((remedy for word, remedy in REMEDIES.items() if word in str(error)), self._lost)
            if isinstance(error, OSError):
                remedy = REMEDIES["unable to open"]
            raise self.unusable(str(error), remedy) from None

    def _make(self, schema: Sequence[str]) -> None:
        """Make the file, whole from its first moment, unless there is one: an empty one has lost what it held."""
        if self._path.exists():
            return
        descriptor, made = tempfile.mkstemp(dir=self._path.parent, prefix=".record-")  # 0600
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(made, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                _write(connection, schema)
            with suppress(FileExistsError):  # another process was faster
                os.link(made, self._path)
        finally:
            os.unlink(made)

    def _private(self) -> tuple[int, int]:
        """Hold file and folder to their user; device and number of the file."""
        folder, file = self._path.parent.stat(), self._path.stat()
        if folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise self.unusable("its folder can be written to by other users", "chmod go-w the folder")
        if file.st_uid != os.geteuid():
            raise self.unusable("it is another user's", "move it away, or set XDG_STATE_HOME to a folder of yours")
        if stat.S_ISREG(file.st_mode):
            if file.st_mode & 0o077:
                self._path.chmod(0o600)  # of a record that was made before others were kept out
            if file.st_size == 0:
                raise self.unusable("it was emptied")
        return file.st_dev, file.st_ino

    def _check_in_place(self) -> None:
        """Notice that the file was taken away under this process: others would start another one."""
        if self._file is None:
            return
        try:
            file = self._path.stat()
        except FileNotFoundError:
            raise self.unusable("it was removed while in use") from None
        if (file.st_dev, file.st_ino) != self._file:
            raise self.unusable("it was replaced while in use")

    def _check_whole(self) -> None:
        """Notice that the file lost its end, which SQLite reads as zeros: nothing was spent then."""
        if self._file is None:
            return
        (pages,), (page_bytes,) = (
            self.connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        if self._path.stat().st_size < pages * page_bytes:
            raise self.unusable("it was cut short")


def _write(connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    connection.execute("BEGIN")
    for statement in schema:
        connection.execute(statement)
    connection.execute("COMMIT")
