"""Secrets, from the operating system's randomness alone."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray


def uniform(modulus: int, count: int) -> NDArray[np.int64]:
    """Independent integers uniform in [0, modulus), by rejection of what would bias them.

    Parameters
    ----------
    modulus
        1 to 2^62.
    count
        How many.
    """
    if not 1 <= modulus <= 2**62:
        raise ValueError(f"modulus is {modulus}; it must lie between 1 and 2^62")
    mask = np.uint64((1 << (modulus - 1).bit_length()) - 1)
    values = np.empty(0, dtype=np.uint64)
    while values.size < count:
        drawn = np.frombuffer(os.urandom(8 * (count - values.size)), dtype="<u8") & mask
        values = np.concatenate([values, drawn[drawn < modulus]])
    return values.astype(np.int64)
