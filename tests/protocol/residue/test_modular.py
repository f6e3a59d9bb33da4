from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.residue import modular

WORD = 1 << 64
words = st.integers(0, WORD - 1) | st.sampled_from([0, 1, WORD - 1, (1 << 32) - 1, 1 << 32, 1 << 63])
moduli = st.integers(1, (modular.MODULUS_BOUND - 2) // 2).map(lambda x: 2 * x + 1) | st.sampled_from(
    [3, modular.MODULUS_BOUND - 1, (1 << 32) - 1, (1 << 32) + 1]
)


@settings(deadline=None)
@given(words, words)
def test_product_high_is_exact(x: int, y: int) -> None:
    assert int(modular.product_high(np.uint64(x), np.uint64(y))) == x * y // WORD


@settings(deadline=None)
@given(words, words, moduli)
def test_lazy_product_is_congruent_and_below_4q(y: int, w: int, q: int) -> None:
    w %= q
    lazy = int(modular.multiply_lazy(np.uint64(y), np.uint64(w), np.uint64(w * WORD // q), np.uint64(q)))
    assert lazy % q == y * w % q
    assert lazy < 4 * q
    assert int(modular.reduce_4q(np.uint64(lazy), np.uint64(q))) == y * w % q


@settings(deadline=None)
@given(words, moduli)
def test_reduction_from_8q(x: int, q: int) -> None:
    x %= 8 * q
    assert int(modular.reduce_8q(np.uint64(x), np.uint64(q))) == x % q


@settings(deadline=None)
@given(words, words, moduli)
def test_montgomery_reduction(high: int, low: int, q: int) -> None:
    high %= q
    inverse = np.uint64(modular.montgomery_inverse(q))
    reduced = int(modular.reduce_montgomery(np.uint64(high), np.uint64(low), np.uint64(q), inverse))
    assert reduced < q
    assert reduced * WORD % q == (high * WORD + low) % q


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=9), words, moduli)
def test_array_products(values: list[int], factor: int, q: int) -> None:
    x = np.array([v % q for v in values], dtype=np.uint64)
    y = np.array(factor % q, dtype=np.uint64)
    expected = [int(v) * int(y) % q for v in x]
    assert modular.multiply(x, y, q).tolist() == expected
    quotients = modular.shoup_quotients(x, q)
    assert quotients.tolist() == [int(v) * WORD // q for v in x]
    assert modular.multiply_prepared(np.full_like(x, y), x, quotients, q).tolist() == expected


@settings(deadline=None)
@given(words, words, moduli)
def test_sums_and_differences(x: int, y: int, q: int) -> None:
    a, b = np.array([x % q], dtype=np.uint64), np.array([y % q], dtype=np.uint64)
    assert modular.add(a, b, q).tolist() == [(x + y) % q]
    assert modular.subtract(a, b, q).tolist() == [(x - y) % q]


@settings(deadline=None)
@given(st.integers(-(1 << 62), 1 << 62), moduli)
def test_signed_representatives(x: int, q: int) -> None:
    residue = modular.from_signed(np.array([x], dtype=np.int64), q)
    assert residue.tolist() == [x % q]
    centred = int(modular.to_centred(residue, q)[0])
    assert centred % q == x % q
    assert abs(centred) <= q // 2


@pytest.mark.parametrize("modulus", [-3, 0, 1, 2, 1 << 20, modular.MODULUS_BOUND, modular.MODULUS_BOUND + 1])
def test_modulus_out_of_range(modulus: int) -> None:
    with pytest.raises(ValueError, match="modulus"):
        modular.check_modulus(modulus)


def test_residues_not_below_their_modulus() -> None:
    residues = np.array([[[4, 6], [4, 10]]], dtype=np.uint64)
    modular.check_residues(residues, (7, 11))
    with pytest.raises(ValueError, match="residue 10 in limb 1 is not below its modulus 9"):
        modular.check_residues(residues, (7, 9))
    with pytest.raises(ValueError, match="shape"):
        modular.check_residues(residues, (7,))
    with pytest.raises(ValueError, match="type int64"):
        modular.check_residues(residues.astype(np.int64), (7, 11))
