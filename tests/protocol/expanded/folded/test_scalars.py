"""Products of the table's integers with scalars against exact ones: the longest sums that the words allow for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from protocol.expanded.folded.scalars import add_combinations, scalar_words
from tests.protocol.residue.conftest import ring_of

DEGREE = 16


# the most scalars of which a word of so many bits holds the sums
@pytest.mark.parametrize(
    ("bound", "count", "word"), [(2184, 1, 15), (2184, 30, 15), (2184, 480, 11), (32767, 2, 15), (32767, 32769, 1)]
)
@pytest.mark.parametrize("limbs", [1, 2])
def test_the_longest_sums_are_exact_but_for_rounding(bound: int, count: int, word: int, limbs: int) -> None:
    ring, bits = ring_of(DEGREE, 60, limbs), 60 * limbs
    words = scalar_words([(1 << bits) - 1] * count, bits, bound, count)
    assert words.bits == word
    assert bound * count * ((1 << word) - 1) < 1 << 31
    rows = np.array([bound, -bound, 1, -1, 0] * 4)[:DEGREE].astype(np.int16)
    table = np.broadcast_to(rows[:, None], (1, DEGREE, count)).copy()
    table[0, 4, : count // 2] = bound
    table[0, 4, count - count // 2 :] = -bound
    start = np.array([[q - 1] * DEGREE for q in ring.moduli], dtype=np.uint64)
    out = np.stack([start, start])[None]
    add_combinations(table, words, bits, ring, out)
    np.testing.assert_array_equal(out[0, 1], start)
    totals = -(-len(words.values) // words.together)
    for value, row in zip(ring.to_integers(out[0, 0]), table[0].astype(np.int64), strict=True):
        exact = Fraction(int(row.sum()) * ((1 << bits) - 1) * ring.modulus, 1 << bits) - 1
        error = (int(value) - exact) % ring.modulus
        assert min(error, ring.modulus - error) < 1.5 * totals


def test_sums_that_no_word_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="exceeds 30 bits"):
        scalar_words([1], 60, 32767, 32770)
