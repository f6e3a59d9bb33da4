"""The measured ledger: bytes counted where they are sent, operations and CPU seconds where they are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from costmodel.ledger import Party, Phase

OVERHEAD = "session overhead"
"""Work entry for a party's CPU seconds of a phase that no metered operation covers."""


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
    operations: dict[tuple[Phase, str], list[float]] = field(default_factory=dict)

    def sent(self, item: str, size_bytes: int) -> None:
        """Count one frame that has left through the socket."""
        entry = self.transfers.setdefault((self.phase, item), [0, 0])
        entry[0] += 1
        entry[1] += size_bytes

    @contextmanager
    def work(self, operation: str, count: int = 1) -> Iterator[None]:
        """Time ``count`` repetitions of an operation in CPU seconds."""
        entry = self.operations.setdefault((self.phase, operation), [0, 0.0])
        with self.turn:
            start = self.clock()
            try:
                yield
            finally:
                entry[0] += count
                entry[1] += self.clock() - start

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
            entry = self.operations.setdefault((phase, OVERHEAD), [0, 0.0])
            entry[0] += 1
            entry[1] += max(0.0, uncovered)
            self.phase = previous

    def _seconds(self, phase: Phase) -> float:
        return sum(seconds for (at, _), (_, seconds) in self.operations.items() if at == phase)

    def rows(self) -> list[dict[str, Any]]:
        """Ledger rows of everything counted."""
        transfers = [
            {"kind": "transfer", "phase": phase, "party": self.party, "item": item, "count": count, "bytes": size}
            for (phase, item), (count, size) in self.transfers.items()
        ]
        work = [
            {"kind": "work", "phase": phase, "party": self.party, "item": item, "count": int(count), "seconds": seconds}
            for (phase, item), (count, seconds) in self.operations.items()
        ]
        return transfers + work
