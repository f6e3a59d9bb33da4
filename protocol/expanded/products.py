"""Sums of products of polynomials with pairs of factors, all in evaluation form.

One kernel is behind the pass over the table, the key switches and the external products: the b and a of
out[group, column] are sums over blocks of left[column, block] times those of factors[group, block]. Products of packed
residues add up unreduced; 2^(62-2w) blocks fit before a Montgomery reduction, for which one side carries the factor
2^64. Polynomials that are met again and again are cut into *tiles* of a vector each, which come first in memory, so
that a tile's factors stay in the cache while all columns pass, once for all groups.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.compiled import kernel
from protocol.residue.modular import montgomery_inverse, multiply_shoup
from protocol.residue.multiply_accumulate import half_bits, pack_halves, reduce_sums
from protocol.residue.ring import Ring
from protocol.residue.split_sums import LANES, add_split_products
from protocol.threads import ALONE, Threads

_WORD = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


class Reduction(NamedTuple):
    """Constants of every limb: w, the blocks that fit into a sum, q, and q^-1 mod 2^64."""

    half: NDArray[np.uint64]
    capacity: NDArray[np.int64]
    moduli: NDArray[np.uint64]
    inverses: NDArray[np.uint64]

    @classmethod
    def of(cls, ring: Ring) -> Reduction:
        """Return the constants of a ring."""
        halves = [half_bits(q) for q in ring.moduli]
        return cls(
            np.array(halves, dtype=np.uint64),
            np.array([1 << (62 - 2 * half) for half in halves], dtype=np.int64),
            np.array(ring.moduli, dtype=np.uint64),
            np.array([montgomery_inverse(q) for q in ring.moduli], dtype=np.uint64),
        )


def tiled(polynomials: NDArray[np.uint64], ring: Ring) -> NDArray[np.uint64]:
    """Return packed (limbs, tiles, columns, blocks, LANES) of canonical polynomials (limbs, columns, blocks, N)."""
    limbs, columns, blocks, n = polynomials.shape
    cut = polynomials.reshape(limbs, columns, blocks, n // LANES, LANES)
    out = np.array(np.moveaxis(cut, -2, -4), order="C")  # a copy even of what is in this order, to be packed in place
    for limb, q in zip(out, ring.moduli, strict=True):
        pack_halves(limb.reshape(-1), np.uint64(half_bits(q)))
    return out


class Factors:
    """Groups of factors, b and a for every block, tiled and packed, to be filled one by one.

    Parameters
    ----------
    ring : the ring
    groups, blocks : how many there are
    scale : what all are multiplied with: 2^64, or 1 where it is the left side that carries it
    """

    def __init__(self, ring: Ring, groups: int, blocks: int, scale: int) -> None:
        self.ring = ring
        self.blocks = blocks
        self.reduction = Reduction.of(ring)
        self.limbs = np.empty((ring.limbs, ring.ring_degree // LANES, groups, 2, blocks, LANES), dtype=np.uint64)
        scales = [scale % q for q in ring.moduli]
        self._scales = np.array(scales, dtype=np.uint64)
        self._quotients = np.array([(x << 64) // q for x, q in zip(scales, ring.moduli, strict=True)], dtype=np.uint64)

    @classmethod
    def of(cls, ring: Ring, polynomials: NDArray[np.uint64]) -> Factors:
        """Return one group of canonical polynomials (blocks, 2, limbs, N) in evaluation form, times 2^64."""
        factors = cls(ring, 1, len(polynomials), 1 << 64)
        factors.put(0, polynomials, np.zeros((len(polynomials), ring.limbs), dtype=np.uint64))
        return factors

    def put(
        self,
        group: int,
        polynomials: NDArray[np.uint64],
        constants: NDArray[np.uint64],
        threads: Threads = ALONE,
    ) -> None:
        """Set a group to canonical polynomials (blocks, 2, limbs, N), with constants (blocks, limbs) added to the b."""

        def put(first: int, last: int) -> int:
            _put(
                polynomials, constants, self._scales, self._quotients, self.reduction, group, first, last, self.limbs
            )  # fmt: skip
            return last - first

        threads.share(put, len(polynomials))


def sums_of_products(
    left: NDArray[np.uint64],
    factors: Factors,
    out: NDArray[np.uint64] | None = None,
    tally: Tally | None = None,
    threads: Threads = ALONE,
) -> NDArray[np.uint64]:
    """Return canonical sums (groups, columns, 2, limbs, N).

    Parameters
    ----------
    left : packed, (limbs, columns, blocks, N), or for what is used again (limbs, tiles, columns, blocks, LANES)
    factors : of which either they or ``left`` carry the factor 2^64
    out : room for the sums, new if left out
    tally : told of every polynomial times the b and the a of a factor
    threads : share the tiles

    Raises
    ------
    ValueError
        If limbs, blocks or ring degree do not match.
    """
    ring = factors.ring
    parts = left[:, None] if left.ndim == 4 else left
    tiles, groups, _, blocks, _ = factors.limbs[0].shape
    shape = (parts.shape[0], parts.shape[3], parts.shape[1] * parts.shape[4])
    if left.ndim not in (4, 5) or shape != (ring.limbs, blocks, tiles * LANES):
        raise ValueError(f"left of shape {left.shape}: need {ring.limbs} limbs of {blocks} blocks of {tiles * LANES}")
    if out is None:
        out = np.empty((groups, parts.shape[2], 2, ring.limbs, ring.ring_degree), dtype=np.uint64)
    for limb in range(ring.limbs):
        met = np.ascontiguousarray(parts[limb]), factors.limbs[limb], factors.reduction, limb, 0, out
        products = threads.share(partial(accumulate, *met), tiles)
        (tally or Tally()).add(products, parts=ring.limbs * tiles)
    return out


@kernel
def _put(
    polynomials: NDArray[np.uint64],
    constants: NDArray[np.uint64],
    scales: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    reduction: Reduction,
    group: int,
    first: int,
    last: int,
    out: NDArray[np.uint64],
) -> None:
    _, _, limbs, n = polynomials.shape
    for block in range(first, last):
        for element in range(2):
            for limb in range(limbs):
                q, half = reduction.moduli[limb], reduction.half[limb]
                scale, quotient = scales[limb], quotients[limb]
                constant = constants[block, limb] if element == 0 else np.uint64(0)
                mask = (_ONE << half) - _ONE
                source = polynomials[block, element, limb]
                for tile in range(n // LANES):
                    target = out[limb, tile, group, element, block]
                    for i in range(LANES):
                        total = multiply_shoup(source[tile * LANES + i] + constant, scale, quotient, q)
                        target[i] = (total & mask) | (total >> half << _WORD)


@kernel
def accumulate(
    left: NDArray[np.uint64],
    factors: NDArray[np.uint64],
    reduction: Reduction,
    limb: int,
    offset: int,
    out: NDArray[np.uint64],
    first_tile: int,
    last_tile: int,
) -> int:
    """Set tiles of a limb of out (groups, columns, 2, limbs, N), from column ``offset`` to as many as there are.

    left is packed, (parts, columns, blocks, width) of this limb. Return the tiles of left that met a factor's.
    """
    products = 0
    _, groups, _, blocks, _ = factors.shape
    held, width = left.shape[1], left.shape[3]
    columns = min(held, out.shape[1] - offset)
    q, q_inverse = reduction.moduli[limb], reduction.inverses[limb]
    half, capacity = reduction.half[limb], reduction.capacity[limb]
    sums = np.empty((3, 4 * LANES), np.uint64)
    low, high, added = sums[0], sums[1], sums[2]
    totals = np.empty((2, 2, LANES), np.uint64)
    flat = totals.reshape(4 * LANES)
    for tile in range(first_tile, last_tile):
        part, start = tile * LANES // width, tile * LANES % width
        for column in range(0, columns, 2):
            together = min(2, columns - column)
            x = (part * held + column) * blocks * width + start
            v = x + (together - 1) * blocks * width
            for group in range(groups):
                y = (tile * groups + group) * 2 * blocks * LANES
                for first in range(0, blocks, capacity):
                    count = min(capacity, blocks - first)
                    skipped, passed = first * width, first * LANES
                    add_split_products(
                        left,
                        x + skipped,
                        v + skipped,
                        width,
                        factors,
                        y + passed,
                        y + passed + blocks * LANES,
                        LANES,
                        count,
                        sums,
                    )
                    products += together * count
                    if first == 0:
                        flat[:] = _ZERO
                    for i in range(4 * LANES):
                        total = flat[i] + reduce_sums(low[i], added[i] - low[i] - high[i], high[i], half, q, q_inverse)
                        flat[i] = min(total, total - q)
                for row in range(together):
                    for element in range(2):
                        for i in range(LANES):
                            out[group, offset + column + row, element, limb, tile * LANES + i] = totals[row, element, i]
    return products
