"""Sums of products of the table's polynomials and query polynomials, all in evaluation form.

One pass over the table serves all queries given together. Products are accumulated unreduced: residues are split
into halves of w = ceil(bits(q)/2) bits, whose products of at most 2w bits add up in three uint64 sums; 2^(63-2w)
blocks fit before a Montgomery reduction, which the kernel then inserts, so that no number of blocks overflows.
The query carries the Montgomery factor 2^64.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import montgomery_inverse, multiply_shoup, reduce_8q, reduce_montgomery
from protocol.residue.ntt import forward_lazy
from protocol.residue.ring import Ring
from protocol.threads import ALONE, Threads

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_WORD = np.uint64(64)
_HALF_WORD = np.uint64(32)
_LOWER = np.uint64(0xFFFFFFFF)
_TILE = 2048
_COLUMN_BLOCK = 4  # with _TILE and 16 blocks, one MiB of table to be met by every query


def half_bits(modulus: int) -> int:
    """Return w, the bits of a half of a residue."""
    return (modulus.bit_length() + 1) // 2


def transform_table(
    coefficients: NDArray[np.signedinteger],
    ring: Ring,
    factors: tuple[int, ...] | None = None,
    tally: Tally | None = None,
) -> NDArray[np.uint64]:
    """Return the evaluation form of signed polynomials, each limb multiplied by a factor.

    Parameters
    ----------
    coefficients : signed integers of any width, (columns, blocks, N), of magnitude below every limb
    factors : one a limb, for instance :func:`protocol.residue.packlwes.packing_factors`; ones if left out
    tally : told of every polynomial

    Returns
    -------
    residues (limbs, columns, blocks, N): the limb comes first, so that each is one stream

    Raises
    ------
    ValueError
        If the shape or the type is another.
    """
    if coefficients.ndim != 3 or coefficients.shape[-1] != ring.ring_degree or coefficients.dtype.kind != "i":
        raise ValueError(
            f"coefficients of type {coefficients.dtype} and shape {coefficients.shape}: "
            f"need signed integers of shape (columns, blocks, {ring.ring_degree})"
        )
    rows = np.ascontiguousarray(coefficients).reshape(-1, ring.ring_degree)
    largest = max(-int(rows.min(initial=0)), int(rows.max(initial=0)))
    if largest >= min(ring.moduli):
        raise ValueError(f"coefficient of magnitude {largest} is not below the limb {min(ring.moduli)}")
    out = np.empty((ring.limbs, *coefficients.shape), dtype=np.uint64)
    for limb, transform in enumerate(ring.transforms):
        factor = (factors[limb] if factors else 1) % transform.modulus
        transformed = _transform_signed(
            rows,
            np.uint64(factor),
            np.uint64((factor << 64) // transform.modulus),
            transform.roots,
            transform.quotients,
            transform.q,
            out[limb].reshape(rows.shape),
        )
        (tally or Tally()).add(transformed, parts=ring.limbs)
    return out


class Query:
    """Ciphertexts, or halves of them, prepared for :func:`multiply_accumulate`.

    Parameters
    ----------
    ring : the ring
    polynomials : in evaluation form, (..., blocks, limbs, N) and canonical; the leading axes are, say, tokens and the
        two elements of a ciphertext
    """

    def __init__(self, ring: Ring, polynomials: NDArray[np.uint64]) -> None:
        if polynomials.ndim < 3 or polynomials.shape[-2:] != (ring.limbs, ring.ring_degree):
            raise ValueError(
                f"polynomials of shape {polynomials.shape}: need (..., blocks, {ring.limbs}, {ring.ring_degree})"
            )
        self.ring = ring
        self.shape = polynomials.shape[:-3]
        self.blocks = polynomials.shape[-3]
        scaled = ring.scale(polynomials, 1 << 64)
        by_row = scaled.reshape(-1, self.blocks, ring.limbs, ring.ring_degree)
        self.limbs = np.ascontiguousarray(np.moveaxis(by_row, 2, 0))
        for limb, q in zip(self.limbs, ring.moduli, strict=True):
            pack_halves(limb.reshape(-1), np.uint64(half_bits(q)))


def multiply_accumulate(
    table: NDArray[np.uint64], query: Query, tally: Tally | None = None, threads: Threads = ALONE
) -> NDArray[np.uint64]:
    """Return out[column, ...] = sum over blocks of query[..., block] * table[column, block].

    Parameters
    ----------
    table : from :func:`transform_table`, (limbs, columns, blocks, N); a slice of columns serves as well
    query : the prepared ciphertexts, of leading shape (...)
    tally : told of every product of polynomials
    threads : share the columns

    Returns
    -------
    canonical residues (columns, ..., limbs, N) in evaluation form

    Raises
    ------
    ValueError
        If limbs, blocks or ring degree of table and query differ.
    """
    ring = query.ring
    if table.ndim != 4 or (table.shape[0], *table.shape[2:]) != (ring.limbs, query.blocks, ring.ring_degree):
        raise ValueError(
            f"table of shape {table.shape}: need ({ring.limbs}, columns, {query.blocks}, {ring.ring_degree})"
        )
    columns, rows = table.shape[1], query.limbs.shape[1]
    out = np.empty((columns, rows, ring.limbs, ring.ring_degree), dtype=np.uint64)
    for limb, q in enumerate(ring.moduli):
        products = threads.share(
            partial(_multiply_columns, table[limb], query.limbs[limb], q, limb, out), columns, _COLUMN_BLOCK
        )
        (tally or Tally()).add(products, parts=ring.limbs * ring.ring_degree)
    return out.reshape(columns, *query.shape, ring.limbs, ring.ring_degree)


def _multiply_columns(
    table: NDArray[np.uint64],
    query: NDArray[np.uint64],
    modulus: int,
    limb: int,
    out: NDArray[np.uint64],
    first: int,
    last: int,
) -> int:
    """Set a limb of some columns of out (columns, rows, limbs, N); return the products of residues made."""
    width = half_bits(modulus)
    return _accumulate(
        np.ascontiguousarray(table[first:last]),
        query,
        np.uint64(width),
        1 << (63 - 2 * width),
        np.uint64(modulus),
        np.uint64(montgomery_inverse(modulus)),
        limb,
        out[first:last],
    )


@kernel
def _transform_signed(
    coefficients: NDArray[np.signedinteger],
    factor: np.uint64,
    factor_quotient: np.uint64,
    roots: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    q: np.uint64,
    out: NDArray[np.uint64],
) -> int:
    """Return the polynomials transformed."""
    transformed = 0
    for row in range(coefficients.shape[0]):
        source, target = coefficients[row], out[row]
        for i in range(source.size):
            residue = np.uint64(np.int64(source[i]))
            target[i] = multiply_shoup(min(residue, residue + q), factor, factor_quotient, q)
        forward_lazy(target, roots, quotients, q)
        for i in range(source.size):
            target[i] = reduce_8q(target[i], q)
        transformed += 1
    return transformed


@kernel
def pack_halves(residues: NDArray[np.uint64], width: np.uint64) -> None:
    """Move the high half of w bits into the upper word, from where it is unpacked with a shift and no mask."""
    mask = (_ONE << width) - _ONE
    for i in range(residues.size):
        residues[i] = (residues[i] & mask) | (residues[i] >> width << _HALF_WORD)


@inlined
def reduce_sums(
    low: np.uint64, cross: np.uint64, high: np.uint64, width: np.uint64, q: np.uint64, q_inverse: np.uint64
) -> np.uint64:
    """Return (high * 4^w + cross * 2^w + low) / 2^64 mod q, canonical."""
    shifted = cross << width
    lower = low + shifted
    upper = (cross >> (_WORD - width)) + (_ONE if lower < shifted else _ZERO)
    shifted = high << (width + width)
    lower += shifted
    upper += (high >> (_WORD - width - width)) + (_ONE if lower < shifted else _ZERO)
    return reduce_montgomery(upper, lower, q, q_inverse)


@inlined
def _add_products(
    x: NDArray[np.uint64],
    y: NDArray[np.uint64],
    first: int,
    last: int,
    start: int,
    width: np.uint64,
    low: NDArray[np.uint64],
    cross: NDArray[np.uint64],
    high: NDArray[np.uint64],
) -> None:
    """Add the split products of blocks first..last of x, plain, and y, packed, to the sums of one tile."""
    mask = (_ONE << width) - _ONE
    end = start + low.size
    block = first
    while block + 4 <= last:  # four at a time, for a quarter of the traffic of the sums
        xa, xb = x[block, start:end], x[block + 1, start:end]
        xc, xd = x[block + 2, start:end], x[block + 3, start:end]
        ya, yb = y[block, start:end], y[block + 1, start:end]
        yc, yd = y[block + 2, start:end], y[block + 3, start:end]
        for i in range(low.size):
            xa0, xa1, ya0, ya1 = xa[i] & mask, xa[i] >> width, ya[i] & _LOWER, ya[i] >> _HALF_WORD
            xb0, xb1, yb0, yb1 = xb[i] & mask, xb[i] >> width, yb[i] & _LOWER, yb[i] >> _HALF_WORD
            xc0, xc1, yc0, yc1 = xc[i] & mask, xc[i] >> width, yc[i] & _LOWER, yc[i] >> _HALF_WORD
            xd0, xd1, yd0, yd1 = xd[i] & mask, xd[i] >> width, yd[i] & _LOWER, yd[i] >> _HALF_WORD
            low[i] += xa0 * ya0 + xb0 * yb0 + xc0 * yc0 + xd0 * yd0
            high[i] += xa1 * ya1 + xb1 * yb1 + xc1 * yc1 + xd1 * yd1
            cross[i] += (
                (xa0 * ya1 + xa1 * ya0) + (xb0 * yb1 + xb1 * yb0) + (xc0 * yc1 + xc1 * yc0) + (xd0 * yd1 + xd1 * yd0)
            )
        block += 4
    while block < last:
        xa, ya = x[block, start:end], y[block, start:end]
        for i in range(low.size):
            xa0, xa1, ya0, ya1 = xa[i] & mask, xa[i] >> width, ya[i] & _LOWER, ya[i] >> _HALF_WORD
            low[i] += xa0 * ya0
            cross[i] += xa0 * ya1 + xa1 * ya0
            high[i] += xa1 * ya1
        block += 1


@kernel
def _accumulate(
    table: NDArray[np.uint64],
    query: NDArray[np.uint64],
    width: np.uint64,
    capacity: int,
    q: np.uint64,
    q_inverse: np.uint64,
    limb: int,
    out: NDArray[np.uint64],
) -> int:
    """Return the products of residues made."""
    products = 0
    columns, blocks, n = table.shape
    rows = query.shape[0]
    tile = min(n, _TILE)
    column_block = 1 if rows <= 2 else _COLUMN_BLOCK
    low, cross, high = np.empty(tile, np.uint64), np.empty(tile, np.uint64), np.empty(tile, np.uint64)
    for first_column in range(0, columns, column_block):
        for start in range(0, n, tile):
            for row in range(rows):
                for column in range(first_column, min(first_column + column_block, columns)):
                    target = out[column, row, limb, start : start + tile]
                    target[:] = _ZERO
                    for first in range(0, blocks, capacity):
                        low[:] = _ZERO
                        cross[:] = _ZERO
                        high[:] = _ZERO
                        last = min(first + capacity, blocks)
                        _add_products(table[column], query[row], first, last, start, width, low, cross, high)
                        products += (last - first) * tile
                        for i in range(tile):
                            reduced = reduce_sums(low[i], cross[i], high[i], width, q, q_inverse) + target[i]
                            target[i] = min(reduced, reduced - q)
    return products
