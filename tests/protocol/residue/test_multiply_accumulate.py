from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from protocol.residue.multiply_accumulate import Query, multiply_accumulate, transform_table
from protocol.residue.ring import Ring

# 61-bit limbs leave room for two products, 52-bit ones for 2048
SIZES = [(32, 61, 1), (32, 60, 2), (64, 52, 1), (1024, 31, 1), (16, 20, 2)]


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 7, 16, 41])
@pytest.mark.parametrize(("degree", "bits", "limbs"), SIZES)
@pytest.mark.parametrize("leading", [(), (2,), (3, 2)])
def test_sums_of_products_are_exact(
    make_ring: Callable[..., Ring], degree: int, bits: int, limbs: int, blocks: int, leading: tuple[int, ...]
) -> None:
    ring = make_ring(degree, bits, limbs)
    rng = np.random.default_rng(blocks)
    columns = 9
    table = np.stack([rng.integers(0, q, (columns, blocks, degree), dtype=np.uint64) for q in ring.moduli])
    query = np.stack([rng.integers(0, q, (*leading, blocks, degree), dtype=np.uint64) for q in ring.moduli], axis=-2)
    for limb, q in enumerate(ring.moduli):  # the largest sums there can be
        table[limb, 0] = q - 1
        query[..., limb, :4] = q - 1
    out = multiply_accumulate(table, Query(ring, query))
    assert out.shape == (columns, *leading, ring.limbs, degree)
    for limb, q in enumerate(ring.moduli):
        exact = np.einsum("cbn,...bn->c...n", table[limb].astype(object), query[..., limb, :].astype(object)) % q
        assert (out[..., limb, :] == exact.astype(np.uint64)).all()
    part = multiply_accumulate(table[:, 3:5], Query(ring, query))
    assert (part == out[3:5]).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_tables_of_any_signed_type(make_ring: Callable[..., Ring], dtype: type[np.signedinteger]) -> None:
    ring = make_ring(64, 52, 2)
    limit = min(np.iinfo(dtype).max, 1 << 50)
    coefficients = np.random.default_rng(0).integers(-limit, limit, (3, 2, 64)).astype(dtype)
    coefficients[0, 0, :2] = -limit, limit
    factors = (12345, 54321)
    table = transform_table(coefficients, ring, factors)
    expected = ring.forward(ring.from_signed(coefficients.astype(np.int64)))
    for limb, q in enumerate(ring.moduli):
        scaled = expected[:, :, limb].astype(object) * factors[limb] % q
        assert (table[limb] == scaled.astype(np.uint64)).all()
    assert (np.moveaxis(transform_table(coefficients, ring), 0, 2) == expected).all()


def test_wrong_shapes_and_values(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 20)
    with pytest.raises(ValueError, match="need signed integers"):
        transform_table(np.zeros((1, 1, 64), dtype=np.uint16), ring)
    with pytest.raises(ValueError, match="need signed integers"):
        transform_table(np.zeros((1, 64), dtype=np.int16), ring)
    with pytest.raises(ValueError, match="not below the limb"):
        transform_table(np.full((1, 1, 64), 1 << 20, dtype=np.int32), ring)
    query = Query(ring, np.zeros((2, 1, 64), dtype=np.uint64))
    with pytest.raises(ValueError, match="table of shape"):
        multiply_accumulate(np.zeros((1, 5, 3, 64), dtype=np.uint64), query)
    with pytest.raises(ValueError, match="polynomials of shape"):
        Query(ring, np.zeros((2, 2, 64), dtype=np.uint64))
