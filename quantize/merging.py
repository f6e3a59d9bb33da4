"""Merging near-equal rows, so that the table that is searched in secret has fewer of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantize.packed import PackedTable
from quantize.quantizers import Quantizer, quantize
from quantize.scales import Floats
from quantize.sources import TableSource

_SKETCH: Final = 256
_SKETCH_SLACK: Final = 1.4  # a sum of 256 squared normals exceeds 1.4 times its mean once in 10^5
_BLOCK_ROWS: Final = 512


@dataclass(frozen=True)
class RowSubset(TableSource):
    """Some rows of a table, in ascending order."""

    base: TableSource = field(compare=False)
    kept: NDArray[np.int64] = field(compare=False, repr=False)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        if start == stop:
            return np.empty((0, self.channels), np.float32)
        chosen = self.kept[start:stop]
        rows: NDArray[np.float32] = self.base.read(int(chosen[0]), int(chosen[-1]) + 1)[chosen - chosen[0]]
        return rows


def near_equal_rows(source: TableSource, frequencies: Floats, tolerance: float) -> NDArray[np.int64]:
    """Leader of every row: the most frequent row to which its distance is at most ``tolerance`` of its
    length.

    Leaders lead themselves, so nothing drifts along a chain. Pairs are found among random projections to 256
    dimensions and checked in full.

    Parameters
    ----------
    source : TableSource
    frequencies : array, shape (rows,)
    tolerance : float
        Relative distance, 0 to 1.

    Returns
    -------
    array of int64, shape (rows,)

    References
    ----------
    .. [1] Liu et al., "MiniCache" (2024), which merges near-equal states of neighbouring layers.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance: {tolerance} is outside 0 to 1")
    projection = np.random.default_rng(0).standard_normal((source.channels, _SKETCH)).astype(np.float32)
    sketches = np.concatenate([rows @ projection for _, rows in source.blocks()]) / np.float32(_SKETCH**0.5)
    squares = np.concatenate([np.einsum("ij,ij->i", rows, rows) for _, rows in source.blocks()])
    near = _near_sketches(sketches, squares * tolerance**2 * _SKETCH_SLACK)
    leader = np.arange(source.rows)
    follows = np.zeros(source.rows, bool)
    leads = np.zeros(source.rows, bool)
    for row in np.argsort(-frequencies, kind="stable"):
        if follows[row] or row not in near:
            continue
        others = near[row][~(follows | leads)[near[row]]]
        if not others.size:
            continue
        differences = np.concatenate([source.read(other, other + 1) for other in others.tolist()])
        differences -= source.read(row, row + 1)
        merged = others[np.einsum("ij,ij->i", differences, differences) <= tolerance**2 * squares[others]]
        leader[merged], follows[merged], leads[row] = row, True, merged.size > 0
    return leader


def quantize_merged(
    source: TableSource, quantizer: Quantizer, recipe: str, frequencies: Floats, tolerance: float
) -> PackedTable:
    """Quantise a table with near-equal rows merged; the public description maps tokens to rows.

    The map is public and tells which tokens are near-equal; the row that is looked up stays secret.
    """
    leader = near_equal_rows(source, frequencies, tolerance)
    kept, row_of_token = np.unique(leader, return_inverse=True)
    weights = np.bincount(row_of_token, frequencies, len(kept)).astype(np.float64)
    subset = RowSubset(source.name, len(kept), source.channels, source.provenance, source, kept)
    table = quantize(subset, quantizer, recipe, weights)
    return PackedTable(table.coefficients, replace(table.public, row_of_token=tuple(row_of_token.tolist())))


def _near_sketches(sketches: NDArray[np.float32], limits: NDArray[np.float32]) -> dict[int, NDArray[np.int64]]:
    """Rows whose sketch lies within the other's limit, by row."""
    squares = np.einsum("ij,ij->i", sketches, sketches)
    near: dict[int, NDArray[np.int64]] = {}
    for start in range(0, len(sketches), _BLOCK_ROWS):
        part = sketches[start : start + _BLOCK_ROWS]
        distances = squares[start : start + len(part), None] + squares - 2 * part @ sketches.T
        close = distances <= limits + np.float32(1e-6) * squares
        close[np.arange(len(part)), np.arange(start, start + len(part))] = False
        for row in np.flatnonzero(close.any(axis=1)).tolist():
            near[start + row] = np.flatnonzero(close[row])
    return near
