"""Sessions whose connection was lost, kept for a while so that their clients need not send their keys again."""

from __future__ import annotations

import hmac
import threading
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

from protocol.errors import ProtocolError
from protocol.hello import Hello, committed

Session = TypeVar("Session")

_REFUSED = "session cannot be resumed: this server does not hold it, or the secret is not its own; open a new one"


@dataclass(frozen=True)
class _Entry(Generic[Session]):
    session: Session
    commitment: bytes
    size_bytes: int
    until_s: float


class Parked(Generic[Session]):
    """Sessions by their identifier; those that were parked first go first.

    Parameters
    ----------
    most, most_bytes
        Sessions, and memory of all of them.
    keep_s
        How long one is kept.

    Examples
    --------
    >>> parked = Parked(most=1)
    >>> parked.put(Hello(b"session 1...", 1, committed(b"a secret"), bytes(32)), "keys", 10)
    >>> parked.take(Hello(b"session 1...", 1, bytes(32), b"a secret", 2))
    'keys'
    """

    def __init__(self, most: int = 64, most_bytes: int = 2**28, keep_s: float = 600.0) -> None:
        self._most, self._most_bytes, self._keep_s = most, most_bytes, keep_s
        self._entries: dict[bytes, _Entry[Session]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Sessions that are kept."""
        with self._lock:
            self._shrink()
            return len(self._entries)

    @property
    def held_bytes(self) -> int:
        """Memory of the sessions that are kept."""
        with self._lock:
            return sum(entry.size_bytes for entry in self._entries.values())

    def put(self, hello: Hello, session: Session, size_bytes: int) -> None:
        """Keep a session that began, or was resumed, with a hello."""
        with self._lock:
            until_s = time.monotonic() + self._keep_s
            self._entries[hello.session] = _Entry(session, hello.commitment, size_bytes, until_s)
            self._shrink()

    def take(self, hello: Hello) -> Session:
        """The session that a hello resumes, which is kept no longer.

        Raises
        ------
        ProtocolError
            If it is not there, or the hello has not its secret.
        """
        with self._lock:
            self._shrink()
            entry = self._entries.get(hello.session)
            if entry is None or not hmac.compare_digest(entry.commitment, committed(hello.secret)):
                raise ProtocolError(_REFUSED)
            del self._entries[hello.session]
            return entry.session

    def _shrink(self) -> None:
        now = time.monotonic()
        while self._entries:
            oldest = next(iter(self._entries))
            held = sum(entry.size_bytes for entry in self._entries.values())
            fits = len(self._entries) <= self._most and held <= self._most_bytes
            if fits and self._entries[oldest].until_s > now:
                return
            del self._entries[oldest]
