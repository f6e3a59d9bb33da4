"""Tile rules against the loops of their sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.tiles import (
    cheetah_tile,
    column_tile,
    short_column_tile,
    spu_matrix_tile,
    spu_tile,
    spu_unpacked_matrix_tile,
    spu_unpacked_tile,
)

DIMENSIONS = st.integers(1, 150)
SMALL_DEGREES = st.sampled_from([2, 16, 64])


def test_tiles_of_the_llama_tables():
    tile = cheetah_tile(32000, [4096, 1366, 5120, 6656], 4096)
    assert list(zip(tile.inputs, tile.outputs, strict=True)) == [
        (180, 179),
        (94, 114),
        (204, 197),
        (227, 230),
    ]
    assert (tile.d0[0], tile.d1[0]) == (23, 178)
    assert (tile.d0[1], tile.d1[1]) == (12, 341)
    assert tile.multiplications[0] == 180 * 179


def test_column_tile():
    tile = column_tile(32000, 1366, 4096)
    assert tile == (1, 4096, 8, 1366, 8 * 1366)


@given(m=DIMENSIONS, n=st.integers(1, 40), N=SMALL_DEGREES, data=st.data())
def test_short_columns_beside_each_other_give_every_product(m, n, N, data):
    """Each polynomial holds d0 columns backwards; coefficient c m + m - 1 of its product is column c's result."""
    tile = short_column_tile(m, n, N)
    if m > N:
        assert tile == (1, N, ceil_div(m, N), n, ceil_div(m, N) * n)
        return
    assert tile.d0 * m <= N < (tile.d0 + 1) * m  # no more columns fit
    table = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=m * n, max_size=m * n))).reshape(m, n)
    query = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=m, max_size=m)))
    results = []
    for first in range(0, n, tile.d0):
        columns = table[:, first : first + tile.d0].T
        packed = np.pad(columns[:, ::-1].ravel(), (0, N - columns.size))
        whole = np.convolve(packed, np.pad(query, (0, N - m)))
        product = whole[:N] - np.pad(whole[N:], (0, 1))
        results.extend(product[m - 1 :: m][: len(columns)])
    assert len(range(0, n, tile.d0)) == tile.outputs
    assert results == list(query @ table)


@given(m=DIMENSIONS, n=DIMENSIONS, N=SMALL_DEGREES)
def test_a_column_of_a_whole_polynomial_is_as_before(m, n, N):
    if 2 * m > N:
        assert short_column_tile(m, n, N)[2:] == column_tile(m, n, N)[2:]


def test_spu_as_executed():
    """FM32 sends 8 ciphertexts up and 4096 down; FM64 twice the fewest, 4, up."""
    fm32 = spu_unpacked_tile(32000, 4096, 4096)
    assert (fm32.inputs, fm32.outputs) == (8, 4096)
    fm64 = spu_tile(32000, 4096, 8192)
    assert (fm64.inputs, fm64.d1) == (8, 4096)


def ceil_div(a, b):
    return -(-a // b)


def get_split(m, n, N):
    best, cost = (0, 0), None
    for d0 in range(1, min(N, n) + 1):
        for d1 in range(1, min(N, m) + 1):
            if d0 * d1 > N:
                continue
            now = ceil_div(m, d1) + ceil_div(n, d0)
            if cost is None or now < cost:
                best, cost = (d0, d1), now
    return best


@given(m=DIMENSIONS, n=DIMENSIONS, N=SMALL_DEGREES)
def test_cheetah_is_the_first_strict_minimum(m, n, N):
    tile = cheetah_tile(m, n, N)
    assert (tile.d0, tile.d1) == get_split(m, n, N)
    assert tile.inputs == ceil_div(m, tile.d1)
    assert tile.outputs == ceil_div(n, tile.d0)
    assert tile.multiplications == tile.inputs * tile.outputs


def get_sub_mat_shape(dims, n, disable_pack):
    best, minimum = (0, 0, 0), float("inf")
    for d0 in range(1, min(n, dims[0]) + 1):
        d1 = 1
        while d1 <= dims[1] and d0 * d1 <= n:
            d2 = min(dims[2], n // d0 // d1)
            blk = [ceil_div(a, b) for a, b in zip(dims, (d0, d1, d2), strict=True)]
            sent = min(blk[0], blk[2]) * blk[1]
            response = ceil_div(blk[0] * blk[2], d1)
            automorphisms = 0 if disable_pack else ceil_div(dims[0] * dims[2], n) * d1
            products = blk[0] * blk[1] * blk[2]
            cost = (sent + response) * 1000.0 + automorphisms * 1.0 + products * 1.0 / 10.0
            if cost <= minimum:
                best, minimum = (d0, d1, d2), cost
            d1 = d1 + 1 if disable_pack else d1 * 2
    return best


@given(rows=st.integers(1, 20), inner=DIMENSIONS, columns=DIMENSIONS, N=SMALL_DEGREES, packs=st.booleans())
def test_spu_is_the_last_minimum(rows, inner, columns, N, packs):
    rule = spu_matrix_tile if packs else spu_unpacked_matrix_tile
    tile = rule(rows, inner, columns, N)
    d0, d1, d2 = get_sub_mat_shape((rows, inner, columns), N, not packs)
    assert (tile.rows, tile.inner, tile.columns) == (d0, d1, d2)
    b0, b1, b2 = ceil_div(rows, d0), ceil_div(inner, d1), ceil_div(columns, d2)
    assert (tile.inputs, tile.outputs, tile.multiplications) == (min(b0, b2) * b1, b0 * b2, b0 * b1 * b2)


@pytest.mark.parametrize("rule", [cheetah_tile, column_tile, short_column_tile, spu_tile, spu_unpacked_tile])
def test_arrays_broadcast_and_scalars_stay_scalar(rule):
    m, n = np.array([[100], [3000]]), np.array([7, 7, 50])
    tiles = rule(m, n, 256)
    for i in range(2):
        for j in range(3):
            assert tuple(np.broadcast_to(f, (2, 3))[i, j] for f in tiles) == tuple(rule(m[i, 0], n[j], 256))
    assert all(np.ndim(field) == 0 for field in rule(100, 7, 256))


@pytest.mark.parametrize("rule", [cheetah_tile, column_tile, short_column_tile, spu_tile, spu_unpacked_tile])
def test_empty_tables_are_refused(rule):
    with pytest.raises(ValueError, match="dimension 0 of a table or ring: at least 1"):
        rule(0, 4, 64)
