"""The search for the best configuration and for the front of two objectives, block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.parameters import Configuration
from fastquery.goals import OBJECTIVES, Constraints, Floats, Goal
from fastquery.spaces import Space, configuration_at
from fastquery.sweeps import RENAMED, Block
from fastquery.winners import design_of


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


def why(missed: Sequence[Miss | None]) -> str:
    """Why nothing of a system's blocks could be taken, by the bound that most of them miss."""
    bounds = [one.bound for one in missed if one is not None]
    if not bounds:
        return "no system that is searched has one of the packings that are allowed; name others by packing"
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
        needs: Constraints,
    ) -> None:
        self.goal, self.objectives = goal, objectives
        upper = {**needs.at_most, "log2_failure": needs.log2_failure}
        if needs.max_error is not None:
            upper = {"error": needs.max_error, **upper}
        lower: dict[str, float] = {"security_bits": needs.security}
        if needs.distance:
            upper = {**upper, "log2_planned_distance": needs.distance}
        else:
            lower = {"flooding_bits": needs.flooding_bits, **lower}
        self.bounds = [Bound(name, "most", bound) for name, bound in upper.items()]
        self.bounds += [Bound(name, "least", bound) for name, bound in lower.items()]
        self.searched = 0
        self._spread = [name for name in dict.fromkeys(objectives) if OBJECTIVES[name].spread(goal)]
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
        shares = self._shares(block)
        for name in self._spread:
            kept |= pareto_mask(shares[f"each_{name}"][possible], shares[f"once_{name}"][possible])
        where = tuple(axis[kept] for axis in np.nonzero(possible))
        named = {f"objective_{k}": self.goal.figure(name, block) for k, name in enumerate(self.objectives)}
        columns = {**named, **shares, **block.grid.arrays(), **block.links._asdict(), **block.figures}
        rows = pd.DataFrame({name: np.broadcast_to(values, block.shape)[where] for name, values in columns.items()})
        self._rows.append(rows.assign(space=len(self._spaces)))
        self._spaces.append(block.space)
        return None

    def _shares(self, block: Block) -> dict[str, Floats]:
        """What each query costs and what is paid once, for the objectives that a setup is spread in."""
        figures, widths = block.figures, block.space.base.packing.widths
        found: dict[str, Floats] = {}
        for name in self._spread:
            each, once = self.goal.shares(name, figures, widths)
            found[f"each_{name}"] = np.broadcast_to(each, block.shape)
            found[f"once_{name}"] = np.broadcast_to(once, block.shape)
        return found

    def rows(self) -> pd.DataFrame:
        """What was kept, the most secure first.

        Raises
        ------
        ValueError
            If nothing holds the constraints.
        """
        if not self._rows:
            raise ValueError(f"nothing holds all of {', '.join(map(str, self.bounds))}")
        rows = pd.concat(self._rows, ignore_index=True)
        return rows.sort_values(["security_bits", "log2_failure"], ascending=[False, True], kind="stable")

    def best(self) -> Configuration:
        """The best of all by the first objective, then by the others."""
        by = ["objective_0", "objective_1", "objective_2"]
        return self._configuration(self.rows().sort_values(by, kind="stable").iloc[0])

    def front(self) -> tuple[pd.DataFrame, tuple[Configuration, ...]]:
        """The points that nothing beats in both of the last two objectives, and their configurations."""
        rows, axes = self.rows(), ["objective_1", "objective_2"]
        front = rows[pareto_mask(rows[axes[0]].to_numpy(), rows[axes[1]].to_numpy())]
        front = front.assign(ties=front.groupby(axes)["space"].transform("size"))
        front = front.drop_duplicates(axes).sort_values(axes[0])
        configurations = tuple(self._configuration(row) for _, row in front.iterrows())
        return self._shown(front, configurations), configurations

    def break_even(self) -> pd.DataFrame:
        """Who wins from how many tokens of a client on, for every objective that a setup is spread in.

        The lines of cost, once + lookups times each: the lower envelope from the lookups that are asked for on.

        Returns
        -------
        DataFrame
            Columns ``objective``, ``design``, ``from_tokens``; the first of an objective is the winner as asked.
        """
        rows = self.rows()
        designs = rows["space"].map(self._designs()).to_numpy()
        found: list[tuple[str, str, float]] = []
        for name in dict.fromkeys(self.objectives):
            if f"each_{name}" not in rows:
                continue
            each, once = rows[f"each_{name}"].to_numpy(), rows[f"once_{name}"].to_numpy()
            for lookups, k in envelope(each, once, self.goal.repeated):
                if not found or found[-1][:2] != (name, designs[k]):
                    found.append((name, str(designs[k]), self.goal.tokens_of(lookups)))
        return pd.DataFrame(found, columns=["objective", "design", "from_tokens"])

    def _designs(self) -> dict[int, str]:
        return {k: design_of(space.base) for k, space in enumerate(self._spaces)}

    def best_of_designs(self) -> dict[str, list[Configuration]]:
        """By objective, the best of every design in order."""
        rows = self.rows()
        designs = rows["space"].map(self._designs())
        best = {}
        for k, name in enumerate(self.objectives):
            order = [f"objective_{k}", *(f"objective_{other}" for other in range(3) if other != k)]
            firsts = rows.assign(design=designs).sort_values(order, kind="stable").drop_duplicates("design")
            best[name] = [self._configuration(row) for _, row in firsts.iterrows()]
        return best

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
        kept = [name for name in front if str(name).startswith(("each_", "once_"))]
        hidden = ("space", "objective_0", "objective_1", "objective_2", *kept, *axes)
        rest = front.drop(columns=[name for name in hidden if name in front]).rename(columns=RENAMED)
        return pd.DataFrame({**axes, **about, **rest}).reset_index(drop=True)


def envelope(each: Floats, once: Floats, lookups: float) -> list[tuple[float, int]]:
    """The lines once + lookups * each that are lowest from so many lookups on: where each begins, and its index.

    Examples
    --------
    >>> envelope(np.array([10.0, 4.0, 3.0]), np.array([0.0, 60.0, 200.0]), 1)
    [(1, 0), (10.0, 1), (140.0, 2)]
    """
    at = int(np.lexsort((each, once + lookups * each))[0])
    found = [(lookups, at)]
    while True:
        cheaper = np.flatnonzero(each < each[at])
        if not len(cheaper):
            return found
        meet = (once[cheaper] - once[at]) / (each[at] - each[cheaper])
        first = np.lexsort((each[cheaper], meet))[0]
        at = int(cheaper[first])
        found.append((max(found[-1][0], float(meet[first])), at))


def _plain(value: Any) -> Any:
    """A value of a data frame's row, whole numbers as integers: pandas widens a row's columns to one type."""
    number = float(value)
    return int(number) if number.is_integer() else number
