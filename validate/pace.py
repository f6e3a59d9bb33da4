"""How fast the processor runs that a party is on: CPU seconds of fixed work, beside each of its lookups.

The processors of a virtual machine are often hardware threads, whose core a neighbour uses as well. Work then takes up
to twice its CPU seconds, for tenths of a second or for minutes, and no account of the kernel shows it. Sessions are
told apart by the seconds of this fixed work, never by their results.
"""

from __future__ import annotations

import time

FULL_SPEED = 1.25
"""Times the quickest pace of a campaign up to which a processor counts as running at its full speed."""
STEPS = 3000
TRIES = 3


def pace_s() -> float:
    """CPU seconds of the fixed work on this thread's processor now, the quickest of three; it takes half a millisecond.

    Examples
    --------
    >>> 0 < pace_s() < 1
    True
    """
    return min(_work_s() for _ in range(TRIES))


def full_speed(pace: float, quickest_s: float) -> bool:
    """Whether a processor that takes so many seconds runs as fast as one can that took the quickest.

    Examples
    --------
    >>> full_speed(1.1e-4, 1e-4), full_speed(1.8e-4, 1e-4)
    (True, False)
    """
    return pace <= FULL_SPEED * quickest_s


class Pace:
    """The pace of one process, stretch of work by stretch.

    Attributes
    ----------
    quickest_s
        The quickest pace so far.
    """

    def __init__(self) -> None:
        self._before_s = self.quickest_s = pace_s()

    def begin(self) -> None:
        """A stretch of work begins now."""
        self._before_s = pace_s()
        self.quickest_s = min(self.quickest_s, self._before_s)

    def end(self) -> float:
        """Seconds of the fixed work before this stretch or after it, whichever are more; the next one begins."""
        before_s = self._before_s
        self.begin()
        return max(before_s, self._before_s)


def _work_s() -> float:
    start, found = time.thread_time(), 0
    for step in range(STEPS):
        found += step & 7
    return time.thread_time() - start
