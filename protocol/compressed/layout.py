"""Where a row stands: the bits of its number, and where its packed coefficients come back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.residue.packlwes import packed_positions

IntArray = NDArray[np.int64]


class Positions(NamedTuple):
    """Polynomial and coefficient of every packed coefficient of a row, each (n',)."""

    polynomial: IntArray
    coefficient: IntArray


def row_bits(parameters: CompressedParameters, row: int) -> tuple[int, ...]:
    """Return the bits of a row's place in its block, then those of its block, each lowest first.

    Raises
    ------
    ValueError
        If it is outside the table; its number is not in the message.
    """
    p = parameters
    if not 0 <= row < p.rows:
        raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {p.rows - 1}")
    block, position = divmod(row, p.gap)
    return (
        *(position >> k & 1 for k in range(p.position_levels)),
        *(block >> k & 1 for k in range(p.block_levels)),
    )


def row_positions(parameters: CompressedParameters) -> Positions:
    """Return where a row stands in the packed polynomials of degree N."""
    p = parameters
    product, segment = np.divmod(np.arange(p.row_coefficients, dtype=np.int64), p.segments)
    polynomial, coefficient = packed_positions(p.products, p.gap)
    return Positions(polynomial[product], coefficient[product] + segment * p.gap)


def answer_positions(parameters: CompressedParameters) -> Positions:
    """Return where a row stands in the answers, in the ring of degree N'."""
    p = parameters
    polynomial, coefficient = row_positions(p)
    step = p.degree // p.answer_degree
    return Positions(polynomial * p.parts + coefficient % step // p.spacing, coefficient // step)


def split_parts(parameters: CompressedParameters, polynomials: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the answers' coefficients (answers, ..., N') of packed polynomials (packed, ..., N)."""
    p = parameters
    step = p.degree // p.answer_degree
    parts = [polynomials[..., part * p.spacing :: step] for part in range(p.parts)]
    return np.stack(parts, axis=1).reshape(p.answers, *polynomials.shape[1:-1], p.answer_degree)
