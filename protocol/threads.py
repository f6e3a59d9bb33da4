"""Threads that share the work of one operation: ranges of a kernel's loop, or items of a list.

Kernels run without the interpreter's lock, so that threads of one process compute side by side. Whoever calls takes
part in the work, and others help where they are free: a call never waits for a thread that is busy elsewhere, and a
service's sessions may share one group of threads. Kernels compute the same whichever thread has a range.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 1024
PARTS = 4
"""Ranges a thread, so that one that is late holds nobody up for long."""


def free_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Threads:
    """So many threads, the one that calls among them.

    Parameters
    ----------
    count
        Threads that share an operation.

    Raises
    ------
    ValueError
        If there is not one at least, or there are more than 1024.

    Examples
    --------
    >>> Threads(2).share(lambda first, last: last - first, 1000)
    1000
    >>> Threads(2).map(str, [3, 1, 2])
    ['3', '1', '2']
    """

    def __init__(self, count: int = 1) -> None:
        if not 1 <= count <= MOST_THREADS:
            raise ValueError(f"threads is {count}; it must lie between 1 and {MOST_THREADS}")
        self.count = count
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._owner = os.getpid()
        self._helped = threading.local()

    def cpu_s(self) -> float:
        """CPU seconds of the calling thread, and of others for it."""
        return time.thread_time() + getattr(self._helped, "seconds", 0.0)

    def share(self, kernel: Callable[[int, int], int], total: int, grain: int = 1) -> int:
        """Run a kernel over ranges that together are 0 to ``total``; the sum of what it returns.

        Parameters
        ----------
        kernel
            Called with the first of a range and the end of it; ranges must not depend on each other.
        total
            Length of the loop.
        grain
            What the first of every range is a multiple of.
        """
        if self.count == 1 or total <= grain:
            return kernel(0, total)
        grains = -(-total // grain)
        parts = min(grains, PARTS * self.count)
        edges = [min(total, grains * part // parts * grain) for part in range(parts + 1)]
        return sum(self.map(lambda part: kernel(edges[part], edges[part + 1]), range(parts)))

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """What a function gives of every item, in their order; the first error is raised once all threads are done."""
        if self.count == 1 or len(items) <= 1:
            return [function(item) for item in items]
        results: list[Result | None] = [None] * len(items)
        # An iterator of a range is advanced under the interpreter's lock, so that every place is taken once.
        places = iter(range(len(items)))

        def work() -> None:
            for place in places:
                results[place] = function(items[place])

        def help_out() -> float:
            began_s = time.thread_time()
            work()
            return time.thread_time() - began_s

        helpers = [self._executor().submit(help_out) for _ in range(min(self.count, len(items)) - 1)]
        try:
            work()
        finally:
            self._join(helpers)
        return results  # type: ignore[return-value]

    def _join(self, helpers: list[Future[float]]) -> None:
        """Wait for whoever has begun, and count its seconds."""
        begun = [helper for helper in helpers if not helper.cancel()]
        seconds = [helper.result() for helper in begun]
        self._helped.seconds = getattr(self._helped, "seconds", 0.0) + sum(seconds)

    def _executor(self) -> ThreadPoolExecutor:
        """The others; a fork of the process that made them has none of them, and makes its own."""
        if self._owner != os.getpid():
            self._lock, self._pool, self._owner = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.count - 1, thread_name_prefix="kernel")
            return self._pool


ALONE = Threads()
"""The calling thread by itself."""
