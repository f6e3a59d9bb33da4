"""Memory of lookups that are being computed, given fairly by address.

A lookup takes all of it before it computes, and needs no more until it gives it back: nobody waits in a circle, and
whoever has some is done in a bounded time. What becomes free goes to the address that holds the least, and no other
passes by it, so that small lookups do not keep a large one waiting for ever.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from protocol.errors import ProtocolError


@dataclass(eq=False)
class _Waiter:
    size_bytes: int
    granted: threading.Event = field(default_factory=threading.Event)


class Workspaces:
    """Memory of all lookups under way.

    Parameters
    ----------
    most_bytes
        For all together.
    largest_bytes
        For one lookup. As much is kept free of every address that has some already.

    Examples
    --------
    >>> workspaces = Workspaces(300, 100)
    >>> with workspaces.taken("192.0.2.1", 100):
    ...     workspaces.held_bytes
    100
    """

    def __init__(self, most_bytes: float, largest_bytes: float) -> None:
        self.most_bytes = most_bytes
        self._largest_bytes = largest_bytes
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Waiter]] = {}
        self._stopped: str | None = None

    @property
    def held_bytes(self) -> int:
        """Held by all lookups."""
        with self._lock:
            return self._held.total()

    @property
    def waiting(self) -> int:
        """Lookups that wait."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def stop(self, reason: str) -> None:
        """Let nobody wait any longer."""
        with self._lock:
            self._stopped = reason
            for queue in self._waiting.values():
                for waiter in queue:
                    waiter.granted.set()
            self._waiting.clear()

    def check(self, size_bytes: int) -> None:
        """Refuse what no lookup gets.

        Raises
        ------
        ProtocolError
            Saying how much there is.
        """
        if size_bytes > self._largest_bytes:
            raise ProtocolError(
                f"so many tokens take {size_bytes} bytes to compute on; this server has room for "
                f"{self._largest_bytes:.0f}"
            )

    @contextmanager
    def taken(self, address: str, size_bytes: int) -> Iterator[None]:
        """Hold so much, once there is some; as long as for a turn, since whoever holds some goes on.

        Raises
        ------
        ProtocolError
            If no lookup gets so much, or the server stops.
        """
        self.check(size_bytes)
        waiter = _Waiter(size_bytes)
        with self._lock:
            if self._stopped is None:
                self._waiting.setdefault(address, deque()).append(waiter)
                self._grant()
            else:
                waiter.granted.set()
        waiter.granted.wait()
        if self._stopped is not None:
            raise ProtocolError(self._stopped)
        try:
            yield
        finally:
            with self._lock:
                self._held[address] -= size_bytes
                if not self._held[address]:
                    del self._held[address]
                self._grant()

    def _grant(self) -> None:
        while allowed := [address for address in self._waiting if self._allows(address)]:
            chosen = min(allowed, key=lambda address: self._held[address])
            queue = self._waiting[chosen]
            if self._held.total() + queue[0].size_bytes > self.most_bytes:
                return
            waiter = queue.popleft()
            self._held[chosen] += waiter.size_bytes
            if not queue:
                del self._waiting[chosen]
            waiter.granted.set()

    def _allows(self, address: str) -> bool:
        """Whether an address may hold what it waits for, if there is so much."""
        held = self._held[address]
        return not held or held + self._waiting[address][0].size_bytes + self._largest_bytes <= self.most_bytes
