"""A profile in seconds: the built-in unit costs, rescaled to this machine.

A few lookups are executed by two processes, as often as the time allows. An operation that takes long in them has a
factor of its own, the median of measured over modelled seconds, weighted by the seconds. All others have the factor of
their class: machines differ by what bounds an operation, and a short one tells little of the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from costmodel.ledger import OVERHEAD
from costmodel.machine import Machine, UnitCost
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from validate.calibration import CLOCK_S, Observation, observations
from validate.measurement import Parties, Session, enough, entries, marked

BUDGET_S = 3.0
"""Of rounds of lookups; one round is always made, and takes some two seconds. The start takes another five."""
FEW_CHANNELS = 24
"""Of the tables that kernels are loaded with."""
SLOW_TIMES = 2.0
"""As much of the budget where too few sessions had their processors at the usual pace."""
SESSIONS = 3
"""Of a lookup in one round."""
CLASSES: Mapping[str, frozenset[str]] = {
    "products": frozenset(
        {"add query", "encode table", "inner product", "multiply-accumulate", "plain product", "scalar product",
         "table pass"}
    ),
    "key switches": frozenset(
        {"expand", "fold", "generate expansion keys", "generate switching key", "merge", "read keys", "rotate",
         "square"}
    ),
    "hashing": frozenset(
        {"base transfers", "correct carries", "draw mask", "expand seed", "extend transfers", "flood", "generate keys",
         "mask query", "take corrections"}
    ),
    "Python": frozenset({OVERHEAD, "read ciphertext", "write ciphertext"}),
}  # fmt: skip
"""Operations by what bounds them; the others transform polynomials."""
TRANSFORMS = "transforms"
LONG_S = 5e-3
"""Modelled seconds in one lookup from which on an operation has a factor of its own."""

Progress = Callable[[str, int, int], None]


LOOKUPS: Sequence[tuple[str, Table, Mapping[str, Any]]] = (
    ("fastquery", Table(12000, 768), {"flooding_bits": 40, "align_bits": 16}),
    ("folded", Table(6000, 384), {"flooding_bits": 40}),
    ("fastquery", Table(3000, 96), {"flooding_bits": 0, "prepared": True}),
    ("fastquery", Table(3000, 96), {"engine": "openfhe", "ablation": "packlwes"}),
)


def reference_lookups() -> list[Configuration]:
    """Lookups that together have every class: a table that no cache holds, small ones, an alignment, OpenFHE."""
    return [executed(protocol, table, **options) for protocol, table, options in LOOKUPS]


def narrow_lookups() -> list[Configuration]:
    """Lookups with the same kernels in tables that are there at once."""
    return [
        executed(protocol, replace(table, channels=FEW_CHANNELS), **options) for protocol, table, options in LOOKUPS
    ]


def class_of(operation: str) -> str:
    """Class of an operation.

    Examples
    --------
    >>> class_of("merge"), class_of("encrypt")
    ('key switches', 'transforms')
    """
    return next((name for name, members in CLASSES.items() if operation in members), TRANSFORMS)


def measured_factors(
    base: Machine,
    budget_s: float = BUDGET_S,
    progress: Progress | None = None,
    lookups: Iterable[Configuration] | None = None,
) -> dict[tuple[str, str], float]:
    """Measured over the base's seconds, by engine and class or operation, as :func:`factors` gives them.

    Parameters
    ----------
    base
        Profile that has the operations of the lookups.
    budget_s
        Seconds after which no further round begins; twice as many where too few sessions had their processors at
        their usual pace. One round is always made.
    progress
        Called with what is being done, how much is done, and of how much.
    lookups
        In the place of :func:`reference_lookups`.

    Raises
    ------
    ProtocolError
        If a party fails.
    """
    chosen = reference_lookups() if lookups is None else list(lookups)
    loading = narrow_lookups() if lookups is None else chosen
    found: list[list[Session]] = [[] for _ in chosen]
    with Parties() as parties:
        for done, configuration in enumerate(loading):
            if progress is not None:
                progress("loading kernels", done, len(loading))
            # Loads kernels, and compiles the kernels that no cache holds: it does not count.
            _measure(parties, configuration, 1)
        start, rounds, limit_s = time.monotonic(), 0, budget_s
        while not rounds or (time.monotonic() - start) * (rounds + 1) / rounds < limit_s:
            for own, configuration in zip(found, chosen, strict=True):
                own += _measure(parties, configuration, SESSIONS)
            rounds += 1
            limit_s = budget_s if all(enough(own, parties.usual_s) for own in found) else SLOW_TIMES * budget_s
            if progress is not None:
                progress("measuring", min(round(time.monotonic() - start), round(limit_s)), round(limit_s))
        usual_s = parties.usual_s
    seen: dict[str, list[Observation]] = {}
    for configuration, own in zip(chosen, found, strict=True):
        measured = marked(entries(own), usual_s)
        seen.setdefault(configuration.engine, []).extend(observations(configuration, measured))
    return factors(base, seen)


def _measure(parties: Parties, configuration: Configuration, sessions: int) -> list[Session]:
    table = configuration.table
    name = f"{table.rows}x{table.channels}"
    return parties.measure(configuration, name, range(table.tokens), sessions=sessions)


def factors(base: Machine, observed: Mapping[str, Iterable[Observation]]) -> dict[tuple[str, str], float]:
    """Of every engine's classes and long operations the median of measured over the base's seconds, weighted by these.

    Parameters
    ----------
    base
        Profile that has the operations.
    observed
        Observations by engine.
    """
    ratios: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for engine, rows in observed.items():
        for row in rows:
            modelled = float(base.unit(engine, row.operation).seconds(row.count, row.size))
            ratio = (row.ideal_s + CLOCK_S) / (modelled + CLOCK_S)
            ratios.setdefault((engine, class_of(row.operation)), []).append((ratio, modelled))
            if modelled >= LONG_S and row.operation != OVERHEAD:
                ratios.setdefault((engine, row.operation), []).append((ratio, modelled))
    return {key: weighted_median(found) for key, found in sorted(ratios.items())}


def weighted_median(weighted: Iterable[tuple[float, float]]) -> float:
    """Least value up to which half of the weight lies.

    Examples
    --------
    >>> weighted_median([(1.0, 2.0), (3.0, 1.0), (9.0, 2.0)])
    3.0
    """
    values, weights = (np.array(part) for part in zip(*sorted(weighted), strict=True))
    reached = np.cumsum(weights) >= weights.sum() / 2
    return float(values[np.argmax(reached)])


def rescaled(
    base: Machine, name: str, scale: Mapping[tuple[str, str], float], provenance: Mapping[str, str]
) -> Machine:
    """The base with the units of every engine that was measured times their own factor, or else that of their class.

    A class that was not measured has the median of its engine's factors. Intervals and residuals stay the base's, and
    so do units of other engines, which are other people's measurements.

    Parameters
    ----------
    base
        Profile to rescale.
    name
        Of the new one.
    scale
        Factors by engine and class or operation.
    provenance
        Added to the base's.

    Examples
    --------
    >>> base = Machine("a", {("residue", "merge"): UnitCost(2.0, 0.0), ("seal", "merge"): UnitCost(5.0, 0.0)}, {})
    >>> twice = rescaled(base, "b", {("residue", "key switches"): 2.0}, {})
    >>> twice.unit("residue", "merge").call_s, twice.unit("seal", "merge").call_s
    (4.0, 5.0)
    """
    classes = {place: f for place, f in scale.items() if place[1] in (*CLASSES, TRANSFORMS)}
    other = {engine: float(np.median([f for (at, _), f in classes.items() if at == engine])) for engine, _ in classes}

    def factor(engine: str, operation: str) -> float:
        of_class = scale.get((engine, class_of(operation)), other.get(engine, 1.0))
        return scale.get((engine, operation), of_class)

    units = {place: _times(cost, factor(*place)) for place, cost in base.units.items()}
    stated = ", ".join(f"{engine} {kind} {factor:.2f}" for (engine, kind), factor in scale.items())
    return Machine(name, units, {**base.provenance, **provenance, "rescaled": f"from {base.name}: {stated}"})


def _times(cost: UnitCost, factor: float) -> UnitCost:
    return replace(cost, call_s=factor * cost.call_s, element_s=factor * cost.element_s, batch_s=factor * cost.batch_s)
