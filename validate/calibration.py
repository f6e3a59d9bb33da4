"""Unit costs of a machine, fitted to measured runs by non-negative least squares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from costmodel.estimate import terms
from costmodel.grid import Grid
from costmodel.ledger import Work
from costmodel.machine import UnitCost
from costmodel.parameters import Configuration

SMALLEST_SECONDS = 1e-6


@dataclass(frozen=True)
class Observation:
    """Measured CPU seconds of one work entry of a run, beside what the model counts for it."""

    operation: str
    count: float
    size: float
    seconds: float


def observations(configuration: Configuration, measured: dict[tuple[str, str, str], float]) -> list[Observation]:
    """The work entries of a run that count something.

    Parameters
    ----------
    configuration
        What was run.
    measured
        Seconds by phase, party and operation.
    """
    return [
        Observation(
            term.operation, float(term.count), float(term.size), measured[term.phase, term.party, term.operation]
        )
        for term in terms(Grid.of(configuration))
        if isinstance(term, Work) and float(term.count) > 0
    ]


def fit_units(observed: Iterable[Observation]) -> dict[str, UnitCost]:
    """Affine cost of every operation, ``count * (call_s + element_s * size)``.

    Rows are weighted by the inverse of their seconds, so that small runs count as much as large ones; the interval is
    that of measured over fitted seconds.
    """
    by_operation: dict[str, list[Observation]] = {}
    for one in observed:
        by_operation.setdefault(one.operation, []).append(one)
    return {operation: _fit(rows) for operation, rows in sorted(by_operation.items())}


def _fit(rows: list[Observation]) -> UnitCost:
    design = np.array([[row.count, row.count * row.size] for row in rows])
    spent = np.maximum(np.array([row.seconds for row in rows]), SMALLEST_SECONDS)
    scale = np.maximum(design.max(axis=0), 1.0)
    solution, _ = nnls(design / scale / spent[:, None], np.ones(len(rows)))
    call_s, element_s = solution / scale
    ratio = spent / np.maximum(design @ np.array([call_s, element_s]), SMALLEST_SECONDS)
    return UnitCost(float(call_s), float(element_s), float(min(1.0, ratio.min())), float(max(1.0, ratio.max())))
