"""Products of the table's small integers with scalars v_j Q/2^k: what is left online of a prepared query.

Sums of v_j times integers matter modulo 2^k only. The v_j are cut into words so short that a word's sums are exact in
double precision, whose fused multiplications are the fastest that there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import multiply_shoup, product_high
from protocol.residue.ring import Ring

_EXACT_BITS = 53
_TILE = 1024


class Words(NamedTuple):
    """Scalars in words of ``bits`` bits, lowest first: (words, scalars) of whole doubles."""

    values: NDArray[np.float64]
    bits: int


def scalar_words(scalars: list[int], bits: int, element_bound: int, count: int) -> Words:
    """Cut scalars of so many bits so that sums of ``count`` products with elements of a bound are exact.

    Raises
    ------
    ValueError
        If no word is short enough.
    """
    word = _EXACT_BITS - (element_bound * count).bit_length()
    if word < 1:
        raise ValueError(f"element_bound {element_bound} times {count} exceeds {_EXACT_BITS} bits")
    rows = [[(v >> shift) & ((1 << word) - 1) for v in scalars] for shift in range(0, bits, word)]
    return Words(np.array(rows, dtype=np.float64), word)


def combine(table: NDArray[np.int16], words: Words, bits: int, ring: Ring) -> NDArray[np.uint64]:
    """Return sum_j v_j Q/2^bits * table[column, j] modulo Q, rounded, as (columns, limbs, N).

    The nearest integers are taken of every word's part.
    """
    columns, _, n = table.shape
    out = np.zeros((columns, ring.limbs, n), dtype=np.uint64)
    weights = []
    for k in range(len(words.values)):
        # Q 2^(wk) / 2^bits, with 64 bits of its fraction
        weights.append((ring.modulus << (words.bits * k + 64)) >> bits)
    whole = np.array([[(w >> 64) % q for q in ring.moduli] for w in weights], dtype=np.uint64)
    quotients = np.array([[(((w >> 64) % q) << 64) // q for q in ring.moduli] for w in weights], dtype=np.uint64)
    fractions = np.array([w & ((1 << 64) - 1) for w in weights], dtype=np.uint64)
    _combine(table, words.values, whole, quotients, fractions, np.array(ring.moduli, dtype=np.uint64), out)
    return out


@inlined
def _scaled(total: float, whole: np.uint64, quotient: np.uint64, fraction: np.uint64, q: np.uint64) -> np.uint64:
    """Return total * (whole + fraction/2^64) mod q, rounded towards zero, for a whole total below 2^53."""
    magnitude = np.uint64(abs(total))
    value = multiply_shoup(magnitude, whole, quotient, q) + product_high(magnitude, fraction)
    value = value % q
    negative = q - value
    return value if total >= 0.0 else min(negative, negative - q)


@kernel
def _combine(
    table: NDArray[np.int16],
    words: NDArray[np.float64],
    whole: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    fractions: NDArray[np.uint64],
    moduli: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    columns, rows, n = table.shape
    tile = min(n, _TILE)
    sums = np.empty((words.shape[0], tile), np.float64)
    for column in range(columns):
        for start in range(0, n, tile):
            end = start + tile
            sums[:] = 0.0
            row = 0
            while row + 4 <= rows:  # four at a time, for a quarter of the traffic of the sums
                w0, w1 = table[column, row, start:end], table[column, row + 1, start:end]
                w2, w3 = table[column, row + 2, start:end], table[column, row + 3, start:end]
                for k in range(words.shape[0]):
                    total = sums[k]
                    v0, v1, v2, v3 = words[k, row], words[k, row + 1], words[k, row + 2], words[k, row + 3]
                    for i in range(tile):
                        total[i] += v0 * w0[i] + v1 * w1[i] + (v2 * w2[i] + v3 * w3[i])
                row += 4
            while row < rows:
                w0 = table[column, row, start:end]
                for k in range(words.shape[0]):
                    total = sums[k]
                    for i in range(tile):
                        total[i] += words[k, row] * w0[i]
                row += 1
            for limb in range(moduli.size):
                target, q = out[column, limb, start:end], moduli[limb]
                for k in range(words.shape[0]):
                    total = sums[k]
                    for i in range(tile):
                        added = target[i] + _scaled(total[i], whole[k, limb], quotients[k, limb], fractions[k], q)
                        target[i] = min(added, added - q)
