"""Polynomial tiles of a matrix-vector product with coefficient packing.

A table of m rows (vocabulary) and n columns (channels, or packed columns) is cut into tiles of d1 rows by
d0 columns, d0*d1 <= N. One input polynomial carries d1 entries of the query, one output polynomial d0
results; inputs = ceil(m/d1), outputs = ceil(n/d0), and every pair costs one multiplication.

The rules differ only in how they choose (d0, d1). Each is computed once for a shape and cached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Tile(NamedTuple):
    """Tile of d0 outputs by d1 vocabulary entries and the polynomials that follow; int or int64 arrays."""

    d0: Any
    d1: Any
    inputs: Any
    outputs: Any
    multiplications: Any


class MatrixTile(NamedTuple):
    """Tile of a (rows x inner) by (inner x columns) product: rows*inner*columns <= N."""

    rows: Any
    inner: Any
    columns: Any
    inputs: Any
    outputs: Any
    multiplications: Any


def cheetah_tile(m: ArrayLike, n: ArrayLike, N: ArrayLike) -> Tile:
    """OpenCheetah's tile: the first pair (d0, d1) that minimises ceil(m/d1) + ceil(n/d0).

    Parameters
    ----------
    m, n : array_like of int
        Rows (vocabulary) and columns of the table.
    N : array_like of int
        Ring degree.

    Returns
    -------
    Tile

    Raises
    ------
    ValueError
        If a dimension is below 1.

    References
    ----------
    .. [1] OpenCheetah, ``include/gemini/cheetah/hom_fc_ss.cc``, ``getSplit``: d0 in the outer loop, d1 in the
       inner one, both ascending, replaced on a strictly smaller cost.
    """
    return Tile(*_per_shape(_cheetah_tile, m, n, N))


def column_tile(m: ArrayLike, n: ArrayLike, N: ArrayLike) -> Tile:
    """One column a polynomial: d0 = 1, d1 = N, so inputs = ceil(m/N), outputs = n.

    The tile of the one-hot product before output packing (FastQuery, section 2.3): the fewest inputs and
    the most outputs. Parameters as `cheetah_tile`.
    """
    rows, columns, degree = np.broadcast_arrays(*_shape(m, n, N))
    inputs = -(-rows // degree)
    tile = (np.ones_like(degree), degree, inputs, columns, inputs * columns)
    return Tile(*(field[()] for field in tile))


def short_column_tile(m: ArrayLike, n: ArrayLike, N: ArrayLike) -> Tile:
    """Whole columns beside each other: floor(N/m) columns a polynomial where m < N, else `column_tile`'s one.

    A column takes m coefficients, so that d0 = max(1, floor(N/m)) columns fit a polynomial of N; then
    inputs = ceil(m/N), outputs = ceil(n/d0). FastQuery, section 2.3, writes n / ceil(N/m) polynomials, but two columns
    of 3000 rows do not fit N = 4096. Parameters as `cheetah_tile`.

    Examples
    --------
    >>> tuple(int(field) for field in short_column_tile(1000, 1366, 4096))
    (4, 1000, 1, 342, 342)
    >>> int(short_column_tile(3000, 4096, 4096).d0)
    1
    """
    rows, columns, degree = np.broadcast_arrays(*_shape(m, n, N))
    d0 = np.maximum(degree // rows, 1)
    inputs, outputs = -(-rows // degree), -(-columns // d0)
    tile = (d0, np.minimum(rows, degree), inputs, outputs, inputs * outputs)
    return Tile(*(field[()] for field in tile))


def spu_tile(m: ArrayLike, n: ArrayLike, N: ArrayLike) -> Tile:
    """SPU's tile of the vector-matrix product where answers can be packed; see `spu_matrix_tile`.

    ``d0`` is SPU's third dimension (columns), ``outputs`` counts the polynomials before packing.
    """
    tile = spu_matrix_tile(1, m, n, N)
    return Tile(tile.columns, tile.inner, tile.inputs, tile.outputs, tile.multiplications)


def spu_unpacked_tile(m: ArrayLike, n: ArrayLike, N: ArrayLike) -> Tile:
    """SPU's tile of the vector-matrix product without packing (FM32); see `spu_unpacked_matrix_tile`."""
    tile = spu_unpacked_matrix_tile(1, m, n, N)
    return Tile(tile.columns, tile.inner, tile.inputs, tile.outputs, tile.multiplications)


def spu_matrix_tile(rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, N: ArrayLike) -> MatrixTile:
    """SPU's tile of a (rows x inner) by (inner x columns) product whose answers can be packed.

    Over rows tile d0 = 1, 2, ... and inner tile d1 = 1, 2, 4, ..., with d2 = min(columns, N // d0 // d1)
    and b_i the number of blocks of each dimension, the last pair that minimises

        1000 * (min(b0, b2)*b1 + ceil(b0*b2/d1)) + ceil(rows*columns/N)*d1 + b0*b1*b2/10.

    Parameters
    ----------
    rows, inner, columns : array_like of int
        Shape of the product; an embedding lookup has rows = tokens, inner = m, columns = n.
    N : array_like of int
        Ring degree.

    Returns
    -------
    MatrixTile
        ``inputs`` is the number of encrypted polynomials, of the side that has fewer. SPU then packs the
        ``outputs`` by interleaving if ``inner`` < rows*columns, by PackLWEs otherwise, and not at all if
        there is one output.

    Raises
    ------
    ValueError
        If a dimension is below 1.

    References
    ----------
    .. [1] SecretFlow SPU 0.9.5, ``libspu/mpc/cheetah/arith/matmat_prot.cc``,
       ``MatMatProtocol::GetSubMatShape``; choice of the packing in ``cheetah_dot.cc``, ``doDotOLE``.
    """
    return MatrixTile(*_per_shape(_spu_matrix_tile, rows, inner, columns, N))


def spu_unpacked_matrix_tile(rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, N: ArrayLike) -> MatrixTile:
    """SPU's tile where answers are never packed (no special modulus, as at FM32).

    As `spu_matrix_tile` with every integer d1 and no term for automorphisms. The term ceil(b0*b2/d1) stays,
    as in the source, although all b0*b2 answers are sent.
    """
    return MatrixTile(*_per_shape(_spu_unpacked_matrix_tile, rows, inner, columns, N))


def iron_matrix_tile(rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, N: ArrayLike) -> MatrixTile:
    """Iron's window (m_w, n_w, k_w), m_w n_w k_w <= N, with the fewest ciphertexts of both directions.

    Minimises ceil(rows/m_w) (ceil(inner/n_w) + ceil(columns/k_w)); of equal ones the first by m_w, then by n_w. For
    one row the ciphertexts are those of `cheetah_tile`.

    Parameters
    ----------
    rows, inner, columns : array_like of int
        Shape of the product; the left side is encrypted.
    N : array_like of int
        Ring degree.

    Raises
    ------
    ValueError
        If a dimension is below 1.

    References
    ----------
    .. [1] Hao et al., "Iron: Private Inference on Transformers", NeurIPS 2022. The bound m_w n_w k_w <= N is the
       paper's by readers' accounts of it; the objective is assumed, and gives the windows of BOLT's re-implementation.
    """
    return MatrixTile(*_per_shape(_iron_matrix_tile, rows, inner, columns, N))


def _shape(*dimensions: ArrayLike) -> list[NDArray[np.int64]]:
    arrays = [np.asarray(d, dtype=np.int64) for d in dimensions]
    for array in arrays:
        if array.size and array.min() < 1:
            raise ValueError(f"dimension {array.min()} of a table or ring: at least 1")
    return arrays


def _per_shape(rule: Callable[..., tuple[int, ...]], *dimensions: ArrayLike) -> list[Any]:
    """Evaluate ``rule`` once a distinct shape and spread the fields over the broadcast arrays."""
    arrays = _shape(*dimensions)
    if all(array.ndim == 0 for array in arrays):
        return [np.int64(field) for field in rule(*(int(array) for array in arrays))]
    distinct, places = zip(*(np.unique(array, return_inverse=True) for array in arrays), strict=True)
    counts = [len(values) for values in distinct]
    key: NDArray[np.int64] = np.zeros((), dtype=np.int64)
    for array, place, count in zip(arrays, places, counts, strict=True):
        key = key * count + place.reshape(array.shape)
    keys, shape = np.unique(key, return_inverse=True)
    indices = np.unravel_index(keys, counts)
    shapes = zip(*(values[index] for values, index in zip(distinct, indices, strict=True)), strict=True)
    tiles = np.array([rule(*(int(d) for d in dimensions)) for dimensions in shapes], dtype=np.int64)
    return [column[shape].reshape(key.shape) for column in tiles.T]


@lru_cache(maxsize=1 << 16)
def _cheetah_tile(m: int, n: int, N: int) -> tuple[int, ...]:
    d0 = np.arange(1, min(N, n) + 1)
    inputs = -(-m // np.minimum(N // d0, m))
    outputs = -(-n // d0)
    best = int(np.argmin(inputs + outputs))
    a, b = int(inputs[best]), int(outputs[best])
    return int(d0[best]), -(-m // a), a, b, a * b


@lru_cache(maxsize=1 << 16)
def _iron_matrix_tile(rows: int, inner: int, columns: int, N: int) -> tuple[int, ...]:
    best_cost = np.inf
    best: tuple[int, ...] = ()
    for m_w in range(1, min(N, rows) + 1):
        n_w = np.arange(1, min(N // m_w, inner) + 1)
        k_w = np.minimum(columns, N // m_w // n_w)
        row_blocks, inner_blocks, column_blocks = -(-rows // m_w), -(-inner // n_w), -(-columns // k_w)
        cost = row_blocks * (inner_blocks + column_blocks)
        at = int(np.argmin(cost))
        if cost[at] < best_cost:
            best_cost = float(cost[at])
            a, b = int(inner_blocks[at]), int(column_blocks[at])
            best = (m_w, int(n_w[at]), int(k_w[at]), row_blocks * a, row_blocks * b, row_blocks * a * b)
    return best


@lru_cache(maxsize=1 << 16)
def _spu_matrix_tile(rows: int, inner: int, columns: int, N: int) -> tuple[int, ...]:
    d1 = 1 << np.arange(min(inner, N).bit_length())
    return _spu_search(rows, inner, columns, N, d1, -(-rows * columns // N))


@lru_cache(maxsize=1 << 16)
def _spu_unpacked_matrix_tile(rows: int, inner: int, columns: int, N: int) -> tuple[int, ...]:
    return _spu_search(rows, inner, columns, N, np.arange(1, min(inner, N) + 1), 0)


def _spu_search(
    rows: int, inner: int, columns: int, N: int, inner_tiles: NDArray[np.int64], automorphisms: int
) -> tuple[int, ...]:
    best_cost = np.inf
    best: tuple[int, ...] = ()
    for d0 in range(1, min(N, rows) + 1):
        d1 = inner_tiles[inner_tiles <= N // d0]
        d2 = np.minimum(columns, N // d0 // d1)
        b0, b1, b2 = -(-rows // d0), -(-inner // d1), -(-columns // d2)
        inputs = np.minimum(b0, b2) * b1
        sent = inputs - (-b0 * b2 // d1)
        cost = sent * 1000.0 + automorphisms * d1 * 1.0 + b0 * b1 * b2 / 10.0
        at = len(cost) - 1 - int(np.argmin(cost[::-1]))
        if cost[at] <= best_cost:
            best_cost = float(cost[at])
            best = (
                d0,
                int(d1[at]),
                int(d2[at]),
                int(inputs[at]),
                int(b0 * b2[at]),
                int(b0 * b1[at] * b2[at]),
            )
    return best
