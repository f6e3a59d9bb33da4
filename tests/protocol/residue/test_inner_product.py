from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.meter import Tally
from protocol.residue.inner_product import convolution_order, inner_products
from protocol.residue.modular import MODULUS_BOUND
from protocol.residue.ring import Ring

MODULI = [3, (1 << 30) - 35, 4503599627366401, MODULUS_BOUND - 1]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODULI), st.integers(1, 9), st.integers(1, 3000), st.sampled_from([(), (1,), (2, 3)]))
def test_products_are_exact(q: int, columns: int, length: int, leading: tuple[int, ...]) -> None:
    rng = np.random.default_rng(length)
    table = rng.integers(-(1 << 15), 1 << 15, (columns, length)).astype(np.int16)
    scalars = rng.integers(0, q, (*leading, length), dtype=np.uint64)
    exact = scalars.astype(object) @ table.T.astype(object) % q
    assert (inner_products(table, scalars, q) == exact.astype(np.uint64)).all()
    tally = Tally()
    inner_products(table, scalars, q, tally)
    assert tally.count == columns * int(np.prod(leading))


@pytest.mark.parametrize("weight", [-(1 << 15), (1 << 15) - 1])
@pytest.mark.parametrize("length", [1 << 16, (1 << 16) + 1, 150_000])
def test_longest_sums_of_largest_products(weight: int, length: int) -> None:
    q = MODULI[-1]
    table = np.full((1, length), weight, dtype=np.int16)
    scalars = np.full(length, q - 1, dtype=np.uint64)
    assert inner_products(table, scalars, q).tolist() == [-weight * length % q]


@pytest.mark.parametrize("m", [1, 63, 64, 65, 200])
def test_convolution_order_puts_inner_products_at_the_constant(make_ring: Callable[..., Ring], m: int) -> None:
    ring = make_ring(64, 52)
    q = ring.modulus
    rng = np.random.default_rng(m)
    weights = rng.integers(-4096, 4097, (5, m)).astype(np.int16)
    polynomials = convolution_order(weights, 64)
    blocks = polynomials.shape[1]
    assert blocks == -(-m // 64)
    values = np.zeros(blocks * 64, dtype=np.uint64)
    values[:m] = rng.integers(0, q, m, dtype=np.uint64)
    query = ring.forward(values.reshape(blocks, 1, 64))
    table = ring.forward(ring.from_signed(polynomials.astype(np.int64)))
    products = ring.inverse(ring.multiply(table, query[None]))[:, :, 0, 0]
    constants = products.astype(object).sum(axis=1) % q
    assert inner_products(weights, values[:m], q).tolist() == constants.tolist()


def test_wrong_types_shapes_and_values() -> None:
    table = np.zeros((2, 3), dtype=np.int16)
    scalars = np.zeros(3, dtype=np.uint64)
    with pytest.raises(ValueError, match="need int16"):
        inner_products(table.astype(np.int32), scalars, 97)
    with pytest.raises(ValueError, match="3 scalars"):
        inner_products(table, scalars[:2], 97)
    with pytest.raises(ValueError, match="scalar 97 is not below"):
        inner_products(table, scalars + np.uint64(97), 97)
    with pytest.raises(ValueError, match="-32768 has no negative"):
        convolution_order(table - np.int16(32767) - np.int16(1), 64)
