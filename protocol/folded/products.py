"""Sums of products of rows of polynomials with two rows of factors, all in evaluation form.

One kernel is behind the pass over the table, the key switches and the external products: out[column, row] is the sum
over blocks of left[column, block] * factors[row, block]. Residues are split into halves of w = ceil(bits(q)/2) bits,
whose products add up unreduced in three sums; 2^(63-2w) blocks fit before a Montgomery reduction. The factors carry
the Montgomery factor 2^64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.residue.multiply_accumulate import Query, multiply_accumulate


class Factors(Query):
    """Prepared factors (rows, blocks, limbs, N)."""


def sums_of_products(left: NDArray[np.uint64], factors: Factors) -> NDArray[np.uint64]:
    """Return (columns, rows, limbs, N), canonical, for left (limbs, columns, blocks, N) of residues."""
    return multiply_accumulate(left, factors)
