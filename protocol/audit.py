"""The audit log: a line of JSON for every lookup, written before the first frame of its answer leaves.

A lookup whose client breaks off in the answer has its line; one that is refused has none. A line has the time, who
asked, how many rows, and log2 of the distance that the table's budget has lost with it. It has no token, key or share.
The file is its user's alone.
"""

from __future__ import annotations

import datetime
import json
import os
import threading
from pathlib import Path


class Audit:
    """Appends to a file.

    Parameters
    ----------
    path
        The file, made for its user alone where there is none.

    Raises
    ------
    ValueError
        If it cannot be opened, or is no file of this user's.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ValueError(f"audit is {str(path)!r}, which cannot be written: {error.strerror}") from None
        if os.fstat(self._descriptor).st_uid != os.geteuid():
            os.close(self._descriptor)
            raise ValueError(f"audit is {str(path)!r}, which is another user's")

    def enter(self, peer: str, name: str | None, rows: int, log2_distance: float | None) -> None:
        """Write a line, whole.

        Raises
        ------
        OSError
            If it cannot be written, or only a part of it.
        """
        line = json.dumps(
            {
                "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
                "peer": peer,
                "name": name,
                "lookups": 1,
                "tokens": rows,
                "log2_distance": None if log2_distance is None else round(log2_distance, 2),
            }
        )
        data = line.encode() + b"\n"
        with self._lock:
            if (written := os.write(self._descriptor, data)) < len(data):
                raise OSError(f"audit log took {written} of {len(data)} bytes of a line; make room on its disk")

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)
