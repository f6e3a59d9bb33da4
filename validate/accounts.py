"""What the kernel says that other work took from a party: waiting, switches, stolen time, pressure.

A run is marked as disturbed by these accounts, never by its result.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

SCHEDSTAT = Path("/proc/self/schedstat")
STAT = Path("/proc/stat")
PRESSURE = Path("/proc/pressure/cpu")
_FIRST_LINE_BYTES = 1024
STEAL = 8
"""Place of the stolen ticks in the first line of ``/proc/stat``, after its name."""


class Accounts(NamedTuple):
    """Counters of a process and its machine, or their differences; NaN where the system does not tell.

    Attributes
    ----------
    waited_s
        Seconds that the main thread was ready to run and had no processor.
    preempted, yielded
        Involuntary and voluntary context switches of the process.
    stolen_s
        Seconds that a hypervisor took from all processors of the machine.
    pressed_s
        Seconds in which any task of the machine waited for a processor.
    """

    waited_s: float
    preempted: float
    yielded: float
    stolen_s: float
    pressed_s: float

    def since(self, before: Accounts) -> Accounts:
        """What was added since then.

        Examples
        --------
        >>> Accounts(3.0, 5, 9, 0.5, 2.0).since(Accounts(1.0, 4, 2, 0.5, 1.5))
        Accounts(waited_s=2.0, preempted=1, yielded=7, stolen_s=0.0, pressed_s=0.5)
        """
        return Accounts(*(now - then for now, then in zip(self, before, strict=True)))

    def plus(self, other: Accounts) -> Accounts:
        """Two periods of one process, one after the other."""
        return Accounts(*(one + more for one, more in zip(self, other, strict=True)))

    def beside(self, other: Accounts) -> Accounts:
        """Two processes of one machine at the same time: the machine's accounts are the same in both.

        Examples
        --------
        >>> Accounts(1.0, 1, 2, 0.5, 2.0).beside(Accounts(2.0, 0, 3, 0.4, 2.1))
        Accounts(waited_s=3.0, preempted=1, yielded=5, stolen_s=0.5, pressed_s=2.1)
        """
        return Accounts(
            self.waited_s + other.waited_s,
            self.preempted + other.preempted,
            self.yielded + other.yielded,
            max(self.stolen_s, other.stolen_s),
            max(self.pressed_s, other.pressed_s),
        )

    @property
    def lost_s(self) -> float:
        """Seconds that other work took at least, as far as the system tells; 0 where it tells nothing."""
        return max((one for one in (self.waited_s, self.stolen_s) if not math.isnan(one)), default=0.0)


NOTHING = Accounts(0.0, 0, 0, 0.0, 0.0)


def accounts() -> Accounts:
    """The counters of this process and its machine now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pressure = next((word for word in _words(PRESSURE) if word.startswith("total=")), "total=")
    return Accounts(
        _number(_words(SCHEDSTAT), 1) * 1e-9,
        usage.ru_nivcsw,
        usage.ru_nvcsw,
        _number(_words(STAT), STEAL) / os.sysconf("SC_CLK_TCK"),
        _number([pressure.removeprefix("total=")], 0) * 1e-6,
    )


def _words(path: Path) -> Sequence[str]:
    """Words of the first line of a file, none if it cannot be read."""
    try:
        return os.pread(_opened(path, os.getpid()), _FIRST_LINE_BYTES, 0).decode("ascii").partition("\n")[0].split()
    except (OSError, UnicodeDecodeError):
        return ()


@cache
def _opened(path: Path, process: int) -> int:
    """A descriptor of a file, kept: to open it takes several times as long as to read it, within a latency."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _number(words: Sequence[str], place: int) -> float:
    try:
        return float(words[place])
    except (IndexError, ValueError):
        return math.nan
