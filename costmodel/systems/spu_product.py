"""Counts of SPU's homomorphic matrix product: tile, packing, who encrypts, and the splitting of large operands.

A product of (rows x inner) by (inner x columns) is tiled by `costmodel.tiles.spu_matrix_tile`. Answers are then

- sent as they are if there is only one, or if the ring has no special prime (FM32): the tile is chosen anew without
  the term for automorphisms;
- interleaved, ``inner tile`` answers into one, if the inner tile is smaller than rows * columns;
- packed by PackLWEs otherwise.

The side with fewer polynomials is encrypted, so that for many rows the table's owner may send ciphertexts.

References
----------
.. [1] SecretFlow SPU 0.9.5, ``libspu/mpc/cheetah/arith/cheetah_dot.cc``: ``doDotOLE``, ``doDotOLEReceiverSendStep``.
.. [2] ``libspu/mpc/cheetah/arith/matmat_prot.cc``: ``GetSubMatShape``.
.. [3] ``libspu/mpc/cheetah/rlwe/packlwes.cc``: ``doPackingRLWEs``, ``doPackingLWEs``.
.. [4] ``libspu/kernel/hal/ring.cc``: ``calcMmulTilingSize`` and ``_mmul``, the splitting at 256 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.tiles import MatrixTile, spu_matrix_tile, spu_unpacked_matrix_tile

SPLIT_BYTES = 256 * 2**20
"""Operands of this size together are split [4]_."""

IntArray = NDArray[np.int64]


class SpuProduct(NamedTuple):
    """Counts of one product; int64 and bool arrays that broadcast."""

    inputs: Any  # ciphertexts of the side that is encrypted
    answers: Any  # ciphertexts sent back
    used: Any  # coefficients of b that are sent of an answer that is not packed, on average
    packed: Any  # whether answers are interleaved or packed
    left_encrypts: Any  # whether the owner of the left operand encrypts, the embedding's client
    products: Any
    encoded: Any  # plaintext polynomials
    entries: Any  # of the plaintext side that one answer adds up
    automorphisms: Any
    depth: Any  # levels of key switches


def spu_product(rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, N: ArrayLike, packing: bool) -> SpuProduct:
    """Counts of one product that is not split.

    Parameters
    ----------
    rows, inner, columns : array_like of int
        Shape; an embedding lookup has rows = tokens, inner = m, columns = n.
    N : array_like of int
        Ring degree.
    packing : bool
        Whether the ring has a special prime to switch keys with (FM64 and above) [1]_.

    Raises
    ------
    ValueError
        If a dimension is below 1.
    """
    t, m, n, degree = (np.asarray(a, dtype=np.int64) for a in (rows, inner, columns, N))
    bare = _Blocks.of(spu_unpacked_matrix_tile(t, m, n, degree), t, m, n)
    if not packing:
        return _unpacked(bare, t * n)
    tile = spu_matrix_tile(t, m, n, degree)
    blocks = _Blocks.of(tile, t, m, n)
    results = t * n
    single, interleave = tile.outputs <= 1, tile.inner < results
    packed = SpuProduct(
        inputs=blocks.inputs,
        answers=np.where(interleave, _ceil(tile.outputs, tile.inner), _ceil(results, degree)),
        used=degree,
        packed=True,
        left_encrypts=blocks.left_encrypts,
        products=tile.multiplications,
        encoded=blocks.encoded,
        entries=blocks.entries,
        automorphisms=np.where(
            interleave,
            _interleaving_automorphisms(tile.outputs, tile.inner),
            _packlwes_automorphisms(results, degree),
        ),
        depth=_log2(np.where(interleave, tile.inner, degree)),
    )
    plain = _unpacked(bare, results)
    return SpuProduct(*(np.where(single, one, many)[()] for one, many in zip(plain, packed, strict=True)))


class Block(NamedTuple):
    """Equal sub-products of a split one."""

    count: Any  # 0 where there is none; its dimensions are then 1
    rows: Any
    inner: Any
    columns: Any


def split(rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, element_bytes: int) -> Iterator[Block]:
    """The sub-products that SPU makes of operands of 256 MiB or more together [4]_: whole blocks and remainders.

    With r = rows + columns, a limit of E = 256 MiB / element_bytes elements, and all steps at least 1:

        inner > 8 r:   steps of r over rows and columns, of ceil(E / r) over inner
        r > 8 inner:   steps of ceil(E / inner), inner whole
        otherwise:     s = sqrt(E r / inner), steps of ceil(s) and ceil(E / s)

    where a step over rows and columns is shared in their proportion, rounded down.

    Parameters
    ----------
    rows, inner, columns : array_like of int
        Shape of the product.
    element_bytes : int
        Bytes of a ring element: 4 (FM32) or 8 (FM64).
    """
    m, k, n = np.broadcast_arrays(*(np.asarray(a, dtype=np.int64) for a in (rows, inner, columns)))
    limit = float(SPLIT_BYTES // element_bytes)
    both = m + n
    square = np.sqrt(limit / (k / both))
    tall, wide = k > both * 8, both > k * 8
    inner_step = np.where(tall, np.ceil(limit / both), np.where(wide, k, np.ceil(limit / square)))
    step = np.where(tall, both, np.ceil(np.where(wide, limit / k, square)))
    steps = [np.maximum(np.floor(one).astype(np.int64), 1) for one in (step * m / both, inner_step, step * n / both)]
    whole = (m * k + k * n) * element_bytes < SPLIT_BYTES
    sizes = (m, k, n)
    parts = [_parts(size, np.where(whole, size, np.minimum(one, size))) for size, one in zip(sizes, steps, strict=True)]
    for row_count, row in parts[0]:
        for inner_count, depth in parts[1]:
            for column_count, column in parts[2]:
                count = row_count * inner_count * column_count
                yield Block(count, row, depth, column)


class _Blocks(NamedTuple):
    inputs: Any
    left_encrypts: Any
    encoded: Any
    entries: Any
    outputs: Any
    products: Any

    @classmethod
    def of(cls, tile: MatrixTile, rows: IntArray, inner: IntArray, columns: IntArray) -> _Blocks:
        b0, b1, b2 = _ceil(rows, tile.rows), _ceil(inner, tile.inner), _ceil(columns, tile.columns)
        left = b0 <= b2
        entries = inner * np.where(left, tile.columns, tile.rows)
        return cls(tile.inputs, left, b1 * np.maximum(b0, b2), entries, tile.outputs, tile.multiplications)


def _unpacked(blocks: _Blocks, results: IntArray) -> SpuProduct:
    return SpuProduct(
        inputs=blocks.inputs,
        answers=blocks.outputs,
        used=_ceil(results, blocks.outputs),
        packed=np.zeros(np.shape(blocks.outputs), dtype=bool)[()],
        left_encrypts=blocks.left_encrypts,
        products=blocks.products,
        encoded=blocks.encoded,
        entries=blocks.entries,
        automorphisms=np.zeros_like(blocks.outputs),
        depth=np.zeros_like(blocks.outputs),
    )


def _parts(size: IntArray, step: IntArray) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Whole steps and the remainder, as (count, size), the size of an absent one being 1."""
    full, rest = np.divmod(size, step)
    return (full, step), ((rest > 0).astype(np.int64), np.maximum(rest, 1))


def _interleaving_automorphisms(answers: Any, gap: Any) -> Any:
    """Key switches of interleaving groups of ``gap`` answers: gap - 1 a full group, sum_j min(c, gap/2^j) for c left.

    The tree has log2(gap) levels however few ciphertexts it merges [3]_.
    """
    full, rest = np.divmod(answers, gap)
    return full * (gap - 1) + _tree(rest, gap)


def _packlwes_automorphisms(results: Any, degree: Any) -> Any:
    """Key switches of PackLWEs: a tree over the next power of two A of the results, then log2(N/A) of the trace [3]_.

    Polynomials of N results are packed one by one; with N results there is no trace.
    """
    full, rest = np.divmod(results, degree)
    leaves = np.int64(1) << np.frexp(np.maximum(rest, 1) - 1)[1].astype(np.int64)
    trace = np.where(rest > 0, _log2(degree) - _log2(leaves), 0)
    return full * (degree - 1) + _tree(rest, leaves) + trace


def _tree(members: Any, leaves: Any) -> Any:
    """Nodes that are not empty of a tree that folds ``leaves`` in halves: sum_j min(members, leaves / 2^j)."""
    nodes = np.zeros(np.broadcast_shapes(np.shape(members), np.shape(leaves)), dtype=np.int64)
    for level in range(1, int(np.max(leaves, initial=1)).bit_length()):
        nodes = nodes + np.minimum(members, np.asarray(leaves, dtype=np.int64) >> level)
    return nodes


def _log2(power: Any) -> Any:
    """Exponent of a power of two."""
    return (np.frexp(np.asarray(power, dtype=np.float64))[1] - 1).astype(np.int64)


def _ceil(numerator: Any, denominator: Any) -> Any:
    return -(-numerator // denominator)
