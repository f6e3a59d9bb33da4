"""How fast the processor runs that a party is on: CPU seconds of fixed work, beside each of its lookups.

The processors of a virtual machine are often hardware threads, whose core a neighbour uses as well. Work then takes up
to twice its CPU seconds, for tenths of a second or for hours, and no account of the kernel shows it. Costs are those at
the pace that is usual in a campaign. Sessions are told apart by the seconds of this fixed work, never by their results.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

import numpy as np

WITHIN = 1.15
"""Times the usual pace, up and down, within which a processor counts as running at it."""
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


def usual(paces_s: Iterable[float]) -> float:
    """The pace with the most others about it; infinity if there is none.

    Examples
    --------
    >>> usual([1.0, 1.7, 1.75, 1.8, 2.9])
    1.75
    """
    ordered = np.sort(np.fromiter(paces_s, dtype=np.float64))
    if not len(ordered):
        return math.inf
    about = np.searchsorted(ordered, ordered * WITHIN, "right") - np.searchsorted(ordered, ordered / WITHIN)
    most = np.flatnonzero(about == about.max())
    return float(ordered[most[len(most) // 2]])


def at_pace(pace: float, usual_s: float) -> bool:
    """Whether a processor with this pace runs at the usual one.

    Examples
    --------
    >>> at_pace(1.1e-4, 1e-4), at_pace(1.8e-4, 1e-4), at_pace(0.6e-4, 1e-4)
    (True, False, False)
    """
    return usual_s / WITHIN <= pace <= WITHIN * usual_s


class Pace:
    """The pace of one process, stretch of work by stretch.

    Attributes
    ----------
    seen_s
        Paces of all stretches.
    """

    def __init__(self) -> None:
        self._before_s = pace_s()
        self.seen_s: list[float] = []

    def begin(self) -> None:
        """A stretch of work begins now."""
        self._before_s = pace_s()

    def end(self) -> float:
        """Seconds of the fixed work before this stretch or after it, whichever are more; the next one begins."""
        before_s = self._before_s
        self.begin()
        self.seen_s.append(max(before_s, self._before_s))
        return self.seen_s[-1]


def _work_s() -> float:
    start, found = time.thread_time(), 0
    for step in range(STEPS):
        found += step & 7
    return time.thread_time() - start
