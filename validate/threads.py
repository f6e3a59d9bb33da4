"""The part of every operation that a server's threads share, measured: lookups on one thread and on several, in turns.

With a and b the wall seconds of an operation on one thread and on k, the part f for which b = a (1 - f + f/k) is
(1 - b/a) k/(k - 1), held between 0 and 1. Wall seconds are those of a machine that does little else: processors that
others use share nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from costmodel.machine import Machine
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from protocol.engines import engine_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.server import load_table
from protocol.threads import Threads, free_processors
from validate.measurement import idealised

BUDGET_S = 3.0
"""Of the rounds of a lookup; one round is always made."""
SHORTEST_S = 2e-3
"""Wall seconds of an operation in all lookups below which a ratio is mostly noise, and the operation has no part."""

Parts = Mapping[tuple[str, str], float]
"""Parts that are shared, by engine and operation."""


def reference_lookups() -> list[Configuration]:
    """Lookups that together have every operation of the residue engine that threads share."""
    return [
        executed("folded", Table(6000, 4096), flooding_bits=40),
        executed("folded", Table(6000, 4096), flooding_bits=0, prepared=True),
        executed("compressed", Table(12000, 768), flooding_bits=40),
        executed("fastquery", Table(12000, 768), flooding_bits=40),
    ]


def measured_parts(
    threads: int | None = None, lookups: Iterable[Configuration] | None = None, budget_s: float = BUDGET_S
) -> dict[tuple[str, str], float]:
    """Part of every long operation's seconds that threads share; of none where there is one processor.

    Parameters
    ----------
    threads
        k; all free processors if left out.
    lookups
        In the place of :func:`reference_lookups`.
    budget_s
        Wall seconds after which no further round of a lookup begins, on one thread and on k by turns; one is always
        made.
    """
    count = threads or free_processors()
    if count == 1:
        return {}
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for configuration in reference_lookups() if lookups is None else lookups:
        alone, shared = _wall_seconds(configuration, (1, count), budget_s)
        for operation, seconds in alone.items():
            found.setdefault((configuration.engine, operation), []).append((seconds, shared[operation]))
    long = {place: pairs for place, pairs in found.items() if sum(alone for alone, _ in pairs) >= SHORTEST_S}
    return {place: shared_part(pairs, count) for place, pairs in sorted(long.items())}


def shared_part(pairs: Sequence[tuple[float, float]], threads: int) -> float:
    """The part of an operation that is shared, by its wall seconds on one thread and on several.

    Examples
    --------
    >>> shared_part([(1.0, 0.6)], 2)
    0.8
    """
    alone, shared = (sum(one) for one in zip(*pairs, strict=True))
    return float(np.clip(round((1.0 - shared / alone) * threads / (threads - 1), 3), 0.0, 1.0))


def with_parts(machine: Machine, parts: Parts) -> Machine:
    """The profile with the parts that were measured; its other units keep theirs.

    Examples
    --------
    >>> from costmodel.machine import UnitCost
    >>> base = Machine("a", {("residue", "fold"): UnitCost(2.0, 0.0)}, {})
    >>> with_parts(base, {("residue", "fold"): 0.9}).unit("residue", "fold").shared
    0.9
    """
    units = {place: replace(cost, shared=parts.get(place, cost.shared)) for place, cost in machine.units.items()}
    return replace(machine, units=units)


def _wall_seconds(configuration: Configuration, counts: tuple[int, int], budget_s: float) -> list[dict[str, float]]:
    """Wall seconds of the operations of a lookup without contention, on each number of threads.

    Both parties are in this process, and a meter whose clock is that of the wall counts for the server.
    """
    shape, engine = configuration.table, engine_of(configuration)
    table = load_table(configuration, f"{shape.rows}x{shape.channels}", 0).coefficients
    server = engine.server(configuration, table, Meter("server"), lambda *_: None, False)
    sides = []
    for count in counts:
        client = engine.client(configuration, shape.tokens, Meter("client"), False, SeedRecord())
        meter = Meter("server", clock=time.perf_counter, threads=Threads(count))
        session = server.session(shape.tokens, meter)
        session.accept_keys(list(client.keys()))
        seen: dict[str, list[float]] = {}
        sides.append((client, session, meter, seen))
    shares = np.empty((shape.tokens, table.shape[1]), dtype=np.int64)
    start = time.monotonic()
    while not sides[0][3] or time.monotonic() - start < budget_s:
        for client, session, meter, seen in sides:
            asking = client.lookup(shape.tokens, configuration.prepared)
            lookup = session.lookup(shape.tokens, configuration.prepared)
            meter.operations.clear()
            if configuration.has_offline_phase:
                asking.accept_first_halves(lookup.prepare(list(asking.announce())))
            asking.decrypt(lookup.answer(list(asking.encrypt([0] * shape.tokens)), shares))
            for (*_, operation), done in meter.operations.items():
                seen.setdefault(operation, []).append(done.seconds)
    return [{operation: idealised(times) for operation, times in seen.items()} for *_, seen in sides]
