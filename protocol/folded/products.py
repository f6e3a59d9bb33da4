"""Sums of products of rows of polynomials with factors, all in evaluation form.

One kernel is behind the pass over the table, the key switches and the external products: out[column, row] is the sum
over blocks of left[column, block] * factors[row, block]. Residues are split into halves of w = ceil(bits(q)/2) bits,
whose products of at most 2w bits add up unreduced in three sums; 2^(63-2w) blocks fit before a Montgomery reduction.
One side carries the Montgomery factor 2^64. Two columns meet two rows at a time, which halves the loads, and what is
met again stays in the cache: polynomials are cut into *tiles*, which come first in memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.residue.compiled import kernel
from protocol.residue.modular import montgomery_inverse
from protocol.residue.multiply_accumulate import reduce_sums
from protocol.residue.ring import Ring

TILE = 32
_COLUMN_BLOCK = 8
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


def tiled(polynomials: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return (..., tiles, columns, blocks, TILE) of polynomials (..., columns, blocks, N)."""
    *leading, columns, blocks, n = polynomials.shape
    cut = polynomials.reshape(*leading, columns, blocks, n // TILE, TILE)
    return np.ascontiguousarray(np.moveaxis(cut, -2, -4))


class Factors:
    """Factors of every product, tiled, to be filled row by row.

    Either they or what they meet carry the factor 2^64.

    Parameters
    ----------
    ring : the ring
    rows, blocks : how many there are
    """

    def __init__(self, ring: Ring, rows: int, blocks: int) -> None:
        self.ring = ring
        self.rows = rows
        self.limbs = np.empty((ring.limbs, ring.ring_degree // TILE, rows, blocks, TILE), dtype=np.uint64)

    @classmethod
    def scaled(cls, ring: Ring, polynomials: NDArray[np.uint64]) -> Factors:
        """Return the factors of canonical polynomials (rows, blocks, limbs, N) in evaluation form, times 2^64."""
        rows, blocks = polynomials.shape[:2]
        factors = cls(ring, rows, blocks)
        factors.put(0, ring.scale(polynomials, 1 << 64))
        return factors

    def put(self, first: int, polynomials: NDArray[np.uint64]) -> None:
        """Set rows from ``first`` on to canonical polynomials (rows, blocks, limbs, N) in evaluation form."""
        rows, blocks, limbs, n = polynomials.shape
        cut = polynomials.reshape(rows, blocks, limbs, n // TILE, TILE)
        self.limbs[:, :, first : first + rows] = cut.transpose(2, 3, 0, 1, 4)


def sums_of_products(left: NDArray[np.uint64], factors: Factors) -> NDArray[np.uint64]:
    """Return canonical sums (columns, rows, limbs, N) for canonical ``left``.

    Parameters
    ----------
    left : (limbs, columns, blocks, N), or for what is used again (limbs, tiles, columns, blocks, TILE)
    factors : of which either they or ``left`` carry the factor 2^64

    Raises
    ------
    ValueError
        If limbs, blocks or ring degree do not match.
    """
    ring = factors.ring
    parts = left[:, None] if left.ndim == 4 else left
    tiles, _, blocks, _ = factors.limbs[0].shape
    shape = (parts.shape[0], parts.shape[3], parts.shape[1] * parts.shape[4])
    if left.ndim not in (4, 5) or shape != (ring.limbs, blocks, tiles * TILE):
        raise ValueError(f"left of shape {left.shape}: need {ring.limbs} limbs of {blocks} blocks of {tiles * TILE}")
    out = np.empty((parts.shape[2], factors.rows, ring.limbs, ring.ring_degree), dtype=np.uint64)
    for limb, q in enumerate(ring.moduli):
        half = (q.bit_length() + 1) // 2
        _accumulate(
            np.ascontiguousarray(parts[limb]),
            factors.limbs[limb],
            np.uint64(half),
            1 << (63 - 2 * half),
            np.uint64(q),
            np.uint64(montgomery_inverse(q)),
            limb,
            out,
        )
    return out


@kernel
def _add_products(
    x: NDArray[np.uint64],
    v: NDArray[np.uint64],
    y: NDArray[np.uint64],
    z: NDArray[np.uint64],
    start: int,
    first: int,
    last: int,
    half: np.uint64,
    sums: NDArray[np.uint64],
) -> None:
    """Add the split products of two columns x, v (blocks, ...) and two rows y, z (blocks, TILE) to their sums."""
    mask = (_ONE << half) - _ONE
    end = start + TILE
    block = first
    while block + 2 <= last:  # two at a time, for half of the traffic of the sums
        xa, xb = x[block, start:end], x[block + 1, start:end]
        va, vb = v[block, start:end], v[block + 1, start:end]
        ya, yb, za, zb = y[block], y[block + 1], z[block], z[block + 1]
        for i in range(TILE):
            x0, x1, v0, v1 = xa[i] & mask, xa[i] >> half, va[i] & mask, va[i] >> half
            y0, y1, z0, z1 = ya[i] & mask, ya[i] >> half, za[i] & mask, za[i] >> half
            p0, p1, r0, r1 = xb[i] & mask, xb[i] >> half, vb[i] & mask, vb[i] >> half
            s0, s1, t0, t1 = yb[i] & mask, yb[i] >> half, zb[i] & mask, zb[i] >> half
            sums[i] += x0 * y0 + p0 * s0
            sums[TILE + i] += (x0 * y1 + x1 * y0) + (p0 * s1 + p1 * s0)
            sums[2 * TILE + i] += x1 * y1 + p1 * s1
            sums[3 * TILE + i] += x0 * z0 + p0 * t0
            sums[4 * TILE + i] += (x0 * z1 + x1 * z0) + (p0 * t1 + p1 * t0)
            sums[5 * TILE + i] += x1 * z1 + p1 * t1
            sums[6 * TILE + i] += v0 * y0 + r0 * s0
            sums[7 * TILE + i] += (v0 * y1 + v1 * y0) + (r0 * s1 + r1 * s0)
            sums[8 * TILE + i] += v1 * y1 + r1 * s1
            sums[9 * TILE + i] += v0 * z0 + r0 * t0
            sums[10 * TILE + i] += (v0 * z1 + v1 * z0) + (r0 * t1 + r1 * t0)
            sums[11 * TILE + i] += v1 * z1 + r1 * t1
        block += 2
    while block < last:
        xa, va, ya, za = x[block, start:end], v[block, start:end], y[block], z[block]
        for i in range(TILE):
            x0, x1, v0, v1 = xa[i] & mask, xa[i] >> half, va[i] & mask, va[i] >> half
            y0, y1, z0, z1 = ya[i] & mask, ya[i] >> half, za[i] & mask, za[i] >> half
            sums[i] += x0 * y0
            sums[TILE + i] += x0 * y1 + x1 * y0
            sums[2 * TILE + i] += x1 * y1
            sums[3 * TILE + i] += x0 * z0
            sums[4 * TILE + i] += x0 * z1 + x1 * z0
            sums[5 * TILE + i] += x1 * z1
            sums[6 * TILE + i] += v0 * y0
            sums[7 * TILE + i] += v0 * y1 + v1 * y0
            sums[8 * TILE + i] += v1 * y1
            sums[9 * TILE + i] += v0 * z0
            sums[10 * TILE + i] += v0 * z1 + v1 * z0
            sums[11 * TILE + i] += v1 * z1
        block += 1


@kernel
def _accumulate(
    left: NDArray[np.uint64],
    factors: NDArray[np.uint64],
    half: np.uint64,
    capacity: int,
    q: np.uint64,
    q_inverse: np.uint64,
    limb: int,
    out: NDArray[np.uint64],
) -> None:
    tiles, rows, blocks, _ = factors.shape
    columns, width = left.shape[1], left.shape[3]
    sums = np.empty(12 * TILE, np.uint64)
    for tile in range(tiles):
        part, start = tile * TILE // width, tile * TILE % width
        for first_column in range(0, columns, _COLUMN_BLOCK):
            for row in range(0, rows, 2):
                next_row = min(row + 1, rows - 1)
                y, z = factors[tile, row], factors[tile, next_row]
                for column in range(first_column, min(first_column + _COLUMN_BLOCK, columns), 2):
                    next_column = min(column + 1, columns - 1)
                    x, v = left[part, column], left[part, next_column]
                    for first in range(0, blocks, capacity):
                        sums[:] = _ZERO
                        _add_products(x, v, y, z, start, first, min(first + capacity, blocks), half, sums)
                        for pair in range(4):
                            at_column = column if pair < 2 else next_column
                            at_row = row if pair % 2 == 0 else next_row
                            low, cross, high = (
                                sums[3 * pair * TILE : (3 * pair + 1) * TILE],
                                sums[(3 * pair + 1) * TILE : (3 * pair + 2) * TILE],
                                sums[(3 * pair + 2) * TILE : (3 * pair + 3) * TILE],
                            )
                            target = out[at_column, at_row, limb, tile * TILE : (tile + 1) * TILE]
                            for i in range(TILE):
                                reduced = reduce_sums(low[i], cross[i], high[i], half, q, q_inverse)
                                total = reduced + target[i] if first > 0 else reduced
                                target[i] = min(total, total - q)
