"""Noise that hides what an answer's own noise says of the table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.randomness import sample_uniform
from protocol.residue.ring import Ring

_WORD_BITS = 48


def flooding(ring: Ring, width_bits: int, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Return residues of fresh integers uniform in [-2^(k-1), 2^(k-1)).

    Parameters
    ----------
    ring : of the answers
    width_bits : k
    shape : (..., count) of the integers

    Returns
    -------
    residues of shape (..., limbs, count)
    """
    count = int(np.prod(shape))
    total = ring.scale(ring.from_signed(np.ones(shape, dtype=np.int64)), -(1 << (width_bits - 1)))
    for low in range(0, width_bits, _WORD_BITS):
        word = sample_uniform(1 << min(_WORD_BITS, width_bits - low), count).astype(np.int64)
        total = ring.add(total, ring.scale(ring.from_signed(word.reshape(shape)), 1 << low))
    return total
