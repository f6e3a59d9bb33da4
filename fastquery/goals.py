"""Goals of an optimisation: what is minimised, and what every configuration must hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.limits import FLOODING_BITS, LOG2_FAILURE, SECURITY_FLOOR_BITS
from costmodel.link import Link, exchange_s
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
        given = {field_of(name): value for name, value in named.items()}
        for name in given:
            if name not in known:
                raise unknown("constraint", name, known)
        for name in ("flooding_bits", "security", "align_bits"):
            if name in given:
                given[name] = whole(name, given[name])
        return cls(**{name: value for name, value in given.items() if not (name == "at_most" and value is None)})


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
            return np.broadcast_to(self.cost(name, f, block.space.base.packing.widths), block.shape)
        if name not in f:
            raise ValueError(f"figure is {name!r}; it must be one of {', '.join([*OBJECTIVES, *f])}")
        return f[name]

    def cost(self, name: str, figures: Mapping[str, Floats], widths: Widths) -> Floats:
        """An objective of figures and channel widths, with the setup's share."""
        objective = OBJECTIVES[name]
        return np.asarray(objective.each(figures, self, widths) + objective.once(figures, self) / self.queries)

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
    return exchange_s(figures["setup_bytes"], 0, goal.link.rate_bit_per_s, goal.link.round_trip_s)


class Objective(NamedTuple):
    """What can be minimised: its column in a front, the cost of each query, and the cost that queries share."""

    column: str
    each: Callable[[Mapping[str, Floats], Goal, Widths], Any]
    once: Callable[[Mapping[str, Floats], Goal], Any] = _nothing

    @property
    def spread(self) -> bool:
        """Whether a client's queries share a part of the cost."""
        return self.once is not _nothing


OBJECTIVES: Mapping[str, Objective] = {
    "bytes": Objective("bytes_per_query", lambda f, *_: f["up_bytes"] + f["down_bytes"], _setup_bytes),
    "online": Objective("online_bytes", lambda f, *_: f["up_bytes"] + f["down_bytes"]),
    "latency": Objective("latency_s", lambda f, *_: f["latency_s"]),
    "time": Objective("time_per_query_s", lambda f, *_: f["latency_s"], _setup_s),
    "server": Objective("server_s", lambda f, *_: f["server_s"]),
    "setup": Objective("setup_bytes", lambda f, *_: f["setup_bytes"]),
    "memory": Objective("table_bytes", lambda f, *_: f["table_bytes"]),
    "error": Objective("quantisation_error", lambda _, goal, widths: goal.error(widths)),
}
"""``bytes`` of a query with its share of the setup, ``online`` bytes without it; ``latency``, and ``time`` with the
setup's share; ``server`` CPU seconds; ``setup`` bytes; ``memory`` of the encoded table; quantisation ``error``."""


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
