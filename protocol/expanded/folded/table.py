"""The table as polynomials: small integers for products with scalars, and their evaluation form for the one pass.

Rows lie along polynomials as :mod:`costmodel.expanded.folded.parameters` has them: polynomial p holds the rows slots*p
to slots*p + slots - 1, interleaved, and stands at place p mod d1 of column p // d1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.expanded.folded.scalars import add_combinations, scalar_words
from protocol.expanded.products import Factors, sums_of_products, tiled
from protocol.expanded.server import check_table
from protocol.meter import Tally
from protocol.residue.multiply_accumulate import transform_table
from protocol.residue.ring import Ring
from protocol.residue.split_sums import LANES
from protocol.threads import ALONE, Threads


class FoldedTable:
    """A table in the form that queries meet.

    Parameters
    ----------
    parameters : of the folded query
    ring : OpenFHE's, of the parameters' degree and limbs
    coefficients : packed coefficients, integers (m, n')
    middle : subtracted from every coefficient, so that what is left is centred; answers are short of it
    tally : told of every polynomial encoded

    Raises
    ------
    ValueError
        If the shape is another or a centred coefficient exceeds the parameters' bound.
    """

    def __init__(
        self, parameters: FoldedParameters, ring: Ring, coefficients: NDArray[np.integer], middle: int, tally: Tally
    ) -> None:
        p = self.parameters = parameters
        self.ring = ring
        check_table(p, coefficients, middle)
        columns = p.blocks * p.columns
        # The scalars of a sum stand side by side.
        self.coefficients = np.empty((columns, p.degree, p.selectors), dtype=np.int16)
        radix = tuple((1 << 64) % q for q in ring.moduli)
        cut = (ring.limbs, p.degree // LANES, columns, p.selectors, LANES)
        self._evaluations = np.empty(cut, dtype=np.uint64)
        for column in range(columns):
            block, place = divmod(column, p.columns)
            first = place * p.selectors * p.slots
            part = slice(block * p.degree, (block + 1) * p.degree)
            polynomials = self._polynomials(coefficients[first : first + p.selectors * p.slots, part], middle)
            self.coefficients[column] = polynomials.T
            transformed = transform_table(polynomials[None], ring, radix, tally)
            self._evaluations[:, :, column] = tiled(transformed, ring)[:, :, 0]

    def _polynomials(self, rows: NDArray[np.integer], middle: int) -> NDArray[np.int16]:
        """Return a column's polynomials (d1, N) of its rows, those that are missing zero."""
        p, used = self.parameters, self.parameters.slots * rows.shape[1]
        held = np.zeros((p.selectors * p.slots, rows.shape[1]), dtype=np.int16)
        held[: len(rows)] = rows.astype(np.int32) - middle
        out = np.zeros((p.selectors, p.degree), dtype=np.int16)
        # Row i slots + j lies at the coefficients j, j + slots, ... of polynomial i.
        out[:, :used] = held.reshape(p.selectors, p.slots, -1).transpose(0, 2, 1).reshape(p.selectors, used)
        return out

    @property
    def size_bytes(self) -> int:
        """Memory of both forms."""
        return self.coefficients.nbytes + self._evaluations.nbytes

    def products(
        self,
        selectors: Factors,
        out: NDArray[np.uint64] | None = None,
        tally: Tally | None = None,
        threads: Threads = ALONE,
    ) -> NDArray[np.uint64]:
        """Return every column's sum of selectors times polynomials.

        Parameters
        ----------
        selectors : a group a token, d1 blocks
        out : room for the result, new if left out
        tally : told of every selector times a polynomial
        threads : share the pass

        Returns
        -------
        (tokens, columns, 2, limbs, N) in evaluation form
        """
        return sums_of_products(self._evaluations, selectors, out, tally, threads)

    def add_scalar_products(
        self,
        scalars: list[int],
        bits: int,
        columns: NDArray[np.uint64],
        tally: Tally | None = None,
        threads: Threads = ALONE,
    ) -> None:
        """Add every column's sum of v_j Q/2^bits times polynomials to the b of columns (columns, 2, limbs, N).

        The tally is told of every polynomial times a scalar.
        """
        words = scalar_words(scalars, bits, self.parameters.element_bound, self.parameters.selectors)
        add_combinations(self.coefficients, words, bits, self.ring, columns, tally, threads)
