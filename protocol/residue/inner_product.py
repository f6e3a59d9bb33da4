"""Products of a table of small signed coefficients with scalars modulo q: what is left online of a prepared query.

A scalar is split into words of 31 bits, which multiply a 16-bit coefficient exactly in int64; 2^16 products of
magnitude below 2^46 add up to less than 2^62 before they are reduced, so that no length overflows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import check_modulus, multiply_shoup

_WORD_BITS = 31
_CAPACITY = 1 << 16
_ROW_TILE = 8192


def inner_products(
    table: NDArray[np.int16], scalars: NDArray[np.uint64], modulus: int, tally: Tally | None = None
) -> NDArray[np.uint64]:
    """Return out[..., column] = sum over i of table[column, i] * scalars[..., i] mod q.

    Every output is one coefficient of a product of polynomials, with the table's columns laid out by
    :func:`convolution_order` in place of a transform.

    Parameters
    ----------
    table : int16, (columns, m)
    scalars : canonical, (..., m)
    modulus : q, odd and below 2^61
    tally : told of every inner product

    Raises
    ------
    ValueError
        If the shapes or types do not match or a scalar is not below the modulus.
    """
    words = _words(table, scalars, modulus)
    sums = np.zeros((2, words.shape[1], table.shape[0]), dtype=np.int64)
    total = np.zeros(sums.shape[1:], dtype=np.uint64)
    for first in range(0, table.shape[1], _CAPACITY):
        last = min(first + _CAPACITY, table.shape[1])
        sums[:] = 0
        products = _inner_products(table[:, first:last], words[:, :, first:last], sums)
        (tally or Tally()).add(products, parts=table.shape[1])
        total = (total + _recombine(sums, modulus)) % np.uint64(modulus)
    return total.reshape(*scalars.shape[:-1], table.shape[0])


def convolution_order(weights: NDArray[np.signedinteger], ring_degree: int) -> NDArray[np.signedinteger]:
    """Return the polynomials whose products with blocks of a query sum to inner products.

    With w(X) = w_0 - sum_{i>0} w_i X^(N-i), the constant coefficient of w(X) * v(X) modulo X^N + 1 is sum_i w_i v_i.

    Parameters
    ----------
    weights : signed integers (columns, m), whose negatives the type can hold

    Returns
    -------
    coefficients (columns, ceil(m/N), N) of the same type, padded with zeros

    Raises
    ------
    ValueError
        If the smallest value of the type occurs, which has no negative.
    """
    columns, m = weights.shape
    if weights.size and weights.min() == np.iinfo(weights.dtype).min:
        raise ValueError(f"weight {weights.min()} has no negative of type {weights.dtype}")
    blocks = -(-m // ring_degree)
    padded = np.zeros((columns, blocks * ring_degree), dtype=weights.dtype)
    padded[:, :m] = weights
    padded = padded.reshape(columns, blocks, ring_degree)
    out = np.empty_like(padded)
    out[..., 0] = padded[..., 0]
    np.negative(padded[..., :0:-1], out=out[..., 1:])
    return out


def _words(table: NDArray[np.int16], scalars: NDArray[np.uint64], modulus: int) -> NDArray[np.int32]:
    """Return the scalars' low and high words, (2, queries, length)."""
    check_modulus(modulus)
    if table.dtype != np.int16 or table.ndim != 2 or scalars.shape[-1:] != (table.shape[1],):
        raise ValueError(
            f"table of type {table.dtype} and shape {table.shape} with scalars of shape {scalars.shape}: "
            f"need int16 and {table.shape[1] if table.ndim == 2 else 'two axes'} scalars"
        )
    largest = int(scalars.max(initial=0))
    if largest >= modulus:
        raise ValueError(f"scalar {largest} is not below the modulus {modulus}")
    flat = scalars.reshape(-1, scalars.shape[-1])
    low = (flat & np.uint64((1 << _WORD_BITS) - 1)).astype(np.int32)
    return np.stack([low, (flat >> np.uint64(_WORD_BITS)).astype(np.int32)])


def _recombine(sums: NDArray[np.int64], modulus: int) -> NDArray[np.uint64]:
    """Return low + 2^31 * high mod q of the sums of both words."""
    out = np.empty(sums.shape[1:], dtype=np.uint64)
    weight = (1 << _WORD_BITS) % modulus
    _add_words(
        sums[0].reshape(-1),
        sums[1].reshape(-1),
        (np.uint64(1), np.uint64((1 << 64) // modulus)),
        (np.uint64(weight), np.uint64((weight << 64) // modulus)),
        np.uint64(modulus),
        out.reshape(-1),
    )
    return out


@inlined
def _multiply_signed(x: np.int64, factor: np.uint64, quotient: np.uint64, q: np.uint64) -> np.uint64:
    """Return x * factor mod q, canonical, for a signed x."""
    product = multiply_shoup(np.uint64(abs(x)), factor, quotient, q)
    negative = q - product
    return product if x >= 0 else min(negative, negative - q)


@kernel
def _add_words(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    one: tuple[np.uint64, np.uint64],
    weight: tuple[np.uint64, np.uint64],
    q: np.uint64,
    out: NDArray[np.uint64],
) -> None:
    for i in range(low.size):
        total = _multiply_signed(low[i], one[0], one[1], q) + _multiply_signed(high[i], weight[0], weight[1], q)
        out[i] = min(total, total - q)


@kernel
def _inner_products(table: NDArray[np.int16], words: NDArray[np.int32], sums: NDArray[np.int64]) -> int:
    """Return the products of table entries and scalars made."""
    products = 0
    columns, m = table.shape
    for start in range(0, m, _ROW_TILE):
        end = min(start + _ROW_TILE, m)
        for column in range(0, columns, 2):  # two columns at a time share the loads of the words
            other = min(column + 1, columns - 1)
            w, v = table[column, start:end], table[other, start:end]
            for query in range(words.shape[1]):
                low, high = words[0, query, start:end], words[1, query, start:end]
                w_low, w_high, v_low, v_high = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
                for i in range(end - start):
                    w_low += np.int64(w[i]) * np.int64(low[i])
                    w_high += np.int64(w[i]) * np.int64(high[i])
                    v_low += np.int64(v[i]) * np.int64(low[i])
                    v_high += np.int64(v[i]) * np.int64(high[i])
                sums[0, query, column] += w_low
                sums[1, query, column] += w_high
                products += end - start
                if other > column:
                    sums[0, query, other] += v_low
                    sums[1, query, other] += v_high
                    products += end - start
    return products
