"""Arithmetic modulo a prime below 2^61 on uint64, built from 32-bit halves so that compilers vectorise it.

Ranges are part of every function's contract: a *lazy* residue lies in [0, 8q), a *canonical* one in [0, q).

References
----------
.. [1] D. Harvey, "Faster arithmetic for number-theoretic transforms", J. Symb. Comput. 60 (2014), algorithm 4.
.. [2] P. Montgomery, "Modular multiplication without trial division", Math. Comp. 44 (1985).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.residue.compiled import inlined, kernel

MODULUS_BOUND = 1 << 61

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


def check_modulus(modulus: int) -> int:
    """Return an odd modulus in (2, 2^61), the range in which 8q fits in 64 bits.

    Raises
    ------
    ValueError
        If the modulus is even or outside that range.
    """
    if not 2 < modulus < MODULUS_BOUND or modulus % 2 == 0:
        raise ValueError(f"modulus {modulus}: the kernels take an odd one with 2 < q < 2^61")
    return modulus


def check_residues(residues: NDArray[np.uint64], moduli: tuple[int, ...]) -> None:
    """Refuse residues that are not canonical.

    Parameters
    ----------
    residues : uint64 array of shape (..., limbs, N)
    moduli : one modulus a limb

    Raises
    ------
    ValueError
        If the number of limbs differs or a residue is not below its modulus.
    """
    if residues.dtype != np.uint64 or residues.ndim < 2 or residues.shape[-2] != len(moduli):
        raise ValueError(
            f"residues of type {residues.dtype} and shape {residues.shape}: "
            f"need uint64 of shape (..., {len(moduli)}, N)"
        )
    for limb, modulus in enumerate(moduli):
        largest = int(residues[..., limb, :].max(initial=0))
        if largest >= modulus:
            raise ValueError(f"residue {largest} in limb {limb} is not below its modulus {modulus}")


@inlined
def product_high(x: np.uint64, y: np.uint64) -> np.uint64:
    """Return floor(x * y / 2^64), exactly.

    The cross products are added as twice their mean. Compilers know the usual ways of carrying for what they are, and
    make of them one multiplication of 128 bits, which has no vectors.
    """
    x0, x1 = x & _LOW, x >> _HALF
    y0, y1 = y & _LOW, y >> _HALF
    cross, other = x1 * y0, x0 * y1
    differing = cross ^ other
    mean = (cross & other) + (differing >> _ONE)
    carried = ((x0 * y0) >> _HALF) + (differing & _ONE)
    return x1 * y1 + ((mean + (carried >> _ONE)) >> np.uint64(31))


@inlined
def multiply_lazy(y: np.uint64, w: np.uint64, quotient: np.uint64, q: np.uint64) -> np.uint64:
    """Return y * w mod q in [0, 4q) for any uint64 y, w < q and quotient = floor(w * 2^64 / q).

    Harvey's [1]_ product with the high half short of two carries: the estimate of y*w/q then is
    up to 4 too small instead of 2, which saves a multiplication.
    """
    y0, y1 = y & _LOW, y >> _HALF
    w0, w1 = quotient & _LOW, quotient >> _HALF
    estimate = y1 * w1 + ((y1 * w0) >> _HALF) + ((y0 * w1) >> _HALF)
    return y * w - estimate * q


@inlined
def reduce_4q(x: np.uint64, q: np.uint64) -> np.uint64:
    """Return x mod q for x in [0, 4q)."""
    x = min(x, x - (q + q))
    return min(x, x - q)


@inlined
def reduce_8q(x: np.uint64, q: np.uint64) -> np.uint64:
    """Return x mod q for x in [0, 8q)."""
    q2 = q + q
    x = min(x, x - (q2 + q2))
    x = min(x, x - q2)
    return min(x, x - q)


@inlined
def multiply_shoup(y: np.uint64, w: np.uint64, quotient: np.uint64, q: np.uint64) -> np.uint64:
    """Return y * w mod q, canonical, for any uint64 y, w < q and quotient = floor(w * 2^64 / q)."""
    return reduce_4q(multiply_lazy(y, w, quotient, q), q)


@inlined
def reduce_montgomery(high: np.uint64, low: np.uint64, q: np.uint64, q_inverse: np.uint64) -> np.uint64:
    """Return (high * 2^64 + low) / 2^64 mod q, canonical, for high < q and q_inverse = q^-1 mod 2^64 [2]_."""
    x = high - product_high(low * q_inverse, q)
    return min(x, x + q)


@kernel
def _shoup_quotients(w: NDArray[np.uint64], q: np.uint64, out: NDArray[np.uint64]) -> None:
    for i in range(w.size):
        remainder = w[i]
        quotient = _ZERO
        for _ in range(64):
            remainder += remainder
            reduced = min(remainder, remainder - q)
            quotient += quotient + (_ONE if reduced != remainder else _ZERO)
            remainder = reduced
        out[i] = quotient


def shoup_quotients(factors: NDArray[np.uint64], modulus: int) -> NDArray[np.uint64]:
    """Return floor(w * 2^64 / q) for canonical factors w, the precomputation of :func:`multiply_shoup`."""
    flat = np.ascontiguousarray(factors, dtype=np.uint64).reshape(-1)
    out = np.empty_like(flat)
    _shoup_quotients(flat, np.uint64(check_modulus(modulus)), out)
    return out.reshape(np.shape(factors))


def montgomery_inverse(modulus: int) -> int:
    """Return q^-1 mod 2^64, the constant of :func:`reduce_montgomery`."""
    return pow(check_modulus(modulus), -1, 1 << 64)


@kernel
def _multiply(
    x: NDArray[np.uint64],
    y: NDArray[np.uint64],
    q: np.uint64,
    q_inverse: np.uint64,
    radix_squared: np.uint64,
    out: NDArray[np.uint64],
) -> None:
    for i in range(x.size):
        product = reduce_montgomery(product_high(x[i], y[i]), x[i] * y[i], q, q_inverse)
        out[i] = reduce_montgomery(product_high(product, radix_squared), product * radix_squared, q, q_inverse)


def multiply(x: NDArray[np.uint64], y: NDArray[np.uint64], modulus: int) -> NDArray[np.uint64]:
    """Return x * y mod q, elementwise with broadcasting, of canonical residues."""
    left, right = np.broadcast_arrays(x, y)
    out = np.empty(left.shape, dtype=np.uint64)
    _multiply(
        np.ascontiguousarray(left).reshape(-1),
        np.ascontiguousarray(right).reshape(-1),
        np.uint64(modulus),
        np.uint64(montgomery_inverse(modulus)),
        np.uint64((1 << 128) % modulus),
        out.reshape(-1),
    )
    return out


@kernel
def _multiply_prepared(
    x: NDArray[np.uint64],
    w: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    q: np.uint64,
    out: NDArray[np.uint64],
) -> None:
    for row in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[row, i] = multiply_shoup(x[row, i], w[i], quotients[i], q)


def multiply_prepared(
    x: NDArray[np.uint64], factors: NDArray[np.uint64], quotients: NDArray[np.uint64], modulus: int
) -> NDArray[np.uint64]:
    """Return x * w mod q along the last axis, for factors w with their :func:`shoup_quotients`."""
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    if factors.shape != (x.shape[-1],) or quotients.shape != factors.shape:
        raise ValueError(f"factors of shape {factors.shape} for residues of shape {x.shape}")
    out = np.empty_like(rows)
    _multiply_prepared(rows, factors, quotients, np.uint64(check_modulus(modulus)), out)
    return out.reshape(x.shape)


def add(x: NDArray[np.uint64], y: NDArray[np.uint64], modulus: int) -> NDArray[np.uint64]:
    """Return x + y mod q of canonical residues."""
    total = x + y
    reduced: NDArray[np.uint64] = np.minimum(total, total - np.uint64(modulus))
    return reduced


def subtract(x: NDArray[np.uint64], y: NDArray[np.uint64], modulus: int) -> NDArray[np.uint64]:
    """Return x - y mod q of canonical residues."""
    difference = x - y
    reduced: NDArray[np.uint64] = np.minimum(difference, difference + np.uint64(modulus))
    return reduced


def from_signed(values: NDArray[np.int64], modulus: int) -> NDArray[np.uint64]:
    """Return the canonical residues of signed integers of any size."""
    return np.asarray(np.mod(values, np.int64(modulus)), dtype=np.uint64)


def to_centred(residues: NDArray[np.uint64], modulus: int) -> NDArray[np.int64]:
    """Return the representatives in [-(q-1)/2, (q-1)/2] of canonical residues of an odd modulus."""
    signed = residues.astype(np.int64)
    return np.where(signed > modulus // 2, signed - np.int64(modulus), signed)
