"""The table as polynomials: small integers for products with scalars, and their evaluation form for the one pass.

Rows lie along polynomials as :mod:`costmodel.folded_parameters` has them: polynomial p holds the rows slots*p to
slots*p + slots - 1, interleaved, and stands at place p mod d1 of column p // d1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.folded_parameters import FoldedParameters
from protocol.folded.products import TILE, Factors, sums_of_products, tiled
from protocol.folded.scalars import combine, scalar_words
from protocol.residue.multiply_accumulate import transform_table
from protocol.residue.ring import Ring


class FoldedTable:
    """A table in the form that queries meet.

    Parameters
    ----------
    parameters : of the folded query
    ring : OpenFHE's, of the parameters' degree and limbs
    coefficients : packed coefficients, integers (m, n')
    middle : subtracted from every coefficient, so that what is left is centred; answers are short of it

    Raises
    ------
    ValueError
        If the shape is another or a centred coefficient exceeds the parameters' bound.
    """

    def __init__(
        self, parameters: FoldedParameters, ring: Ring, coefficients: NDArray[np.integer], middle: int
    ) -> None:
        p = self.parameters = parameters
        self.ring = ring
        if coefficients.shape != (p.rows, p.row_coefficients):
            raise ValueError(f"table of shape {coefficients.shape}: need {(p.rows, p.row_coefficients)}")
        low, high = int(coefficients.min()) - middle, int(coefficients.max()) - middle
        if max(-low, high) > p.element_bound:
            raise ValueError(f"table has elements of magnitude {max(-low, high)}: need at most {p.element_bound}")
        columns = p.blocks * p.columns
        self.coefficients = np.zeros((columns, p.selectors, p.degree), dtype=np.int16)
        radix = tuple((1 << 64) % q for q in ring.moduli)
        cut = (ring.limbs, p.degree // TILE, columns, p.selectors, TILE)
        self._evaluations = np.empty(cut, dtype=np.uint64)
        for block in range(p.blocks):
            part = slice(block * p.degree, (block + 1) * p.degree)
            for column in range(p.columns):
                target = self.coefficients[block * p.columns + column]
                first = column * p.selectors * p.slots
                rows = coefficients[first : first + p.selectors * p.slots, part]
                self._fill(target, rows, middle)
        for column in range(columns):
            values = tiled(transform_table(self.coefficients[column : column + 1], ring, radix))
            self._evaluations[:, :, column] = values[:, :, 0]

    def _fill(self, target: NDArray[np.int16], rows: NDArray[np.integer], middle: int) -> None:
        slots = self.parameters.slots
        for slot in range(slots):
            held = rows[slot::slots]
            target[: len(held), slot : slot + slots * held.shape[1] : slots] = held.astype(np.int32) - middle

    @property
    def size_bytes(self) -> int:
        """Memory of both forms."""
        return self.coefficients.nbytes + self._evaluations.nbytes

    def products(self, selectors: Factors) -> NDArray[np.uint64]:
        """Return every column's sum of selectors times polynomials.

        Parameters
        ----------
        selectors : rows b and a of every token, d1 blocks

        Returns
        -------
        (columns, tokens, 2, limbs, N) in evaluation form
        """
        sums = sums_of_products(self._evaluations, selectors)
        return sums.reshape(len(sums), -1, 2, *sums.shape[2:])

    def scalar_products(self, scalars: list[int], bits: int) -> NDArray[np.uint64]:
        """Return every column's sum of v_j Q/2^bits times polynomials, (columns, limbs, N) of coefficients."""
        words = scalar_words(scalars, bits, self.parameters.element_bound, self.parameters.selectors)
        return combine(self.coefficients, words, bits, self.ring)
