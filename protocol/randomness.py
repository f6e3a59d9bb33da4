"""Integers without bias from random bytes; secrets from the operating system's randomness alone."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray


def sample_uniform(modulus: int, count: int) -> NDArray[np.uint64]:
    """Return secrets uniform in [0, modulus), for any modulus from 1 to 2^64, by rejection.

    Raises
    ------
    ValueError
        If the modulus is outside that range.
    """
    if not 1 <= modulus <= 1 << 64:
        raise ValueError(f"modulus {modulus}: need 1 <= modulus <= 2^64")
    accepted: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
    while accepted.size < count:
        drawn = candidates_needed(count - accepted.size, modulus)
        values = candidates(os.urandom(drawn * candidate_bytes(modulus)), modulus)
        accepted = np.concatenate([accepted, values[values <= np.uint64(modulus - 1)]])
    return accepted[:count]


def candidate_bytes(modulus: int) -> int:
    """Return the bytes that a candidate for an integer below a modulus is made of."""
    return max(1, ((modulus - 1).bit_length() + 7) // 8)


def candidates(data: bytes, modulus: int) -> NDArray[np.uint64]:
    """Return the candidates of ceil(bits/8) bytes each, little endian, reduced to the bits that modulus - 1 has."""
    width = candidate_bytes(modulus)
    words = np.zeros((len(data) // width, 8), dtype=np.uint8)
    words[:, :width] = np.frombuffer(data, dtype=np.uint8).reshape(-1, width)
    values: NDArray[np.uint64] = words.view("<u8").reshape(-1)
    return values & np.uint64((1 << (modulus - 1).bit_length()) - 1)


def candidates_needed(count: int, modulus: int) -> int:
    """Return how many candidates to draw so that a second round is rare: mean plus six standard deviations."""
    rejected = 1 - modulus / (1 << (modulus - 1).bit_length())
    expected = count / (1 - rejected)
    return int(expected + 6 * (expected * rejected) ** 0.5 / (1 - rejected) ** 0.5) + 1
