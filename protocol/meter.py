"""The measured ledger: bytes counted where they are sent, operations and CPU seconds where they are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from costmodel.ledger import Party, Phase, Unit

OVERHEAD = "session overhead"
"""Work entry for a party's CPU seconds of a phase that no metered operation covers."""


class Tally:
    """How often an operation was done, counted by the loop or the kernel that does it.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add()
    >>> for limb in range(3):
    ...     tally.add(5, parts=3)
    >>> int(tally.count)
    6
    """

    def __init__(self) -> None:
        self.count: int | Fraction = 0

    def add(self, done: int | Fraction = 1, parts: int = 1) -> None:
        """Count operations, or parts of them where ``parts`` make one: limbs of a product, say."""
        self.count += done if parts == 1 else Fraction(done, parts)


class Done(NamedTuple):
    """Repetitions of an operation and the CPU seconds that they took."""

    times: int | Fraction
    seconds: float


@dataclass
class Meter:
    """Counters of one party; ``phase`` is advanced by the protocol's state machine.

    ``clock`` gives CPU seconds: those of the process, or of the thread where sessions run side by side. Every operation
    is done within ``turn``, which lets others compute between two of them.
    """

    party: Party
    phase: Phase = "setup"
    clock: Callable[[], float] = time.process_time
    turn: AbstractContextManager[None] = field(default_factory=nullcontext)
    transfers: dict[tuple[Phase, str], list[int]] = field(default_factory=dict)
    operations: dict[tuple[Phase, str], Done] = field(default_factory=dict)
    objects: dict[tuple[Phase, str], tuple[Unit, int]] = field(default_factory=dict)

    def sent(self, item: str, size_bytes: int) -> None:
        """Count one frame that has left through the socket."""
        entry = self.transfers.setdefault((self.phase, item), [0, 0])
        entry[0] += 1
        entry[1] += size_bytes

    def carried(self, item: str, unit: Unit, count: int) -> None:
        """Count the objects of a frame that has left; a frame of an item that is never carried is one message."""
        _, before = self.objects.get((self.phase, item), (unit, 0))
        self.objects[self.phase, item] = (unit, before + count)

    @contextmanager
    def work(self, operation: str) -> Iterator[None]:
        """Time one repetition of an operation in CPU seconds."""
        with self.counting(operation) as tally:
            yield
            tally.add()

    @contextmanager
    def counting(self, operation: str) -> Iterator[Tally]:
        """Time as many repetitions of an operation as the tally is told of, in CPU seconds."""
        with self.turn:
            phase, tally, start = self.phase, Tally(), self.clock()
            try:
                yield tally
            finally:
                self._enter(phase, operation, tally.count, self.clock() - start)

    @contextmanager
    def phase_of(self, phase: Phase) -> Iterator[None]:
        """Enter a phase; on leaving it, what no operation covered is entered as overhead."""
        previous, self.phase = self.phase, phase
        before = self._seconds(phase)
        start = self.clock()
        try:
            yield
        finally:
            uncovered = self.clock() - start - (self._seconds(phase) - before)
            self._enter(phase, OVERHEAD, 1, max(0.0, uncovered))
            self.phase = previous

    def _enter(self, phase: Phase, operation: str, count: int | Fraction, seconds: float) -> None:
        before = self.operations.get((phase, operation), Done(0, 0.0))
        self.operations[phase, operation] = Done(before.times + count, before.seconds + seconds)

    def _seconds(self, phase: Phase) -> float:
        return sum(done.seconds for (at, _), done in self.operations.items() if at == phase)

    def rows(self) -> list[dict[str, Any]]:
        """Ledger rows of everything counted."""
        transfers = []
        for (phase, item), (messages, size) in self.transfers.items():
            unit, count = self.objects.get((phase, item), ("messages", messages))
            sent = {"count": count, "unit": unit, "messages": messages, "bytes": size}
            transfers.append({"kind": "transfer", "phase": phase, "party": self.party, "item": item, **sent})
        work = [
            {
                "kind": "work",
                "phase": phase,
                "party": self.party,
                "item": item,
                "count": int(done.times) if done.times.denominator == 1 else float(done.times),
                "seconds": done.seconds,
            }
            for (phase, item), done in self.operations.items()
        ]
        return transfers + work
