"""The table's polynomials, as :mod:`costmodel.expanded.compressed.parameters` has them, in evaluation form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.expanded.server import check_table
from protocol.meter import Tally
from protocol.residue.multiply_accumulate import transform_table
from protocol.residue.packlwes import packing_factors
from protocol.residue.ring import Ring

PRODUCTS_TOGETHER = 16


def table_polynomials(
    parameters: CompressedParameters, coefficients: NDArray[np.integer], products: slice, middle: int
) -> NDArray[np.int16]:
    """Return the polynomials (count, blocks, N) of some products: columns k of rows l of a block at X^(l + k G).

    Parameters
    ----------
    coefficients : packed coefficients of the table, integers (m, n')
    middle : subtracted from every coefficient
    """
    p = parameters
    columns = coefficients[:, products.start * p.segments : products.stop * p.segments]
    padded = np.zeros((p.blocks * p.gap, (products.stop - products.start) * p.segments), dtype=np.int16)
    padded[: p.rows, : columns.shape[1]] = columns.astype(np.int32) - middle
    cut = padded.reshape(p.blocks, p.gap, -1, p.segments)
    return np.ascontiguousarray(cut.transpose(2, 0, 3, 1)).reshape(-1, p.blocks, p.degree)


def encode_table(
    parameters: CompressedParameters, ring: Ring, coefficients: NDArray[np.integer], middle: int, tally: Tally
) -> NDArray[np.uint64]:
    """Return the table in evaluation form, (limbs, products, blocks, N), times 2^-depth for the packing.

    Parameters
    ----------
    ring : of the table's limbs
    coefficients, middle : as :func:`table_polynomials`
    tally : told of every polynomial encoded

    Raises
    ------
    ValueError
        If the shape is another or a centred coefficient exceeds the parameters' bound.
    """
    p = parameters
    check_table(p, coefficients, middle)
    factors = packing_factors(p.products, ring, p.gap)
    out = np.empty((ring.limbs, p.products, p.blocks, p.degree), dtype=np.uint64)
    for first in range(0, p.products, PRODUCTS_TOGETHER):
        chunk = slice(first, min(first + PRODUCTS_TOGETHER, p.products))
        out[:, chunk] = transform_table(table_polynomials(p, coefficients, chunk, middle), ring, factors, tally)
    return out
