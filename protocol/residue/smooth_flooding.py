"""Flooding whose distances add up with the square root: a sum of three uniform integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.residue.flooding import flooding
from protocol.residue.ring import Ring

_TERMS = 3


def smooth_flooding(ring: Ring, log2_width: int, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Return residues of fresh sums of three integers uniform in [-w, w), w = 2^log2_width.

    Their magnitude is at most 3 w; see :mod:`costmodel.flooding` for the distance that they leave.

    Parameters
    ----------
    ring : of the answers
    log2_width : log2 w
    shape : (..., count) of the integers

    Returns
    -------
    residues of shape (..., limbs, count), from the operating system's randomness
    """
    total = flooding(ring, log2_width + 1, shape)
    for _ in range(_TERMS - 1):
        total = ring.add(total, flooding(ring, log2_width + 1, shape))
    return total
