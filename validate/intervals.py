"""Intervals of predictions by cross-validation, and whether they hold as often as stated.

The calibration part is left out fold by fold: unit costs of the other folds predict it, and its errors
|ln(measured/predicted)| are those of runs that were not calibrated on. With n of them, the k-th smallest for
k = ceil((n + 1) level) bounds the error of a new run of the same population with at least that probability [vovk].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from scipy.stats import binomtest

T = TypeVar("T")

LEVEL = 0.9
"""Share of new runs that an interval is to hold."""
COVERED = (0.85, 0.95)
"""Shares of the held-out runs within their intervals that the level counts as kept for."""
FOLDS = 8


def folds(chosen: Sequence[T], count: int = FOLDS) -> list[tuple[list[T], list[T]]]:
    """What stays and what is left out, fold by fold.

    Examples
    --------
    >>> folds([1, 2, 3], 2)
    [([2], [1, 3]), ([1, 3], [2])]
    """
    parts = [list(chosen[start::count]) for start in range(count)]
    return [
        ([one for other in (*parts[:at], *parts[at + 1 :]) for one in other], left)
        for at, left in enumerate(parts)
        if left
    ]


def factor(measured: Sequence[float], predicted: Sequence[float], level: float = LEVEL) -> float:
    """Factor f such that a new run is from 1/f to f times its prediction with at least this probability.

    Infinite where the runs are too few for the level.

    Examples
    --------
    >>> factor([1.0, 1.1, 1.2, 1.3], [1.0] * 4, level=0.6), factor([1.0], [1.0])
    (1.2, inf)
    """
    errors = sorted(abs(math.log(one / other)) for one, other in zip(measured, predicted, strict=True))
    place = math.ceil((len(errors) + 1) * level)
    return math.exp(errors[place - 1]) if place <= len(errors) else math.inf


def verdict(inside: int, runs: int, level: float = LEVEL) -> str:
    """``holds`` if the share is as stated, ``noise`` if so few runs cannot tell, else ``fails``.

    So few runs cannot tell where the level lies in the 95 % interval of the share (Clopper and Pearson).

    Examples
    --------
    >>> verdict(18, 20), verdict(9, 12), verdict(30, 60)
    ('holds', 'noise', 'fails')
    """
    if COVERED[0] <= inside / runs <= COVERED[1]:
        return "holds"
    told = binomtest(inside, runs).proportion_ci(0.95, method="exact")
    return "noise" if told.low <= level <= told.high else "fails"
