"""Sessions whose connection was lost, kept for a while so that their clients need not send their keys again.

One address has a share of them: whoever opens and drops sessions loses its own, and nobody else's. A client may notice
that its connection is lost before its server does: whoever resumes a session that is served ends its old connection.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from protocol.errors import ProtocolError
from protocol.hello import Hello, committed

Session = TypeVar("Session")

MAX_PARKED_BYTES = 2**28
"""Memory of all of them."""
ADDRESS_SHARE = 0.5
"""Of the sessions, and of their memory, for one address."""
ENDING_S = 30.0
"""Within which the old connection of a session that is resumed has to end."""
_REFUSED = "session cannot be resumed: this server does not hold it, or the secret is not its own; open a new one"


@dataclass(frozen=True)
class _Entry(Generic[Session]):
    session: Session
    commitment: bytes
    size_bytes: int
    address: str
    until_s: float


@dataclass(frozen=True)
class _Served:
    commitment: bytes
    leave: Callable[[], None]


class Parked(Generic[Session]):
    """Sessions by their identifier.

    An address that has more than its share loses the session that it parked first; where there are too many of all
    addresses, so does the one that has the most.

    Parameters
    ----------
    most, most_bytes
        Sessions, and memory of all of them.
    keep_s
        How long one is kept.

    Examples
    --------
    >>> parked = Parked(most=2)
    >>> parked.put(Hello(b"session 1...", 1, committed(b"a secret"), bytes(32)), "keys", 10, "192.0.2.1")
    >>> parked.take(Hello(b"session 1...", 1, bytes(32), b"a secret", 2))
    'keys'
    """

    def __init__(self, most: int = 64, most_bytes: int = MAX_PARKED_BYTES, keep_s: float = 600.0) -> None:
        self._most, self._most_bytes, self._keep_s = most, most_bytes, keep_s
        self._entries: dict[bytes, _Entry[Session]] = {}
        self._served: dict[bytes, _Served] = {}
        self._lock = threading.Condition()

    def __len__(self) -> int:
        """Sessions that are kept."""
        with self._lock:
            self._expire()
            return len(self._entries)

    @property
    def held_bytes(self) -> int:
        """Memory of the sessions that are kept."""
        with self._lock:
            return sum(entry.size_bytes for entry in self._entries.values())

    @contextmanager
    def serving(self, hello: Hello, leave: Callable[[], None]) -> Iterator[None]:
        """While a session is served that began, or was resumed, with a hello; its connection ends by a call."""
        with self._lock:
            served = self._served[hello.session] = _Served(hello.commitment, leave)
        try:
            yield
        finally:
            with self._lock:
                if self._served.get(hello.session) is served:
                    del self._served[hello.session]
                self._lock.notify_all()

    def put(self, hello: Hello, session: Session, size_bytes: int, address: str) -> None:
        """Keep a session that began, or was resumed, with a hello from an address."""
        with self._lock:
            self._expire()
            until_s = time.monotonic() + self._keep_s
            self._entries[hello.session] = _Entry(session, hello.commitment, size_bytes, address, until_s)
            while self._share(self._of(address)) > ADDRESS_SHARE:
                self._drop_first(address)
            while self._share(self._entries.values()) > 1:
                addresses = {entry.address for entry in self._entries.values()}
                self._drop_first(max(addresses, key=lambda one: self._share(self._of(one))))

    def take(self, hello: Hello) -> Session:
        """The session that a hello resumes, which is kept no longer; its old connection is ended first.

        Raises
        ------
        ProtocolError
            If it is not there, or the hello has not its secret.
        """
        name, commitment = hello.session, committed(hello.secret)
        with self._lock:
            served = self._served.get(name)
            if served is not None and hmac.compare_digest(served.commitment, commitment):
                served.leave()
                self._lock.wait_for(lambda: self._served.get(name) is not served, ENDING_S)
            self._expire()
            entry = self._entries.get(name)
            if entry is None or not hmac.compare_digest(entry.commitment, commitment):
                raise ProtocolError(_REFUSED)
            del self._entries[name]
            return entry.session

    def _of(self, address: str) -> list[_Entry[Session]]:
        return [entry for entry in self._entries.values() if entry.address == address]

    def _share(self, entries: Collection[_Entry[Session]]) -> float:
        """Of the sessions or of the memory, whichever they take more of."""
        return max(len(entries) / self._most, sum(entry.size_bytes for entry in entries) / self._most_bytes)

    def _drop_first(self, address: str) -> None:
        del self._entries[next(key for key, entry in self._entries.items() if entry.address == address)]

    def _expire(self) -> None:
        now = time.monotonic()
        for key in [key for key, entry in self._entries.items() if entry.until_s <= now]:
            del self._entries[key]
