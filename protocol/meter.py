"""The measured ledger: bytes counted where they are sent, operations and CPU seconds where they are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from costmodel.ledger import OVERHEAD, Party, Phase, Unit
from protocol.threads import ALONE, Threads

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    """Counters of one party; phase and lookup are advanced by the protocol's state machine.

    ``clock`` gives CPU seconds: those of the process, or of the session's ``threads`` where sessions run side by side.
    Every operation is done by ``threads`` and within ``turn``, which lets others compute between two of them. Lookup 0
    is the session itself.
    """

    party: Party
    phase: Phase = "setup"
    clock: Callable[[], float] = time.process_time
    turn: AbstractContextManager[None] = field(default_factory=nullcontext)
    threads: Threads = ALONE
    lookup: int = 0
    transfers: dict[tuple[int, Phase, str], list[int]] = field(default_factory=dict)
    operations: dict[tuple[int, Phase, str], Done] = field(default_factory=dict)
    objects: dict[tuple[int, Phase, str], tuple[Unit, int]] = field(default_factory=dict)
    _inner_s: float = 0.0

    def sent(self, item: str, size_bytes: int) -> None:
        """Count one frame that has left through the socket."""
        entry = self.transfers.setdefault((self.lookup, self.phase, item), [0, 0])
        entry[0] += 1
        entry[1] += size_bytes

    def carried(self, item: str, unit: Unit, count: int) -> None:
        """Count the objects of a frame that has left; a frame of an item that is never carried is one message."""
        place = self.lookup, self.phase, item
        _, before = self.objects.get(place, (unit, 0))
        self.objects[place] = (unit, before + count)

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
            place, tally, start = (self.lookup, self.phase, operation), Tally(), self.clock()
            try:
                yield tally
            finally:
                self._enter(place, tally.count, self.clock() - start)

    def side_by_side(self, function: Callable[[Meter, Item], Result], items: Sequence[Item]) -> list[Result]:
        """What a function gives of every item, in their order: an item a thread, if there are several of both.

        The function counts into the meter that it is given, whose operations are done by one thread.
        """
        if self.threads.count == 1 or len(items) == 1:
            return [function(self, item) for item in items]

        def run(item: Item) -> tuple[Result, Meter]:
            own = Meter(self.party, self.phase, time.thread_time, lookup=self.lookup)
            return function(own, item), own

        with self.turn:
            found = self.threads.map(run, items)
            for _, own in found:
                for place, done in own.operations.items():
                    self._enter(place, *done)
        return [result for result, _ in found]

    @contextmanager
    def phase_of(self, phase: Phase, lookup: int = 0) -> Iterator[None]:
        """Enter a phase of a lookup; on leaving it, what no operation covered is entered as overhead.

        Phases may lie within each other, as where an answer is waited for and what was prepared comes first: the inner
        one's seconds are its own.
        """
        outer, outer_inner_s = (self.phase, self.lookup), self._inner_s
        self.phase, self.lookup, self._inner_s = phase, lookup, 0.0
        before, start = self._seconds(phase, lookup), self.clock()
        try:
            yield
        finally:
            whole = self.clock() - start
            uncovered = whole - self._inner_s - (self._seconds(phase, lookup) - before)
            place = lookup, phase, OVERHEAD
            self._enter(place, 0 if place in self.operations else 1, max(0.0, uncovered))
            (self.phase, self.lookup), self._inner_s = outer, outer_inner_s + whole

    def forget(self, before: int) -> None:
        """Drop the entries of lookups below a number; those of the session stay."""
        for entries in (self.transfers, self.operations, self.objects):
            for place in [place for place in entries if 0 < place[0] < before]:
                del entries[place]

    def _enter(self, place: tuple[int, Phase, str], count: int | Fraction, seconds: float) -> None:
        before = self.operations.get(place, Done(0, 0.0))
        self.operations[place] = Done(before.times + count, before.seconds + seconds)

    def _seconds(self, phase: Phase, lookup: int) -> float:
        return sum(done.seconds for (which, at, _), done in self.operations.items() if (which, at) == (lookup, phase))

    def rows(self) -> list[dict[str, Any]]:
        """Ledger rows of everything counted."""
        transfers = []
        for (lookup, phase, item), (messages, size) in self.transfers.items():
            unit, count = self.objects.get((lookup, phase, item), ("messages", messages))
            where = {"kind": "transfer", "lookup": lookup, "phase": phase, "party": self.party, "item": item}
            transfers.append({**where, "count": count, "unit": unit, "messages": messages, "bytes": size})
        work = [
            {
                "kind": "work",
                "lookup": lookup,
                "phase": phase,
                "party": self.party,
                "item": item,
                "count": int(done.times) if done.times.denominator == 1 else float(done.times),
                "seconds": done.seconds,
            }
            for (lookup, phase, item), done in self.operations.items()
        ]
        return transfers + work
