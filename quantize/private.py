"""Tables that need more than a public linear map to be read: good for comparison, refused for a query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize.metric import Matrix
from quantize.packed import PackedTable
from quantize.packing import AnyIntegers
from quantize.public import PublicTable
from quantize.quantizers import Quantizer, pack_source, quantize
from quantize.scales import Floats
from quantize.sources import ArrayTable, TableSource


@dataclass(frozen=True, eq=False)
class RotatedTable:
    """Quantised coordinates in a basis that depends on the table: ``x = y V^T``.

    Attributes
    ----------
    packed : PackedTable
        The coordinates y.
    basis : array, shape (n, k)
        V, which would have to stay with the server.
    """

    packed: PackedTable
    basis: Matrix

    @property
    def public(self) -> PublicTable:
        """Description of the packed coefficients."""
        return self.packed.public

    def embeddings(self, tokens: AnyIntegers | None = None) -> Matrix:
        """Dequantised embeddings of tokens, shape (tokens, n)."""
        return self.packed.embeddings(tokens) @ self.basis.T


@dataclass(frozen=True, eq=False)
class RowScaledTable:
    """Rows that were divided by a scale of their own before quantising, which tells which row it is."""

    packed: PackedTable
    row_scales: NDArray[np.float32]

    @property
    def public(self) -> PublicTable:
        """Description of the packed coefficients."""
        return self.packed.public

    def embeddings(self, tokens: AnyIntegers | None = None) -> Matrix:
        """Dequantised embeddings of tokens, shape (tokens, n)."""
        chosen = np.arange(self.packed.public.rows) if tokens is None else np.asarray(tokens)
        return np.asarray(self.packed.embeddings(tokens) * self.row_scales[chosen, None])


def principal_components(source: TableSource, frequencies: Floats) -> Matrix:
    """Eigenvectors of ``sum_r f_r w_r^T w_r``, the largest eigenvalue first, shape (n, n).

    References
    ----------
    .. [1] Yu et al., "GradiVeQ" (2018), which compresses along principal components.
    """
    moments = np.zeros((source.channels, source.channels))
    for start, rows in source.blocks():
        weights = frequencies[start : start + len(rows), None].astype(np.float32)
        moments += (rows * weights).T @ rows
    return np.asarray(np.linalg.eigh(moments)[1][:, ::-1], np.float32)


def quantize_rotated(
    source: TableSource, basis: Matrix, quantizer: Quantizer, recipe: str, frequencies: Floats
) -> RotatedTable:
    """Quantise the coordinates ``w V`` in a basis V of shape (n, k), k at most n."""
    coordinates = np.empty((source.rows, basis.shape[1]), np.float32)
    for start, rows in source.blocks():
        coordinates[start : start + len(rows)] = rows @ basis
    rotated = ArrayTable.of(coordinates, source.name)
    return RotatedTable(quantize(rotated, quantizer, recipe, frequencies), basis)


def quantize_by_rows(source: TableSource, levels: int, fields: int, recipe: str) -> RowScaledTable:
    """One absmax power-of-two scale a row, the paper's per-token quantisation.

    References
    ----------
    .. [1] FastQuery (DAC 2024), table 2: "Per-token (data leakage)".
    """
    values = source.read(0, source.rows)
    largest = np.maximum(np.abs(values).max(axis=1), np.finfo(np.float32).tiny)
    row_scales = np.exp2(np.rint(np.log2(largest / (levels - 1 - levels // 2)))).astype(np.float32)
    public = PublicTable(
        rows=source.rows,
        channels=source.channels,
        field_levels=(levels,) * fields,
        order=tuple(range(source.channels)),
        scales=(1.0,) * source.channels,
        half_integer=False,
        recipe=recipe,
    )
    scaled = ArrayTable.of(values / row_scales[:, None], source.name)
    return RowScaledTable(pack_source(scaled, public), row_scales)
