"""Unit costs of a machine, fitted to measured runs by non-negative least squares.

An operation that is repeated ``count`` times on ``size`` residues each costs
``batch_s + count * (call_s + element_s * size)``. The coefficients are fitted to the idealised seconds of every work
entry in which the operation occurs; the interval beside them comes from all repetitions, and so shows what contention
and the affine form leave unexplained. What few entries leave open, such as the share of ``batch_s``, is settled by the
proportions of a profile that is there already: its unit, at the measured speed, counts as one more entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from costmodel.estimate import terms
from costmodel.grid import Grid
from costmodel.ledger import OVERHEAD, PHASES, Phase, Term, Transfer, Work
from costmodel.machine import Machine, UnitCost
from costmodel.packing import required_plaintext_modulus
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems import executed
from costmodel.tls import protected_words
from costmodel.workload import Workload, lookups_of
from validate.measurement import idealised
from validate.sampling import designs

FloatArray = NDArray[np.float64]

CLOCK_S = 20e-6
"""Seconds below which an entry's time is mostly the clock's; errors are taken relative to at least that."""

ITERATIONS = 12
"""Of the weights; the coefficients then move by less than the noise."""

INTERVAL_QUANTILES = (0.05, 0.95)
"""Of measured over modelled seconds, over all repetitions: the interval of a unit cost."""


PRIOR_ENTRIES = 1.0
"""Entries that an operation's unit of the base profile counts as."""

Point = tuple[float, float]
"""Count and size of a work entry."""


@dataclass(frozen=True)
class Observation:
    """Measured CPU seconds of one work entry in every session, beside what the model counts for it."""

    operation: str
    count: float
    size: float
    seconds: tuple[float, ...]
    undisturbed: tuple[float, ...] = ()
    """Those at the processor's usual pace, if they are told apart."""

    @property
    def ideal_s(self) -> float:
        """Seconds without contention."""
        return idealised(self.undisturbed or self.seconds)


def observations(
    configuration: Configuration, measured: pd.DataFrame, workload: Workload | None = None, tls: bool = False
) -> list[Observation]:
    """The work entries of a configuration that count something.

    Lookups of generated tokens are repetitions of one lookup. What the setup spends outside of its operations is left
    out: it loads kernels and libraries, which no figure of a query contains.

    Parameters
    ----------
    configuration
        What was run.
    measured
        Ledger entries of its sessions, as :func:`validate.measurement.marked` gives them.
    workload
        What the sessions looked up, if not the configuration's tokens together.
    tls
        Whether the parties spoke TLS, whose work is of their overheads.

    Raises
    ------
    ValueError
        If an entry that the model has was not measured.
    """
    work = measured[measured["kind"] == "work"]
    first, *generated = lookups_of(configuration, workload)
    found = _observed(first, work[work["lookup"] <= 1], PHASES, tls)
    for one in generated:
        found += _observed(one, work[work["lookup"] > 1], ("offline", "online"), tls)
    return found


def _observed(configuration: Configuration, work: pd.DataFrame, phases: Sequence[str], tls: bool) -> list[Observation]:
    """The work entries of a lookup in these phases."""
    parts = dict(list(work.groupby(["phase", "party", "item"])))
    found = []
    ledger = terms(Grid.of(configuration))
    for term in ledger:
        if not isinstance(term, Work) or float(term.count) <= 0 or (term.phase, term.operation) == ("setup", OVERHEAD):
            continue
        if term.phase not in phases:
            continue
        key = (term.phase, term.party, term.operation)
        if key not in parts:
            raise ValueError(
                f"measured ledger has no entry {', '.join(key)}, which the model counts {term.count} times"
            )
        seconds = parts[key]["seconds"]
        undisturbed = tuple(seconds[~parts[key]["aside"]])
        size = float(term.size)
        if tls and term.operation == OVERHEAD:
            size += _protected_words(ledger, term.phase)
        found.append(Observation(term.operation, float(term.count), size, tuple(seconds), undisturbed))
    return found


def _protected_words(ledger: Iterable[Term], phase: Phase) -> float:
    """Words of a party's overhead by which TLS grows it in a phase."""
    moved = [term for term in ledger if isinstance(term, Transfer) and term.phase == phase]
    return float(protected_words(sum(term.size_bytes for term in moved), sum(term.messages for term in moved)))


def fit_units(
    observed: Iterable[Observation],
    base: Mapping[str, UnitCost] | None = None,
    asked: Mapping[str, Sequence[Point]] | None = None,
) -> dict[str, UnitCost]:
    """Affine cost of every operation.

    Where ``base`` has a unit of an operation, its cost at the points that are ``asked`` for, scaled to the measured
    entries, counts as much as ``PRIOR_ENTRIES`` of them.

    Minimised is the sum of ln(s/m)^2 over the entries, s idealised and m modelled seconds, by iterated weights: small
    runs count as much as large ones, and half as much as twice as much. ``low`` and ``high`` are the 5 % and 95 %
    quantiles of measured over modelled seconds over all repetitions, widened to contain 1; ``residual`` is the root
    mean square of ln(m/s) and ``spread`` the median over the entries of the 95 % quantile of the repetitions over the
    idealised seconds.
    """
    by_operation: dict[str, list[Observation]] = {}
    for one in observed:
        by_operation.setdefault(one.operation, []).append(one)
    known, points = base or {}, asked or {}
    return {
        operation: fit_unit(rows, known.get(operation), points.get(operation, ()))
        for operation, rows in sorted(by_operation.items())
    }


def fit_unit(rows: Sequence[Observation], base: UnitCost | None = None, asked: Sequence[Point] = ()) -> UnitCost:
    """Affine cost of one operation; see :func:`fit_units`."""
    ideal = np.array([row.ideal_s for row in rows])
    design = _design([(row.count, row.size) for row in rows])
    if base is not None and asked:
        prior, prior_s = _prior(base, _design(asked), design, ideal)
    else:
        prior, prior_s = design[:0], ideal[:0]
    cost = _affine(design, ideal, prior, prior_s)
    modelled = design @ cost
    ratios = [
        (np.asarray(row.seconds) + CLOCK_S) / (spent + CLOCK_S) for row, spent in zip(rows, modelled, strict=True)
    ]
    low, high = np.quantile(np.concatenate(ratios), INTERVAL_QUANTILES)
    spreads = [(np.quantile(row.seconds, INTERVAL_QUANTILES[1]) + CLOCK_S) / (row.ideal_s + CLOCK_S) for row in rows]
    return UnitCost(
        float(cost[1]),
        float(cost[2]),
        low=float(min(1.0, low)),
        high=float(max(1.0, high)),
        residual=float(np.sqrt(np.mean(np.square(np.log((modelled + CLOCK_S) / (ideal + CLOCK_S)))))),
        spread=max(1.0, float(np.median(spreads))),
        samples=len(rows),
        batch_s=float(cost[0]),
    )


def _design(points: Sequence[Point]) -> FloatArray:
    return np.array([[1.0, count, count * size] for count, size in points])


def _prior(base: UnitCost, asked: FloatArray, design: FloatArray, ideal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows that are asked for, and the base's seconds for them at the speed that was measured."""
    cost = np.array([base.batch_s, base.call_s, base.element_s])
    speed = np.exp(np.mean(np.log((ideal + CLOCK_S) / (design @ cost + CLOCK_S))))
    return asked, speed * (asked @ cost)


def _affine(design: FloatArray, ideal: FloatArray, prior: FloatArray, prior_s: FloatArray) -> FloatArray:
    """Coefficients with the least sum of squared logarithms over the entries, and over the prior at its weight."""
    rows, seconds = np.concatenate([design, prior]), np.concatenate([ideal, prior_s])
    own = np.concatenate([np.ones(len(design)), np.full(len(prior), PRIOR_ENTRIES / max(1, len(prior)))])
    scale = np.maximum(rows.max(axis=0), 1.0)
    modelled = seconds
    for _ in range(ITERATIONS):
        weight = np.sqrt(own * _log_over_difference(seconds + CLOCK_S, modelled + CLOCK_S) / (modelled + CLOCK_S))
        solution, _ = nnls(rows / scale * weight[:, None], seconds * weight)
        modelled = rows @ (solution / scale)
    return np.asarray(solution / scale)


def _log_over_difference(x: FloatArray, y: FloatArray) -> FloatArray:
    """ln(x/y) / (x - y), which is 1/y where they are equal."""
    excess = x / y - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(np.abs(excess) < 1e-6, 1.0, np.log1p(excess) / excess)
    return np.asarray(found / y)


def calibrated(
    name: str,
    observed: Mapping[str, Sequence[Observation]],
    base: Machine,
    provenance: dict[str, str],
    asked: Iterable[Configuration] = (),
) -> Machine:
    """A profile with the units of the engines that were measured; what was not measured is the base's.

    So is the part of an operation that threads share.

    Parameters
    ----------
    name
        Of the machine.
    observed
        Observations by engine.
    base
        Profile that gives everything else.
    provenance
        Where the measured units come from; added to the base's.
    asked
        Configurations that will be predicted, at whose entries the base's proportions count.
    """
    points: dict[str, dict[str, list[Point]]] = {}
    for configuration in asked:
        of_engine = points.setdefault(configuration.engine, {})
        for term in terms(Grid.of(configuration)):
            if isinstance(term, Work) and float(term.count) > 0:
                of_engine.setdefault(term.operation, []).append((float(term.count), float(term.size)))
    measured = {}
    for engine, rows in observed.items():
        known = {name: unit for (at, name), unit in base.units.items() if at == engine and unit.samples}
        units = fit_units(rows, known, points.get(engine))
        for operation, cost in units.items():
            before = base.units.get((engine, operation), cost)
            measured[engine, operation] = replace(cost, shared=before.shared)  # CPU seconds say nothing of threads
    return Machine(name, {**base.units, **measured}, {**base.provenance, **provenance})


def calibration_sample() -> list[Configuration]:
    """What ``fastquery calibrate`` runs on each engine.

    Small and large rings, one limb and two, few answers and many, one token and several, packed answers or not,
    flooded or not, prepared or not, aligned or not: every operation at sizes that differ by an order of magnitude.
    """
    return [
        one
        for design in designs()
        for one in SAMPLES.get((design.protocol, design.engine), _default)(design.protocol, design.engine)
    ]


def _default(protocol: str, engine: str) -> list[Configuration]:
    """Of a system without a sample of its own: small tables and larger ones, one token and several."""
    shapes = (Table(500, 24), Table(3000, 96), Table(6000, 384, 2), Table(12000, 96, 4))
    return [executed(protocol, table, engine=engine) for table in shapes]


def _on_openfhe(protocol: str, engine: str) -> list[Configuration]:
    """Cheetah's and FastQuery's products on rings of one limb and two, and FastQuery's whole protocol."""
    tables = (Table(3000, 48), Table(6000, 60, 2))
    rings = ((2048, (53,)), (4096, (53, 53)), (8192, (60, 60)))
    delphi: list[Configuration] = [
        executed(protocol, table, engine=engine, options=("delphi",)) for table in (Table(1500, 24), Table(6000, 96))
    ]
    if protocol == "cheetah":
        wide = Packing((16,), "cheetah", "ciphertexts")
        products = [
            Configuration(protocol, table, Ring(degree, limbs, 2**31), wide)
            for degree, limbs in rings
            for table in tables
            if len(limbs) > 1
        ]
        return [*products, *delphi]
    packed = Packing((4, 3, 3), "column", "ciphertexts")
    modulus = required_plaintext_modulus(packed.field_moduli)
    products = [
        Configuration(protocol, table, Ring(degree, limbs, modulus), packed)
        for degree, limbs in rings
        for table in tables
    ]
    aligned = [
        executed(protocol, Table(4000, 240), engine=engine, align_bits=32),
        executed(protocol, Table(2000, 24), engine=engine, align_bits=16),
    ]
    whole = [
        executed(protocol, table, engine=engine, ablation="packlwes", ring=ring, options=options)
        for table, ring, options in (
            (Table(500, 24), {}, ()),
            (Table(6000, 384, 2), {}, ()),
            (Table(2000, 1536), {"degree": 4096}, ()),
            (Table(12000, 96, 4), {"degree": 8192}, ()),
            (Table(3000, 96), {}, ("delphi",)),
        )
    ]
    return [*products, *aligned, *whole, *delphi]


def _cryptflow2(protocol: str, engine: str) -> list[Configuration]:
    """Slots: rotations by the keys of rings of 8192 and 16384."""
    shapes: tuple[tuple[Table, tuple[str, ...]], ...] = (
        (Table(500, 24), ()), (Table(2000, 24, 2), ()), (Table(1000, 96), ("delphi",)), (Table(3000, 48), ()),
    )  # fmt: skip
    return [executed(protocol, table, engine=engine, options=options) for table, options in shapes]


def _fastquery(protocol: str, engine: str) -> list[Configuration]:
    """Few answers and many, one token and several, flooded or prepared, aligned or not."""
    on_residues = [
        executed(protocol, table, flooding_bits=flooding_bits, prepared=prepared, align_bits=align_bits)
        for table, align_bits in (
            (Table(3000, 96), 16),
            (Table(12000, 384, 4), 0),
            (Table(20000, 1536), 32),
            (Table(1500, 3600), 0),
            (Table(2500, 96, 32), 0),
        )
        for flooding_bits, prepared in ((40, False), (0, True))
    ]
    return on_residues


def _cheetah(protocol: str, engine: str) -> list[Configuration]:
    """Cheetah's tiles, their answers extracted."""
    return [
        executed(protocol, table, flooding_bits=bits)
        for table, bits in ((Table(3000, 96), 40), (Table(12000, 384, 2), 0), (Table(6000, 1500), 40))
    ]


def _folded(protocol: str, engine: str) -> list[Configuration]:
    """Expansion to few leaves and many, flooded or prepared, on each of its degrees."""
    return [
        executed(protocol, table, flooding_bits=bits, prepared=prepared, ring=ring, align_bits=align_bits)
        for table, ring, align_bits in (
            (Table(3000, 96), {}, 0),
            (Table(12000, 768, 2), {}, 32),
            (Table(2500, 4096, 2), {}, 0),
            (Table(32000, 1536), {}, 0),
            (Table(2000, 24, 3), {"degree": 8192}, 0),
            (Table(6000, 384, 4), {"degree": 4096}, 0),
        )
        for bits, prepared in ((40, False), (0, True))
    ]


def _compressed(protocol: str, engine: str) -> list[Configuration]:
    """Few leaves and many, one answer and several."""
    return [
        executed(protocol, table, flooding_bits=bits)
        for table, bits in (
            (Table(3000, 96), 40),
            (Table(12000, 768, 2), 0),
            (Table(2500, 2048), 40),
            (Table(20000, 1536), 0),
        )
    ]


SAMPLES: Mapping[tuple[str, str], Callable[[str, str], list[Configuration]]] = {
    ("cheetah", "openfhe"): _on_openfhe,
    ("fastquery", "openfhe"): _on_openfhe,
    ("cryptflow2", "openfhe"): _cryptflow2,
    ("fastquery", "residue"): _fastquery,
    ("cheetah", "residue"): _cheetah,
    ("folded", "residue"): _folded,
    ("compressed", "residue"): _compressed,
}
"""Samples that reach more of an engine's operations and sizes than those of any system."""
