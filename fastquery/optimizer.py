"""The best configurations of a lookup: every system, ring, packing and wire under constraints, and the Pareto front.

Systems that this project executes are searched: rings, layouts, channel widths, digits of the keys; the bits on the
wire follow from the target failure probability. Systems as published have no choice and stand as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import Estimate, estimate
from costmodel.grid import Grid
from costmodel.limits import FLOODING_BITS, LOG2_FAILURE
from costmodel.link import Link, exchange_s, parse_link
from costmodel.machine import Machine, default_machine
from costmodel.packing import required_plaintext_bits
from costmodel.parameters import EXECUTING_ENGINES, Configuration, Packing, Ring, Table
from costmodel.security import security_bits
from costmodel.systems import NAMES, configuration, system
from costmodel.systems import design_of as formulas_of
from costmodel.systems.expanded import ExpandedSystem
from costmodel.systems.fastquery import ABLATIONS, PAPER_WIDTHS
from fastquery.spaces import Column, Space, configuration_at
from fastquery.sweeps import RENAMED, Block, blocks, several
from fastquery.tables import table_of
from fastquery.winners import design_of, winners_frame

Floats = NDArray[np.float64]
Widths = tuple[int, ...]

DEGREES = (1024, 2048, 4096, 8192)
LIMB_BITS = range(30, 61)
"""Limbs that OpenFHE makes."""
DIGIT_BITS = range(6, 31, 3)
MOST_CHANNELS, WIDEST_BITS, WIDEST_PLAINTEXT_BITS = 5, 8, 31
"""Of the packings that are tried where none is named."""


@dataclass(frozen=True)
class Goal:
    """What configurations are compared by.

    Attributes
    ----------
    queries
        Over which a client's setup is spread.
    errors
        Quantisation error by channel widths; the rounding error of uniform quantisers for those that it lacks.
    """

    link: Link
    queries: float
    errors: Mapping[Widths, float]

    def figure(self, name: str, block: Block) -> Floats:
        """An objective, or any figure of an estimate, of a block's configurations.

        Raises
        ------
        ValueError
            If there is no such figure.
        """
        f = block.figures
        if name in OBJECTIVES:
            return np.broadcast_to(OBJECTIVES[name].of(f, self, block.space.base.packing.widths), block.shape)
        if name not in f:
            raise ValueError(f"figure is {name!r}; it must be one of {', '.join([*OBJECTIVES, *f])}")
        return f[name]

    def error(self, widths: Widths) -> float:
        """Quantisation error of channel widths."""
        return self.errors.get(widths, rounding_error(widths))


class Requirements(NamedTuple):
    """What every configuration must have."""

    flooding_bits: int = FLOODING_BITS
    log2_failure: float = LOG2_FAILURE
    security: int = 128  # bits by the stricter table
    prepared: bool = False  # what does not depend on the token is done before it is known
    align_bits: int = 0  # of every channel's share; 0 leaves the packed shares


def rounding_error(widths: Widths) -> float:
    """Root mean square error of uniform quantisers over their range: sqrt(mean 4^-w / 12)."""
    return math.sqrt(sum(4.0**-width for width in widths) / len(widths) / 12.0)


class Objective(NamedTuple):
    """What can be minimised: its column in a front, and how it follows from figures, goal and channel widths."""

    column: str
    of: Callable[[Mapping[str, Floats], Goal, Widths], Any]


def _setup_s(f: Mapping[str, Floats], goal: Goal) -> Any:
    return exchange_s(f["setup_bytes"], 0, goal.link.rate_bit_per_s, goal.link.round_trip_s)


OBJECTIVES: Mapping[str, Objective] = {
    "bytes": Objective(
        "bytes_per_query", lambda f, goal, _: f["up_bytes"] + f["down_bytes"] + f["setup_bytes"] / goal.queries
    ),
    "latency": Objective("latency_s", lambda f, *_: f["latency_s"]),
    "time": Objective("time_per_query_s", lambda f, goal, _: f["latency_s"] + _setup_s(f, goal) / goal.queries),
    "server": Objective("server_s", lambda f, *_: f["server_s"]),
    "setup": Objective("setup_bytes", lambda f, *_: f["setup_bytes"]),
    "memory": Objective("table_bytes", lambda f, *_: f["table_bytes"]),
    "error": Objective("quantisation_error", lambda _, goal, widths: goal.error(widths)),
}
"""``bytes`` of a query with its share of the setup; ``latency``, and ``time`` with the setup's share added; ``server``
CPU seconds; ``setup`` bytes; ``memory`` of the encoded table; quantisation ``error``."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best configuration, and those that nothing beats in both objectives.

    ``pareto`` has a row for every point of the front, in order of the first objective: both objectives, what the
    configuration is, its figures, and ``ties``, how many configurations came to the same point (the one shown has the
    most security, then the least failure).
    """

    configuration: Configuration
    estimate: Estimate
    pareto: pd.DataFrame
    configurations: tuple[Configuration, ...]  # of the rows of `pareto`
    searched: int
    skipped: tuple[str, ...]
    winners: pd.DataFrame  # see :func:`fastquery.winners.winners_frame`

    def document(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "best": {"configuration": asdict(self.configuration), "estimate": self.estimate.document()},
            "pareto": [
                {"configuration": asdict(one), **row}
                for one, row in zip(self.configurations, self.pareto.to_dict(orient="records"), strict=True)
            ],
            "winners": self.winners.to_dict(orient="records"),
            "searched": self.searched,
            "skipped": list(self.skipped),
        }


def optimize(
    table: str | Table = "llama-7b",
    *,
    protocol: str | Sequence[str] = "all",
    tokens: int = 1,
    link: str | Link = "lan",
    machine: Machine | None = None,
    queries: float = 1,
    objective: str = "latency",
    pareto: tuple[str, str] = ("bytes", "latency"),
    packing: Widths | Sequence[Widths] | None = None,
    errors: pd.DataFrame | Mapping[Widths, float] | None = None,
    max_error: float | None = None,
    flooding_bits: int = FLOODING_BITS,
    log2_failure: float = LOG2_FAILURE,
    security: int = 128,
    prepared: bool = False,
    align_bits: int = 0,
    at_most: Mapping[str, float] | None = None,
) -> Optimum:
    """The best configuration of a lookup and the Pareto front of two objectives.

    Parameters
    ----------
    table, protocol, tokens, link, machine
        What is looked up, by which systems, over what. ``all`` is every system of the model.
    queries
        Queries of one client, over which its keys and the rest of the setup are spread.
    objective, pareto
        Of ``OBJECTIVES``: what is minimised, and the two axes of the front.
    packing
        Channel widths of a coefficient, one tuple or several; every even packing of 1 to 5 channels of 2 to 8 bits if
        left out.
    errors
        Quantisation error by channel widths, or a frame with the columns ``bits`` and ``weighted_error``; then these
        are the packings.
    max_error
        Largest quantisation error; that of the paper's 4, 3 and 3 bits if left out.
    flooding_bits, log2_failure, security
        Statistical flooding, target log2 failure probability, and security in bits by the stricter table.
    prepared
        What does not depend on the token is done before it is known.
    align_bits
        Extend every channel's share to so many bits, by oblivious transfer or by a plaintext as wide with one channel
        a coefficient; 0 leaves the packed shares.
    at_most
        Upper bounds by objective or figure: ``{"bytes": 1e6, "memory": 4e8}``.

    Raises
    ------
    ValueError
        If a name or bound cannot be, or nothing satisfies the constraints.

    Examples
    --------
    >>> import fastquery as fq
    >>> fq.optimize("llama-7b", link="44Mbit/s,40ms", queries=100).configuration  # doctest: +SKIP
    """
    if not queries > 0:
        raise ValueError(f"queries is {queries}; it must be above 0")
    for name in (objective, *pareto):
        if name not in OBJECTIVES:
            raise ValueError(f"objective is {name!r}; it must be one of {', '.join(OBJECTIVES)}")
    shape = table_of(table, tokens) if isinstance(table, str) else replace(table, tokens=tokens)
    as_published = configuration("fastquery", shape, ablation="packlwes", log2_failure=log2_failure)
    as_published.updated(flooding_bits=flooding_bits, align_bits=align_bits)  # refuses what is out of bounds
    by_widths = _errors(errors)
    goal = Goal(parse_link(link) if isinstance(link, str) else link, queries, by_widths)
    bound = goal.error(PAPER_WIDTHS) * (1 + 1e-9) if max_error is None else max_error
    packings = [w for w in _packings(packing, by_widths) if goal.error(w) <= bound]
    if packing is None and "error" not in (objective, *pareto):  # wider channels than needed cost and gain nothing
        packings = list({len(w): w for w in sorted(packings, key=required_plaintext_bits, reverse=True)}.values())
    if not packings:
        raise ValueError(f"max_error is {bound:.3g}; no packing has so small a quantisation error")
    profile = machine or default_machine()
    bounds = {"error": bound, **(at_most or {})}
    needs = Requirements(flooding_bits, log2_failure, security, prepared, align_bits)
    search = Search(goal, (objective, *pareto), bounds, needs)
    names = list(NAMES) if "all" in several(protocol) else several(protocol)
    left_out: dict[str, list[str]] = {}
    for name in names:
        try:
            spaces = candidates(name, shape, packings, goal, needs, packing is not None)
            missed = [search.add(block) for space in spaces for block in blocks(space, profile)]
        except ValueError as error:
            if len(names) == 1:
                raise
            left_out.setdefault(str(error), []).append(name)
            continue
        if None not in missed:
            left_out.setdefault(_why(missed), []).append(name)
    if len(left_out) == 1 and set(names) == set(next(iter(left_out.values()))):
        raise ValueError(next(iter(left_out)))
    skipped = tuple(f"{', '.join(those)}: {reason}" for reason, those in left_out.items())
    return search.optimum(profile, skipped, estimate(as_published, goal.link, profile))


def candidates(
    protocol: str,
    table: Table,
    packings: Sequence[Widths],
    goal: Goal,
    needs: Requirements,
    named: bool = False,
) -> Iterator[Space]:
    """The spaces of configurations of one system; where packings are named, one with another packing has none.

    Raises
    ------
    ValueError
        If the system cannot be had so.
    """
    searched = system(protocol)
    if isinstance(searched, ExpandedSystem):
        yield from _searched(searched, table, packings, goal, needs)
        return
    base = _base(protocol, table, needs)
    if protocol == "cheetah" and not named:  # with several channels a coefficient it is FastQuery's own ablation
        packings = [widths for widths in packings if len(widths) == 1]
    if base.engine not in EXECUTING_ENGINES:
        if not named or base.packing.widths in packings:
            yield _space(base, goal.link)
        return
    if base.wire is None:
        for widths in packings:
            yield _space(_base(protocol, table, needs, widths), goal.link)
        return
    layouts = dict.fromkeys((p.tile, p.output) for p in _layouts(base, table, needs))
    plaintexts = [(widths, modulus) for widths in packings for modulus in _moduli(widths, needs.align_bits)]
    for (widths, modulus), (tile, output), limbs in product(plaintexts, layouts, (1, 2)):
        rings = _rings(modulus, limbs, needs.security)
        if not len(rings["degree"]):
            continue
        carrier = base.updated(ring=Ring(base.ring.degree, (61, 61), modulus), packing=Packing(widths, tile, output))
        axes = [rings, {"plaintext_modulus": np.array([modulus])}]
        wire = (goal.queries, needs.log2_failure)
        yield _space(carrier, goal.link, axes, *wire)
        if output == "packlwes":  # more digits take longer and leave less noise, fewer make smaller keys
            digits = {"digit_bits": np.array(DIGIT_BITS), "digit_dropped_bits": np.zeros(len(DIGIT_BITS), np.int64)}
            yield _space(carrier, goal.link, [*axes, digits], *wire)


def _moduli(widths: Widths, align_bits: int) -> list[int]:
    """The smallest plaintext modulus of a packing, and for one channel the one whose shares come out aligned."""
    smallest = required_plaintext_bits(widths)
    return [2**bits for bits in sorted({smallest, max(smallest, align_bits if len(widths) == 1 else 0)})]


def _searched(
    searched: ExpandedSystem, table: Table, packings: Sequence[Widths], goal: Goal, needs: Requirements
) -> Iterator[Space]:
    """An expanded query with every packing on the smallest ring that holds, and on the next.

    Raises
    ------
    ValueError
        If no ring holds any packing.
    """
    found, reason = 0, f"{searched.name} has no packing"
    for widths in packings:
        for modulus in _moduli(widths, needs.align_bits):
            held = 0
            rings = searched.rings
            for degree, limb_bits in dict.fromkeys((ring.degree, ring.limb_bits) for ring in rings):
                ring = {"degree": degree, "limb_bits": limb_bits, "plaintext_modulus": modulus}
                try:
                    base = _own(searched.name, table, needs, widths, ring)
                    grid = Grid.of(base)
                    formulas_of(grid).failure(grid)
                except ValueError as error:
                    reason = str(error)
                    continue
                yield _space(base, goal.link)
                held += 1
                if held == 2:  # a larger one only costs more
                    break
            found += held
    if not found:
        raise ValueError(reason)


def pareto_mask(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points no other point dominates, i.e. is at most as large in both and smaller in one.

    Equal points do not dominate each other: all of them are on the front, or none.
    """
    order = np.lexsort((y, x))
    xs, ys = np.asarray(x)[order], np.asarray(y)[order]
    first = np.ones(len(xs), dtype=bool)
    first[1:] = xs[1:] != xs[:-1]
    group = np.cumsum(first) - 1
    lowest = ys[first]  # sorted by y within equal x
    before = np.concatenate(([np.inf], np.minimum.accumulate(lowest)[:-1])) if len(lowest) else lowest
    kept = np.empty(len(xs), dtype=bool)
    kept[order] = (ys == lowest[group]) & (lowest[group] < before[group])
    return kept


class Bound(NamedTuple):
    """A constraint on a figure: at ``most`` or at ``least`` so much."""

    name: str
    side: str
    value: float

    def __str__(self) -> str:
        return f"{self.name} {'<=' if self.side == 'most' else '>='} {self.value:g}"

    def holds(self, figure: Floats) -> NDArray[np.bool_]:
        """Where it does."""
        return figure <= self.value if self.side == "most" else figure >= self.value

    def best(self, figures: Any) -> float:
        """The one of some figures that is nearest to holding it; NaN if none is known."""
        known = np.asarray(figures, dtype=np.float64)
        known = known[np.isfinite(known)]
        return float(known.min() if self.side == "most" else known.max()) if len(known) else math.nan


class Miss(NamedTuple):
    """Why nothing of a block can be taken: a bound that nothing holds and what comes nearest, or no single bound."""

    bound: Bound | None
    best: float = math.nan


def _why(missed: Sequence[Miss | None]) -> str:
    """Why nothing of a system's blocks could be taken, by the bound that most of them miss."""
    bounds = [one.bound for one in missed if one is not None]
    if not bounds:
        return "it has another packing than those that are allowed"
    bound = max(bounds, key=bounds.count)
    if bound is None:
        return "no configuration holds all constraints at once"
    best = bound.best([one.best for one in missed if one is not None and one.bound == bound])
    return f"{bound.name} is {best:.4g} at best; it must be at {bound.side} {bound.value:g}"


class Search:
    """Collects what can still be best or on the front."""

    def __init__(
        self,
        goal: Goal,
        objectives: tuple[str, str, str],
        at_most: Mapping[str, float],
        needs: Requirements,
    ) -> None:
        self.goal, self.objectives = goal, objectives
        upper = {**at_most, "log2_failure": needs.log2_failure}
        lower = {"flooding_bits": needs.flooding_bits, "security_bits": needs.security}
        self.bounds = [Bound(name, "most", bound) for name, bound in upper.items()]
        self.bounds += [Bound(name, "least", bound) for name, bound in lower.items()]
        self.searched = 0
        self._spaces: list[Space] = []
        self._rows: list[pd.DataFrame] = []

    def add(self, block: Block) -> Miss | None:
        """Take a block's configurations that hold the constraints and may be best; why there is none, if so."""
        self.searched += block.count()
        possible = valid = np.broadcast_to(block.possible, block.shape)
        for bound in self.bounds:
            figure = self.goal.figure(bound.name, block)
            holds = bound.holds(figure)
            if not (valid & holds).any():
                return Miss(bound, bound.best(figure[valid]))
            possible = possible & holds
        if not possible.any():
            return Miss(None)
        objective, x, y = (self.goal.figure(name, block)[possible] for name in self.objectives)
        kept = pareto_mask(x, y) | (objective == objective.min())
        where = tuple(axis[kept] for axis in np.nonzero(possible))
        named = {f"objective_{k}": self.goal.figure(name, block) for k, name in enumerate(self.objectives)}
        columns = {**named, **block.grid.arrays(), **block.links._asdict(), **block.figures}
        rows = pd.DataFrame({name: np.broadcast_to(values, block.shape)[where] for name, values in columns.items()})
        self._rows.append(rows.assign(space=len(self._spaces)))
        self._spaces.append(block.space)
        return None

    def optimum(self, machine: Machine, skipped: tuple[str, ...], published: Estimate) -> Optimum:
        """The best of all, the front, and the best of every design beside a published one.

        Raises
        ------
        ValueError
            If nothing holds the constraints.
        """
        if not self._rows:
            spelt = ", ".join(map(str, self.bounds))
            raise ValueError("nothing holds all of " + "; ".join([spelt, *skipped]))
        rows = pd.concat(self._rows, ignore_index=True)
        rows = rows.sort_values(["security_bits", "log2_failure"], ascending=[False, True], kind="stable")
        best = rows.sort_values(["objective_0", "objective_1", "objective_2"], kind="stable").iloc[0]
        axes = ["objective_1", "objective_2"]
        front = rows[pareto_mask(rows[axes[0]].to_numpy(), rows[axes[1]].to_numpy())]
        front = front.assign(ties=front.groupby(axes)["space"].transform("size"))
        front = front.drop_duplicates(axes).sort_values(axes[0])
        configurations = tuple(self._configuration(row) for _, row in front.iterrows())
        chosen = self._configuration(best)
        return Optimum(
            chosen,
            estimate(chosen, self.goal.link, machine),
            self._shown(front, configurations),
            configurations,
            self.searched,
            skipped,
            winners_frame(self._best(rows, machine), published, self._cost),
        )

    def _best(self, rows: pd.DataFrame, machine: Machine) -> dict[str, list[Estimate]]:
        """By objective, the best of every design in order."""
        designs = rows["space"].map({k: design_of(space.base) for k, space in enumerate(self._spaces)})
        best = {}
        for k, name in enumerate(self.objectives):
            order = [f"objective_{k}", *(f"objective_{other}" for other in range(3) if other != k)]
            firsts = rows.assign(design=designs).sort_values(order, kind="stable").drop_duplicates("design")
            found = [self._configuration(row) for _, row in firsts.iterrows()]
            best[name] = [estimate(one, self.goal.link, machine) for one in found]
        return best

    def _cost(self, objective: str, one: Estimate) -> float:
        figures = {name: np.asarray(value) for name, value in one.figures.items()}
        return float(OBJECTIVES[objective].of(figures, self.goal, one.configuration.packing.widths))

    def _configuration(self, row: pd.Series[Any]) -> Configuration:
        space = self._spaces[int(row["space"])]
        return configuration_at(space.base, {name: _plain(row[name]) for name in space.varied})

    def _shown(self, front: pd.DataFrame, configurations: Sequence[Configuration]) -> pd.DataFrame:
        axes = {
            OBJECTIVES[name].column: front[f"objective_{k}"]
            for k, name in ((1, self.objectives[1]), (2, self.objectives[2]))
        }
        about = {
            "protocol": [one.protocol for one in configurations],
            "widths_bits": [",".join(str(width) for width in one.packing.widths) for one in configurations],
            "tile": [one.packing.tile for one in configurations],
            "output": [one.packing.output for one in configurations],
        }
        hidden = ("space", "objective_0", "objective_1", "objective_2", *axes)
        rest = front.drop(columns=[name for name in hidden if name in front]).rename(columns=RENAMED)
        return pd.DataFrame({**axes, **about, **rest}).reset_index(drop=True)


def _base(protocol: str, table: Table, needs: Requirements, widths: Widths | None = None) -> Configuration:
    """The project's own design of a system where there is one, the published one otherwise."""
    if "residue" in system(protocol).engines:
        return _own(protocol, table, needs, widths)
    return configuration(protocol, table, align_bits=needs.align_bits)


def _own(
    protocol: str,
    table: Table,
    needs: Requirements,
    widths: Widths | None = None,
    ring: Mapping[str, Any] | None = None,
) -> Configuration:
    """The project's own design of a system.

    Raises
    ------
    ValueError
        If there is none, or none so.
    """
    return configuration(
        protocol,
        table,
        engine="residue",
        ring=ring,
        widths=widths,
        flooding_bits=needs.flooding_bits,
        log2_failure=needs.log2_failure,
        prepared=needs.prepared,
        align_bits=needs.align_bits,
    )


def _layouts(base: Configuration, table: Table, needs: Requirements) -> Iterator[Packing]:
    """How an executed system may cut its table and pack its answers: FastQuery in every way of its ablation."""
    yield base.packing
    if base.protocol == "fastquery":
        options: dict[str, Any] = {"engine": "residue", "flooding_bits": needs.flooding_bits}
        for row in ABLATIONS:
            yield configuration("fastquery", table, ablation=row, **options).packing


def _rings(plaintext_modulus: int, limbs: int, security: int) -> dict[str, Column]:
    """Rings of so many equal limbs that hold a plaintext and have the security, as one axis."""
    pairs = [
        (degree, bits)
        for degree in DEGREES
        for bits in LIMB_BITS
        if plaintext_modulus.bit_length() < bits * limbs and security_bits(degree, bits * limbs) >= security
    ]
    degrees, bits = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return {"degree": degrees, **{f"limb_bits_{k}": bits for k in range(limbs)}}


def _space(
    base: Configuration,
    link: Link,
    axes: Sequence[Mapping[str, Column]] = (),
    queries: float | None = None,
    log2_failure: float = LOG2_FAILURE,
) -> Space:
    """A space of one lookup over one link."""
    table = base.table
    lookup = {"rows": table.rows, "channels": table.channels, "tokens": table.tokens}
    on_link = {"rate_bit_per_s": link.rate_bit_per_s, "round_trip_s": link.round_trip_s}
    return Space(
        base,
        {"protocol": base.protocol},
        [f"{table.rows}x{table.channels}"],
        ({k: np.array([v]) for k, v in lookup.items()}, *axes, {k: np.array([v]) for k, v in on_link.items()}),
        queries,
        log2_failure,
    )


def _packings(packing: Widths | Sequence[Widths] | None, errors: Mapping[Widths, float]) -> list[Widths]:
    """The packings asked for, or those with a known error, or all even ones."""
    if packing is not None:
        return [packing] if isinstance(packing, tuple) and isinstance(packing[0], int) else list(packing)  # type: ignore[arg-type]
    if errors:
        return list(errors)
    even = [
        (width + 1,) * wider + (width,) * (count - wider)
        for count in range(1, MOST_CHANNELS + 1)
        for width in range(2, WIDEST_BITS + 1)
        for wider in range(count)
    ]
    return [widths for widths in even if required_plaintext_bits(widths) <= WIDEST_PLAINTEXT_BITS]


def _errors(errors: pd.DataFrame | Mapping[Widths, float] | None) -> dict[Widths, float]:
    """Errors by channel widths, from a mapping or from the columns ``bits`` and ``weighted_error``."""
    if errors is None:
        return {}
    if not isinstance(errors, pd.DataFrame):
        return dict(errors)
    missing = [name for name in ("bits", "weighted_error") if name not in errors]
    if missing:
        raise ValueError(f"errors has no column {missing[0]!r}; it must have bits, such as 4,3,3, and weighted_error")
    known: dict[Widths, float] = {}
    for bits, error in zip(errors["bits"], errors["weighted_error"], strict=True):
        widths = (
            tuple(int(width) for width in bits.split(","))
            if isinstance(bits, str)
            else tuple(int(width) for width in np.atleast_1d(bits))
        )
        known[widths] = min(float(error), known.get(widths, math.inf))
    return known


def _plain(value: Any) -> Any:
    """A value of a data frame's row, whole numbers as integers: pandas widens a row's columns to one type."""
    number = float(value)
    return int(number) if number.is_integer() else number
