"""Where leaves of PackLWEs' tree come to lie, and the automorphisms of its levels; no kernel is loaded for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def packing_depth(leaves: int, ring_degree: int) -> int:
    """Return l = ceil(log2(min(leaves, N))).

    Raises
    ------
    ValueError
        If there are no leaves.
    """
    if leaves < 1:
        raise ValueError(f"leaves {leaves}: need at least 1")
    return (min(leaves, ring_degree) - 1).bit_length()


def packing_exponents(leaves: int, ring_degree: int, gap: int | None = None) -> tuple[int, ...]:
    """Return the automorphisms 2^k N/gap + 1 of the levels k = 1..l, for which keys are needed in this order."""
    gap = gap or ring_degree
    return tuple((ring_degree // gap << k) + 1 for k in range(1, packing_depth(leaves, gap) + 1))


def packed_polynomials(leaves: int, ring_degree: int) -> int:
    """Return the number of outputs, ceil(leaves / N)."""
    return -(-leaves // ring_degree)


def packed_positions(leaves: int, ring_degree: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return output and coefficient of every leaf."""
    index = np.arange(leaves, dtype=np.int64)
    coefficient = np.zeros_like(index)
    for k in range(packing_depth(leaves, ring_degree)):
        coefficient += ((index % ring_degree) >> k & 1) * (ring_degree >> (k + 1))
    return index // ring_degree, coefficient
