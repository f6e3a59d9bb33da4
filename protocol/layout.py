"""Where the entries of query and table lie in polynomials: coefficient packing in tiles.

A tile multiplies ``d1`` vocabulary entries by ``d0`` packed columns in one polynomial product (Cheetah, section 3.1.1):

    x(X) = sum_l x_l X^l,     w(X) = sum_r sum_l w[l, r] X^(r*d1 + d1 - 1 - l),

whose coefficient ``r*d1 + d1 - 1`` is ``sum_l x_l w[l, r]``. One column a polynomial is ``d0 = 1, d1 = N``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Configuration
from costmodel.tiles import cheetah_tile, column_tile, spu_tile

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Tiles of a table of ``rows`` by ``columns`` packed coefficients in a ring of degree N."""

    rows: int
    columns: int
    degree: int
    tile_columns: int  # d0
    tile_rows: int  # d1

    @classmethod
    def of(cls, configuration: Configuration) -> Layout:
        """The layout that a configuration's tile rule gives."""
        table, degree = configuration.table, configuration.ring.degree
        columns = -(-table.channels // len(configuration.packing.widths))
        rule = {"column": column_tile, "cheetah": cheetah_tile, "spu": spu_tile}[configuration.packing.tile]
        tile = rule(table.rows, columns, degree)
        return cls(table.rows, columns, degree, int(tile.d0), int(tile.d1))

    @property
    def inputs(self) -> int:
        """Query polynomials, ceil(m / d1)."""
        return -(-self.rows // self.tile_rows)

    @property
    def outputs(self) -> int:
        """Answer polynomials, ceil(n' / d0)."""
        return -(-self.columns // self.tile_columns)

    def query(self, token: int) -> IntArray:
        """One-hot query polynomials of a token, shape (inputs, N)."""
        polynomials = np.zeros((self.inputs, self.degree), dtype=np.int64)
        block, place = divmod(token, self.tile_rows)
        polynomials[block, place] = 1
        return polynomials

    def vector(self, values: IntArray) -> IntArray:
        """Query polynomials of any vector (m,), shape (inputs, N)."""
        polynomials = np.zeros((self.inputs, self.degree), dtype=np.int64)
        block, place = np.divmod(np.arange(self.rows), self.tile_rows)
        polynomials[block, place] = values
        return polynomials

    def table_polynomial(self, coefficients: NDArray[Any], block: int, output: int, fill: int) -> IntArray:
        """Polynomial of one tile, shape (N,), from the packed coefficients of the table (m, n').

        Rows and columns that the table does not have are filled with ``fill``.
        """
        rows = slice(block * self.tile_rows, min((block + 1) * self.tile_rows, self.rows))
        columns = slice(output * self.tile_columns, min((output + 1) * self.tile_columns, self.columns))
        tile = coefficients[rows, columns].astype(np.int64)
        padded = np.full((self.tile_columns, self.tile_rows), fill, dtype=np.int64)
        padded[: tile.shape[1], : tile.shape[0]] = tile.T
        polynomial = np.zeros(self.degree, dtype=np.int64)
        polynomial[: padded.size] = padded[:, ::-1].reshape(-1)
        return polynomial

    def constant_polynomial(self, value: int) -> IntArray:
        """Polynomial of a tile whose entries are all the same, shape (N,)."""
        return self.table_polynomial(np.empty((0, 0), dtype=np.int64), 0, 0, value)

    def used(self, output: int) -> IntArray:
        """Coefficients of an answer polynomial that hold a packed column each, in column order."""
        columns = min(self.tile_columns, self.columns - output * self.tile_columns)
        return np.arange(columns, dtype=np.int64) * self.tile_rows + self.tile_rows - 1
