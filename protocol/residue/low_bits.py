"""Additive shares of what a ciphertext encrypts, for which only the lowest bits of b travel.

With beta = t b/2^k in cells, the server's share is sigma = floor(beta) mod t, and the next r bits of beta travel. Where
t is a power of two these are the uppermost bits of b and those that follow. The client, who has a s', takes the integer
nearest to (low + 1/2)/2^r + t a s'/R, with a rounded to R values. See :mod:`costmodel.answers` for the error that this
allows.

References
----------
.. [1] C. Peikert, "Lattice cryptography for the Internet", PQCrypto 2014, section 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.answers import SharedAnswer, a_values
from protocol.residue.bits import pack_bits, pack_integers, unpack_bits, unpack_integers
from protocol.residue.compiled import kernel
from protocol.residue.modular import product_high
from protocol.residue.shared_switch import products_with_secrets

_ONE = np.uint64(1)
_WORD_BITS = 64


def server_shares(shape: SharedAnswer, b: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the server's shares of integers b below 2^k, and what is sent of b, of the shape of b.

    Returns
    -------
    shares : sigma = floor(t b/2^k), modulo t, never sent
    low : the next r bits, floor(2^r (t b/2^k - sigma))
    """
    steps = np.empty(b.shape, dtype=np.uint64)
    _scale(
        np.ascontiguousarray(b).reshape(-1),
        np.uint64(shape.plaintext_modulus),
        np.uint64(shape.modulus_bits - shape.low_bits),
        steps.reshape(-1),
    )
    bits = np.uint64(shape.low_bits)
    return steps >> bits, steps & ((_ONE << bits) - _ONE)


def round_a(shape: SharedAnswer, a: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return round(R a/2^k) mod R of integers a below 2^k: what is sent of a."""
    out = np.empty_like(a)
    _round(np.ascontiguousarray(a), np.uint64(shape.a_values), np.uint64(shape.modulus_bits), out)
    return out


def client_shares(
    shape: SharedAnswer, a: NDArray[np.uint64], low: NDArray[np.uint64], secrets: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return the client's shares modulo t, (outputs, N').

    Parameters
    ----------
    shape : of the answer
    a : of :func:`round_a`, (N',)
    low : of :func:`server_shares`, (outputs, N'), anything where nothing was sent
    secrets : ternary, (outputs, N')
    """
    phases = products_with_secrets(a, secrets, shape.a_values)
    out = np.empty(phases.shape, dtype=np.uint64)
    _reconcile(
        phases.reshape(-1),
        np.ascontiguousarray(low).reshape(-1),
        np.uint64(shape.plaintext_modulus),
        np.uint64(shape.a_values),
        np.uint64((shape.plaintext_modulus << 64) // shape.a_values),
        np.uint64(shape.low_bits),
        out.reshape(-1),
    )
    reduced: NDArray[np.uint64] = np.minimum(out, out - np.uint64(shape.plaintext_modulus))
    return reduced


def pack_a(values: NDArray[np.uint64], half_bits: int) -> bytes:
    """Return integers below R = floor(2^(h/2)), two at a time as x + R y in h bits.

    Raises
    ------
    ValueError
        If their number is odd or one is not below R.
    """
    radix = a_values(half_bits)
    if values.size % 2:
        raise ValueError(f"values has {values.size} integers; they are packed two at a time")
    if int(values.max(initial=0)) >= radix:
        raise ValueError(f"values has {int(values.max())}; it must be below {radix}")
    if half_bits <= _WORD_BITS:
        return pack_bits(values[::2] + np.uint64(radix) * values[1::2], half_bits)
    numbers = values.tolist()
    return pack_integers([x + radix * y for x, y in zip(numbers[::2], numbers[1::2], strict=True)], half_bits)


def unpack_a(data: bytes, count: int, half_bits: int) -> NDArray[np.uint64]:
    """Return the integers of :func:`pack_a`.

    Raises
    ------
    ValueError
        If the length is not exactly that of ``count`` integers, a padding bit is set or a pair is not below R^2.
    """
    radix = a_values(half_bits)
    if half_bits <= _WORD_BITS:
        packed = unpack_bits(data, count // 2, half_bits)
        _check_pair(int(packed.max(initial=0)), radix)
        return np.stack(np.divmod(packed, np.uint64(radix))[::-1], axis=-1).reshape(-1)
    pairs = unpack_integers(data, count // 2, half_bits)
    _check_pair(max(pairs, default=0), radix)
    return np.array([value for pair in pairs for value in (pair % radix, pair // radix)], dtype=np.uint64)


def _check_pair(largest: int, radix: int) -> None:
    if largest >= radix * radix:
        raise ValueError(f"data has the pair {largest}; it must be below {radix}^2")


@kernel
def _scale(b: NDArray[np.uint64], t: np.uint64, shift: np.uint64, out: NDArray[np.uint64]) -> None:
    """Set floor(t b/2^shift)."""
    for i in range(b.size):
        out[i] = (product_high(b[i], t) << (np.uint64(64) - shift)) | (b[i] * t >> shift)


@kernel
def _round(a: NDArray[np.uint64], radix: np.uint64, bits: np.uint64, out: NDArray[np.uint64]) -> None:
    half = _ONE << (bits - _ONE)
    for i in range(a.size):
        low, high = a[i] * radix, product_high(a[i], radix)
        total = low + half
        if total < low:
            high += _ONE
        rounded = (high << (np.uint64(64) - bits)) | (total >> bits)
        out[i] = min(rounded, rounded - radix)


@kernel
def _reconcile(
    phases: NDArray[np.uint64],
    low: NDArray[np.uint64],
    t: np.uint64,
    radix: np.uint64,
    reciprocal: np.uint64,
    bits: np.uint64,
    out: NDArray[np.uint64],
) -> None:
    """Set floor(t v/R + (2 low + 1)/2^(bits+1) + 1/2), with reciprocal = floor(t 2^64/R)."""
    half = _ONE << bits
    whole = radix << (bits + _ONE)
    for i in range(phases.size):
        quotient = product_high(phases[i], reciprocal)
        remainder = phases[i] * t - quotient * radix
        if remainder >= radix:
            quotient += _ONE
            remainder -= radix
        rest = (low[i] + low[i] + _ONE + half) * radix + (remainder << (bits + _ONE))
        if rest >= whole:
            quotient += _ONE
        if rest >= whole + whole:
            quotient += _ONE
        out[i] = quotient
