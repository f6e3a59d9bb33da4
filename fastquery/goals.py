"""Goals of an optimisation: what is minimised, and what every configuration must hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import evaluate
from costmodel.grid import Grid
from costmodel.limits import FLOODING_BITS, LOG2_FAILURE, SECURITY_FLOOR_BITS
from costmodel.link import Link, exchange_s
from costmodel.machine import Machine
from costmodel.parameters import Configuration
from costmodel.workload import REPEATED, Workload, evaluate_workload
from fastquery.sweeps import Block
from fastquery.words import field_of, unknown, whole

Floats = NDArray[np.float64]
Widths = tuple[int, ...]


@dataclass(frozen=True)
class Constraints:
    """What every configuration of an optimisation must hold.

    Attributes
    ----------
    flooding_bits
        Statistical flooding; published systems that flood as much by themselves hold it too.
    distance
        log2 of the statistical distance that the flooding may leave after all planned queries, in the place of
        ``flooding_bits``; 0 asks for none.
    log2_failure
        Target of the failure probability.
    security
        Bits by the stricter table.
    prepared
        Do the work that depends on no token before the token is known.
    align_bits
        Extend every channel's share to so many bits, by oblivious transfer or by a plaintext as wide with one channel
        a coefficient; 0 leaves the packed shares.
    max_error
        Largest quantisation error; that of the paper's 4, 3 and 3 bits if left out.
    at_most
        Upper bounds by objective or figure: ``{"bytes": 1e6, "memory": 4e8}``.
    """

    flooding_bits: int = FLOODING_BITS
    distance: float = 0.0
    log2_failure: float = LOG2_FAILURE
    security: int = SECURITY_FLOOR_BITS
    prepared: bool = False
    align_bits: int = 0
    max_error: float | None = None
    at_most: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> Constraints:
        """Constraints by keyword.

        Raises
        ------
        ValueError
            If there is no such constraint.
        """
        known = [one.name for one in fields(cls)]
        given = {field_of(name): value for name, value in named.items() if value is not None}
        for name in given:
            if name not in known:
                raise unknown("constraint", name, known)
        for name in ("flooding_bits", "security", "align_bits"):
            if name in given:
                given[name] = whole(name, given[name])
        return cls(**given)


@dataclass(frozen=True)
class Goal:
    """What configurations are compared by.

    Attributes
    ----------
    queries
        Tokens of a client, over which its setup is spread.
    errors
        Quantisation error by channel widths; the rounding error of uniform quantisers for those that it lacks.
    tokens
        Of a lookup; with a workload of its prompt.
    workload
        Of the sessions that are compared, where they are no lookups of as many tokens each.
    planned
        Tokens of all clients, over which the distances of the flooding add up.
    """

    link: Link
    queries: float
    errors: Mapping[Widths, float]
    tokens: int = 1
    workload: Workload | None = None
    planned: int = 1

    @property
    def lookups(self) -> float:
        """Lookups that a client's keys are spread over."""
        return max(1.0, self.queries / self.tokens)

    @property
    def repeated(self) -> float:
        """Lookups that are alike: all of them, or those of generated tokens."""
        return self.lookups if self.workload is None else self.workload.generated

    def tokens_of(self, repeated: float) -> float:
        """Tokens of a client after so many lookups that are alike."""
        return repeated * self.tokens if self.workload is None else self.workload.prompt + repeated

    def shares(self, name: str, figures: Mapping[str, Floats], widths: Widths) -> tuple[Any, Any]:
        """An objective of each of the lookups that are alike, and of everything that comes once.

        Nothing comes once of an objective that does not add up over lookups.
        """
        objective = OBJECTIVES[name]
        if self.workload is None:
            return objective.each(figures, self, widths), objective.once(figures, self)
        of_token, of_prompt = (
            objective.each({**figures, **{one: figures[f"{which}_{one}"] for one in REPEATED}}, self, widths)
            for which in ("token", "prompt")
        )
        return of_token, objective.once(figures, self) + of_prompt if objective.adds else 0.0

    def figure(self, name: str, block: Block) -> Floats:
        """An objective, or any figure of an estimate, of a block's configurations.

        Raises
        ------
        ValueError
            If there is no such figure.
        """
        f = block.figures
        if name in OBJECTIVES:
            return np.broadcast_to(self.cost(name, f, block.space.base.packing.widths), block.shape)
        if name not in f:
            raise ValueError(f"figure is {name!r}; it must be one of {', '.join([*OBJECTIVES, *f])}")
        return f[name]

    def cost(self, name: str, figures: Mapping[str, Floats], widths: Widths) -> Floats:
        """An objective of figures and channel widths, of a query with its share of the setup.

        A query is a lookup; with a workload it is a token on average.
        """
        each, once = self.shares(name, figures, widths)
        if self.workload is None or not OBJECTIVES[name].adds:
            return np.asarray(each + once / self.lookups)
        return np.asarray((self.repeated * each + once) / self.workload.tokens)

    def priced(self, one: Configuration, machine: Machine) -> dict[str, Floats]:
        """Figures of a configuration, of a lookup or of a session."""
        grid = Grid.of(one)
        if self.workload is None:
            return evaluate(grid, self.link, machine)
        return evaluate_workload(grid, self.workload, self.link, machine)

    def error(self, widths: Widths) -> float:
        """Quantisation error of channel widths."""
        return self.errors.get(widths, rounding_error(widths))


def rounding_error(widths: Widths) -> float:
    """Root mean square error of uniform quantisers over their range: sqrt(mean 4^-w / 12)."""
    return math.sqrt(sum(4.0**-width for width in widths) / len(widths) / 12.0)


def _nothing(figures: Mapping[str, Floats], goal: Goal) -> Any:
    return 0.0


def _setup_bytes(figures: Mapping[str, Floats], goal: Goal) -> Any:
    return figures["setup_bytes"]


def _setup_s(figures: Mapping[str, Floats], goal: Goal) -> Any:
    if goal.workload is not None:
        return figures["setup_s"]
    return exchange_s(figures["setup_bytes"], 0, goal.link.rate_bit_per_s, goal.link.round_trip_s)


def _first_share_s(figures: Mapping[str, Floats]) -> Any:
    if "first_share_s" not in figures:
        raise ValueError("objective is 'first'; it goes with a workload, whose prompt comes first")
    return figures["first_share_s"]


class Objective(NamedTuple):
    """What can be minimised: its column in a front, the cost of each query, and the cost that queries share.

    ``adds`` where the costs of a client's queries add up.
    """

    column: str
    each: Callable[[Mapping[str, Floats], Goal, Widths], Any]
    once: Callable[[Mapping[str, Floats], Goal], Any] = _nothing
    adds: bool = True

    def spread(self, goal: Goal) -> bool:
        """Whether a client's queries share a part of the cost."""
        return self.adds and (goal.workload is not None or self.once is not _nothing)


OBJECTIVES: Mapping[str, Objective] = {
    "bytes": Objective("bytes_per_query", lambda f, *_: f["up_bytes"] + f["down_bytes"], _setup_bytes),
    "online": Objective("online_bytes", lambda f, *_: f["up_bytes"] + f["down_bytes"]),
    "latency": Objective("latency_s", lambda f, *_: f["latency_s"], adds=False),
    "first": Objective("first_share_s", lambda f, *_: _first_share_s(f), adds=False),
    "time": Objective("time_per_query_s", lambda f, *_: f["latency_s"], _setup_s),
    "server": Objective("server_s", lambda f, *_: f["server_s"]),
    "setup": Objective("setup_bytes", lambda f, *_: f["setup_bytes"], adds=False),
    "memory": Objective("table_bytes", lambda f, *_: f["table_bytes"], adds=False),
    "error": Objective("quantisation_error", lambda _, goal, widths: goal.error(widths), adds=False),
}
"""``bytes`` of a query with its share of the setup, ``online`` bytes without it; ``latency``, and ``time`` with the
setup's share; ``first``, a workload's seconds from the connection to the prompt's shares; ``server`` CPU seconds;
``setup`` bytes; ``memory`` of the encoded table; quantisation ``error``. With a workload ``latency`` is that of a
generated token, and what adds up is the session's over its tokens."""


def errors_by_widths(errors: pd.DataFrame | Mapping[Widths, float] | None) -> dict[Widths, float]:
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
