"""Where a row stands: in its column, in a polynomial, and in the answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.parameters import FoldedParameters

IntArray = NDArray[np.int64]


class RowPlace(NamedTuple):
    """Selector of a row within its column, and the bits that fold to it.

    The column's bits come first, then the slot's, each lowest first.
    """

    selector: int
    bits: tuple[int, ...]


def row_place(parameters: FoldedParameters, row: int) -> RowPlace:
    """Return the place of a row.

    Raises
    ------
    ValueError
        If it is outside the table; its number is not in the message.
    """
    p = parameters
    if not 0 <= row < p.rows:
        raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {p.rows - 1}")
    polynomial, slot = divmod(row, p.slots)
    column, selector = divmod(polynomial, p.selectors)
    bits = [column >> k & 1 for k in range(p.column_levels)] + [slot >> k & 1 for k in range(p.slot_levels)]
    return RowPlace(selector, tuple(bits))


def row_positions(parameters: FoldedParameters) -> tuple[IntArray, IntArray]:
    """Return block and coefficient of every coefficient of a row in slot 0."""
    block, coefficient = np.divmod(np.arange(parameters.row_coefficients) * parameters.slots, parameters.degree)
    return block, coefficient


def answer_positions(parameters: FoldedParameters) -> tuple[IntArray, IntArray]:
    """Return answer and coefficient of every coefficient of a row, in the ring of degree N'."""
    p = parameters
    block, coefficient = row_positions(p)
    factor = p.degree // p.answer_degree
    parts = p.answers // p.blocks
    return block * parts + coefficient % factor, coefficient // factor
