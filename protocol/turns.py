"""Turns at computing, given fairly by address.

A session computes in pieces, the operations that its meter counts. When a piece ends, its turn has lasted for a while,
and others wait, the turn passes to the address that has computed the least (start-time fair queueing by CPU seconds):
an address with many sessions, or with a batch of a thousand tokens, has no more of the processors than one with a
single token.

References
----------
.. [1] Goyal, Vin, Cheng. Start-time fair queueing. IEEE/ACM Transactions on Networking 5(5), 1997.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from protocol.errors import ProtocolError

TURN_S = 0.05
"""CPU seconds after which a turn passes on, at the end of the piece that is being computed."""
HOUR_S = 3600.0
MOST_ADDRESSES = 65536
"""Whose use is remembered; the one that came first is forgotten for one more."""


class _Use:
    """CPU seconds of an address: in the order of the queue, and of the last hour."""

    def __init__(self) -> None:
        self.served_s = 0.0
        self._spent_s = 0.0
        self._at = time.monotonic()

    def spend(self, seconds: float) -> None:
        self._spent_s += seconds

    def spent_s(self, hourly_s: float) -> float:
        """Seconds that are not yet forgotten: an hour forgets as many as may be used in one."""
        now = time.monotonic()
        self._spent_s = max(0.0, self._spent_s - (now - self._at) * hourly_s / HOUR_S)
        self._at = now
        return self._spent_s


class Turns:
    """Turns of all sessions of a server.

    Parameters
    ----------
    workers
        Sessions that compute at the same time.
    hourly_s
        CPU seconds that an address may use in an hour.
    clock
        CPU seconds of the calling session.
    """

    def __init__(self, workers: int, hourly_s: float = math.inf, clock: Callable[[], float] = time.thread_time) -> None:
        self.clock = clock
        self._free = workers
        self._hourly_s = hourly_s
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[threading.Event]] = {}
        self._uses: dict[str, _Use] = {}
        self._now_s = 0.0
        self._stopped: str | None = None

    @property
    def waiting(self) -> int:
        """Sessions that wait for a turn."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def stop(self, reason: str) -> None:
        """Give no more turns: whoever has one ends with this reason after its piece, whoever waits at once."""
        with self._lock:
            self._stopped = reason
            for queue in self._waiting.values():
                for waiter in queue:
                    waiter.set()
            self._waiting.clear()

    def take(self, address: str) -> None:
        """Wait for a turn.

        Raises
        ------
        ProtocolError
            If the server stops, or the address has used what it may in an hour.
        """
        with self._lock:
            self._check(address)
            use = self._use(address)
            # Whoever did not compute for a while has saved nothing up.
            use.served_s = max(use.served_s, self._now_s)
            if self._free and not self._waiting:
                # Time goes on while nobody waits: else an address that comes later would make up for all of it.
                self._now_s = use.served_s
                self._free -= 1
                return
            mine = threading.Event()
            self._waiting.setdefault(address, deque()).append(mine)
        mine.wait()
        if self._stopped is not None:
            raise ProtocolError(self._stopped)

    def give_back(self, address: str, used_s: float) -> None:
        """End a turn that took so many CPU seconds; the next one begins."""
        with self._lock:
            use = self._use(address)
            use.served_s += used_s
            use.spend(used_s)
            self._free += 1
            if not self._waiting or self._stopped is not None:
                return
            chosen = min(self._waiting, key=lambda one: self._use(one).served_s)
            self._now_s = max(self._now_s, self._use(chosen).served_s)
            queue = self._waiting[chosen]
            queue.popleft().set()
            self._free -= 1
            if not queue:
                del self._waiting[chosen]

    def must_pass(self, address: str, used_s: float) -> bool:
        """Whether a turn that has taken so long is to end here."""
        return self._stopped is not None or (used_s >= TURN_S and (bool(self._waiting) or self._hourly_s < math.inf))

    def _check(self, address: str) -> None:
        if self._stopped is not None:
            raise ProtocolError(self._stopped)
        if self._hourly_s < math.inf and self._use(address).spent_s(self._hourly_s) >= self._hourly_s:
            raise ProtocolError(
                f"your address has used the {self._hourly_s:.0f} CPU seconds an hour that it may; try again later"
            )

    def _use(self, address: str) -> _Use:
        use = self._uses.get(address)
        if use is None:
            while len(self._uses) >= MOST_ADDRESSES:
                del self._uses[next(iter(self._uses))]
            use = self._uses[address] = _Use()
        return use


class Turn:
    """The turns of one session, in one thread: a context that may be entered again inside of itself.

    Parameters
    ----------
    turns
        Of the server.
    address
        Whose session it is.
    """

    def __init__(self, turns: Turns, address: str) -> None:
        self._turns = turns
        self._address = address
        self._depth = 0
        self._began_s: float | None = None

    def __enter__(self) -> None:
        if self._began_s is None:
            self._take()
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._began_s is None:
            return
        if self._depth == 0:
            self._give_back()
        elif error is None and self._turns.must_pass(self._address, self._turns.clock() - self._began_s):
            self._give_back()
            self._take()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let others compute while this session waits for its peer; the turn is taken up again where one was held."""
        held = self._began_s is not None
        if held:
            self._give_back()
        yield
        if held:
            self._take()

    def _take(self) -> None:
        self._turns.take(self._address)
        self._began_s = self._turns.clock()

    def _give_back(self) -> None:
        assert self._began_s is not None
        used_s, self._began_s = self._turns.clock() - self._began_s, None
        self._turns.give_back(self._address, used_s)
