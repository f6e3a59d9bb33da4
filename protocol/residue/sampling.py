"""Secrets from the operating system, and public polynomials from a seed.

Secret samples take the same work whatever their value; nothing here uses a seeded generator but the expansion of
public seeds.
"""

from __future__ import annotations

import decimal
import hashlib
import os
from functools import cache

import numpy as np
from numpy.typing import NDArray

from protocol.randomness import candidate_bytes, candidates, candidates_needed, sample_uniform
from protocol.residue.compiled import kernel
from protocol.residue.ring import Ring

STANDARD_DEVIATION = 3.19
SEED_BYTES = 32


def check_noise(standard_deviation: float) -> None:
    """Refuse another width than that of the noise which is drawn: flooding and security are sized by the stated one.

    Raises
    ------
    ValueError
        Naming both.
    """
    if standard_deviation != STANDARD_DEVIATION:
        raise ValueError(f"ring.sigma is {standard_deviation}; noise of {STANDARD_DEVIATION} is drawn")


def new_seed() -> bytes:
    """Return 32 fresh bytes from the operating system."""
    return os.urandom(SEED_BYTES)


def sample_ternary(count: int) -> NDArray[np.int64]:
    """Return secrets uniform in {-1, 0, 1}."""
    return sample_uniform(3, count).astype(np.int64) - 1


def sample_gaussian(count: int, standard_deviation: float = STANDARD_DEVIATION) -> NDArray[np.int64]:
    """Return secrets from the discrete Gaussian, P(x) proportional to exp(-x^2 / (2 sigma^2)).

    Inversion of the cumulative distribution of |x| tabulated to 64 bits, the sign drawn apart; values of
    probability below 2^-64 together do not occur. Every sample is compared with the whole table.

    Raises
    ------
    ValueError
        If the standard deviation is not in [0.5, 1000].
    """
    thresholds = gaussian_thresholds(standard_deviation)
    uniform = np.frombuffer(os.urandom(8 * count), dtype=np.uint64)
    signs = np.frombuffer(os.urandom(count), dtype=np.uint8)
    out = np.empty(count, dtype=np.int64)
    _invert_cumulative(uniform, signs, thresholds, out)
    return out


@cache
def gaussian_thresholds(standard_deviation: float) -> NDArray[np.uint64]:
    """Return floor(2^64 * P(|x| <= k)) for k = 0, 1, ... as long as it is below 2^64 - 1.

    Raises
    ------
    ValueError
        If the standard deviation is not in [0.5, 1000].
    """
    if not 0.5 <= standard_deviation <= 1000:
        raise ValueError(f"standard_deviation {standard_deviation}: need 0.5 to 1000")
    with decimal.localcontext() as arithmetic:
        arithmetic.prec = 60
        variance = decimal.Decimal(standard_deviation) ** 2
        support = range(int(20 * standard_deviation) + 1)
        weights = [(2 if x else 1) * (-decimal.Decimal(x * x) / (2 * variance)).exp() for x in support]
        total = sum(weights)
        thresholds = []
        cumulative = decimal.Decimal(0)
        for weight in weights:
            cumulative += weight
            threshold = int(cumulative / total * (1 << 64))
            if threshold >= (1 << 64) - 1:
                break
            thresholds.append(threshold)
    table = np.array(thresholds, dtype=np.uint64)
    table.setflags(write=False)
    return table


def expand(seed: bytes, label: str, index: int, ring: Ring) -> NDArray[np.uint64]:
    """Return the public uniform polynomial (limbs, N) of a seed, a label and an index, in evaluation form.

    Limb i is drawn from SHAKE-128 of ``seed | u8 length of label | label | u64 index | u64 i`` by rejection: candidates
    of ceil(bits(q)/8) bytes, little endian, surplus bits dropped, taken in order when below q.

    Raises
    ------
    ValueError
        If the seed is not 32 bytes, the label is longer than 255 bytes or the index is not in [0, 2^64).
    """
    tag = label.encode()
    if len(seed) != SEED_BYTES:
        raise ValueError(f"seed of {len(seed)} bytes: need {SEED_BYTES}")
    if len(tag) > 255:
        raise ValueError(f"label of {len(tag)} bytes: need at most 255")
    if not 0 <= index < 1 << 64:
        raise ValueError(f"index {index}: need 0 <= index < 2^64")
    prefix = seed + bytes([len(tag)]) + tag + index.to_bytes(8, "little")
    limbs = [_expand_limb(prefix + i.to_bytes(8, "little"), q, ring.ring_degree) for i, q in enumerate(ring.moduli)]
    return np.stack(limbs)


def _expand_limb(message: bytes, modulus: int, count: int) -> NDArray[np.uint64]:
    generator = hashlib.shake_128(message)
    drawn = candidates_needed(count, modulus)
    while True:
        values = candidates(generator.digest(drawn * candidate_bytes(modulus)), modulus)
        accepted = values[values < np.uint64(modulus)]
        if accepted.size >= count:
            return accepted[:count]
        drawn *= 2  # a longer output begins with the shorter one


@kernel
def _invert_cumulative(
    uniform: NDArray[np.uint64],
    signs: NDArray[np.uint8],
    thresholds: NDArray[np.uint64],
    out: NDArray[np.int64],
) -> None:
    for i in range(uniform.size):
        magnitude = np.int64(0)
        for threshold in thresholds:
            magnitude += np.int64(uniform[i] >= threshold)
        out[i] = magnitude * (np.int64(1) - np.int64(2) * np.int64(signs[i] & np.uint8(1)))
