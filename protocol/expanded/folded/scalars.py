"""Products of the table's small integers with scalars v_j Q/2^k: what is left online of a prepared query.

Sums of v_j times integers matter modulo 2^k only. The v_j are cut into words so short that a word's sums are exact in
32 bits, for which processors have sums of products of pairs of 16 bits; the sums of some words make one of 64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import multiply_shoup, product_high
from protocol.residue.ring import Ring
from protocol.threads import ALONE, Threads

_SUM_BITS = 31
_TOTAL_BITS = 62


class Words(NamedTuple):
    """Scalars in words of ``bits`` bits, lowest first: (words, scalars)."""

    values: NDArray[np.int16]
    bits: int

    @property
    def together(self) -> int:
        """Words whose sums make a total."""
        return (_TOTAL_BITS - _SUM_BITS) // self.bits + 1


def scalar_words(scalars: list[int], bits: int, element_bound: int, count: int) -> Words:
    """Cut scalars of so many bits so that sums of ``count`` products with elements of a bound are exact.

    Raises
    ------
    ValueError
        If no word is short enough.
    """
    word = min(15, _SUM_BITS - (element_bound * count).bit_length())
    if word < 1:
        raise ValueError(f"element_bound {element_bound} times {count} exceeds {_SUM_BITS - 1} bits")
    rows = [[(v >> shift) & ((1 << word) - 1) for v in scalars] for shift in range(0, bits, word)]
    return Words(np.array(rows, dtype=np.int16), word)


class Weights(NamedTuple):
    """Q 2^s/2^bits of every total, s its lowest bit, by limb: whole part with Shoup's quotient; 64 bits of fraction."""

    whole: NDArray[np.uint64]
    quotients: NDArray[np.uint64]
    fractions: NDArray[np.uint64]
    moduli: NDArray[np.uint64]
    reciprocals: NDArray[np.uint64]

    @classmethod
    def of(cls, words: Words, bits: int, ring: Ring) -> Weights:
        """Return the weights of the totals of scalars of so many bits."""
        lowest = range(0, len(words.values) * words.bits, words.together * words.bits)
        weights = [(ring.modulus << (shift + 64)) >> bits for shift in lowest]
        whole = [[(w >> 64) % q for q in ring.moduli] for w in weights]
        quotients = [[(x << 64) // q for x, q in zip(row, ring.moduli, strict=True)] for row in whole]
        return cls(
            np.array(whole, dtype=np.uint64),
            np.array(quotients, dtype=np.uint64),
            np.array([w & ((1 << 64) - 1) for w in weights], dtype=np.uint64),
            np.array(ring.moduli, dtype=np.uint64),
            np.array([(1 << 64) // q for q in ring.moduli], dtype=np.uint64),
        )


def add_combinations(
    table: NDArray[np.int16],
    words: Words,
    bits: int,
    ring: Ring,
    out: NDArray[np.uint64],
    tally: Tally | None = None,
    threads: Threads = ALONE,
) -> None:
    """Add sum_j v_j Q/2^bits * table[column, :, j] modulo Q to the first of out (columns, 2, limbs, N).

    Every total's product is rounded towards zero. The tally is told of every polynomial times a scalar, and
    threads share the columns.
    """
    weights = Weights.of(words, bits, ring)

    def add(first: int, last: int) -> int:
        return _add_combinations(table[first:last], words.values, words.bits, words.together, weights, out[first:last])

    (tally or Tally()).add(threads.share(add, len(table)), parts=table.shape[1])


@inlined
def _scaled(
    total: np.int64, whole: np.uint64, quotient: np.uint64, fraction: np.uint64, q: np.uint64, reciprocal: np.uint64
) -> np.uint64:
    """Return total * (whole + fraction/2^64) mod q, rounded towards zero."""
    magnitude = np.uint64(abs(total))
    part = multiply_shoup(product_high(magnitude, fraction), np.uint64(1), reciprocal, q)
    value = multiply_shoup(magnitude, whole, quotient, q) + part
    value = min(value, value - q)
    negative = q - value
    return value if total >= 0 else min(negative, negative - q)


@kernel
def _add_combinations(
    table: NDArray[np.int16],
    words: NDArray[np.int16],
    bits: int,
    together: int,
    weights: Weights,
    out: NDArray[np.uint64],
) -> int:
    """Return the table entries multiplied."""
    products = 0
    columns, n, scalars = table.shape
    count = words.shape[0]
    sums = np.empty((count, n), np.int32)
    totals = np.empty(n, np.int64)
    for column in range(columns):
        for i in range(n):
            elements = table[column, i]
            for word in range(count):
                values = words[word]
                total = np.int32(0)
                for j in range(scalars):  # in 32 bits throughout, which compilers make sums of products of pairs of
                    total = np.int32(total + np.int32(elements[j]) * np.int32(values[j]))
                sums[word, i] = total
            products += scalars
        for first in range(0, count, together):
            totals[:] = sums[first]
            for word in range(first + 1, min(first + together, count)):
                shift = (word - first) * bits
                for i in range(n):
                    totals[i] += np.int64(sums[word, i]) << shift
            weight = first // together
            fraction = weights.fractions[weight]
            for limb in range(weights.moduli.size):
                target, q, reciprocal = out[column, 0, limb], weights.moduli[limb], weights.reciprocals[limb]
                whole, quotient = weights.whole[weight, limb], weights.quotients[weight, limb]
                for i in range(n):
                    added = target[i] + _scaled(totals[i], whole, quotient, fraction, q, reciprocal)
                    target[i] = min(added, added - q)
    return products
