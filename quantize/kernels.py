"""Compiled loops of the quantisers; loaded where one is run, since their compiler takes 60 MB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.compiled import compiled


@compiled
def add_and_subtract(blocks: NDArray[Any]) -> None:
    """The butterflies of the transform, in place on each row."""
    count, block = blocks.shape
    for r in range(count):
        half = 1
        while half < block:
            for first in range(0, block, 2 * half):
                for k in range(first, first + half):
                    low, high = blocks[r, k], blocks[r, k + half]
                    blocks[r, k] = low + high
                    blocks[r, k + half] = low - high
            half *= 2


@compiled
def add_squared_errors(
    rows: NDArray[np.float32],
    weights: NDArray[np.float32],
    scales: NDArray[np.float32],
    inverses: NDArray[np.float32],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    half: np.float32,
    total: NDArray[np.float64],
) -> None:
    """Add the weighted squared errors of some rows under every candidate scale to ``total``, (candidates, n)."""
    count, channels = rows.shape
    sums = np.empty(channels, np.float32)
    for k in range(scales.shape[0]):
        sums[:] = 0
        for r in range(count):
            weight = weights[r]
            for j in range(channels):
                level = np.rint(rows[r, j] * inverses[k, j] - half)
                level = min(max(level, low[j]), high[j])
                error = rows[r, j] - (level + half) * scales[k, j]
                sums[j] += weight * error * error
        for j in range(channels):
            total[k, j] += sums[j]
