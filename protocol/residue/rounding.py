"""Exact scaling between residues modulo Q and integers modulo t: the encoding of BFV and the switch of modulus.

References
----------
.. [1] J. Fan, F. Vercauteren, "Somewhat practical fully homomorphic encryption", ePrint 2012/144.
.. [2] S. Halevi, Y. Polyakov, V. Shoup, "An improved RNS variant of the BFV homomorphic encryption scheme",
   CT-RSA 2019, section 2.2 (here with the fractions added exactly).
.. [3] J. H. Cheon, K. Han, A. Kim, M. Kim, Y. Song, "A full RNS variant of approximate homomorphic encryption",
   SAC 2018, section 3.2 (dropping a limb of what is in evaluation form).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import multiply_shoup, product_high, reduce_8q
from protocol.residue.ntt import forward_lazy, inverse_canonical
from protocol.residue.ring import Ring, Tables
from protocol.threads import ALONE, Threads

_ONE = np.uint64(1)
_ZERO = np.uint64(0)


def scale_up(values: NDArray[np.uint64], ring: Ring, modulus: int) -> NDArray[np.uint64]:
    """Return round(Q * m / t) mod Q for integers m modulo t.

    Parameters
    ----------
    values : m in [0, t), of shape (..., N)
    modulus : t, at least 2 and below every limb, of any parity

    Returns
    -------
    residues of shape (..., limbs, N); for odd Q no rounding is tied

    Raises
    ------
    ValueError
        If t is out of range or a value is not below it.
    """
    _check(ring, modulus)
    largest = int(values.max(initial=0))
    if largest >= modulus:
        raise ValueError(f"value {largest} is not below the modulus {modulus}")
    flat = np.ascontiguousarray(values, dtype=np.uint64).reshape(-1)
    factor = ring.modulus % modulus
    limbs = []
    for q in ring.moduli:
        inverse = pow(modulus, -1, q)
        out = np.empty_like(flat)
        _scale_up(
            flat,
            np.uint64(factor),
            np.uint64((factor << 64) // modulus),
            np.uint64(modulus),
            np.uint64(inverse),
            np.uint64((inverse << 64) // q),
            np.uint64(q),
            out,
        )
        limbs.append(out.reshape(values.shape))
    return np.stack(limbs, axis=-2)


def scale_down(residues: NDArray[np.uint64], ring: Ring, modulus: int) -> NDArray[np.uint64]:
    """Return round(t * x / Q) mod t for residues x modulo Q.

    Parameters
    ----------
    residues : canonical, of shape (..., limbs, N)
    modulus : t, at least 2 and below every limb, of any parity

    Returns
    -------
    integers in [0, t), of shape (..., N)

    Raises
    ------
    ValueError
        If t is out of range, or there are more than two limbs.
    """
    _check(ring, modulus)
    if ring.limbs > 2:
        raise ValueError(f"ring of {ring.limbs} limbs: drop one, two at most are scaled")
    t = np.uint64(modulus)
    limbs = [np.ascontiguousarray(residues[..., i, :]).reshape(-1) for i in range(ring.limbs)]
    out = np.empty_like(limbs[0])
    reciprocals = [np.uint64((modulus << 64) // q) for q in ring.moduli]
    q = [np.uint64(q) for q in ring.moduli]
    if ring.limbs == 1:
        _scale_down_one(limbs[0], t, reciprocals[0], q[0], out)
    else:
        inverses = [pow(ring.modulus // m, -1, m) for m in ring.moduli]
        quotients = [np.uint64((inverse << 64) // m) for inverse, m in zip(inverses, ring.moduli, strict=True)]
        _scale_down_two(
            limbs[0],
            limbs[1],
            t,
            (reciprocals[0], reciprocals[1]),
            (np.uint64(inverses[0]), np.uint64(inverses[1])),
            (quotients[0], quotients[1]),
            (q[0], q[1]),
            out,
        )
    return out.reshape(residues.shape[:-2] + residues.shape[-1:])


class Division(NamedTuple):
    """Constants of the division by a limb that goes.

    Attributes
    ----------
    moduli : of the limbs that stay and of the one that goes, the last
    reciprocals : floor(2^64/q), Shoup's quotient of one
    inverses, quotients : of the limb that goes modulo every q, with Shoup's quotients
    """

    moduli: NDArray[np.uint64]
    reciprocals: NDArray[np.uint64]
    inverses: NDArray[np.uint64]
    quotients: NDArray[np.uint64]

    @classmethod
    def of(cls, moduli: tuple[int, ...]) -> Division:
        """Return the constants of dividing by the last of some moduli."""
        *kept, last = moduli
        inverses = [pow(last, -1, q) for q in kept]
        return cls(
            np.array(moduli, dtype=np.uint64),
            np.array([(1 << 64) // q for q in kept], dtype=np.uint64),
            np.array(inverses, dtype=np.uint64),
            np.array([(inverse << 64) // q for inverse, q in zip(inverses, kept, strict=True)], dtype=np.uint64),
        )


def drop_limbs(residues: NDArray[np.uint64], ring: Ring, kept: int) -> NDArray[np.uint64]:
    """Return round(x / q) modulo the first limbs for residues x modulo Q, q the product of the limbs that go.

    Parameters
    ----------
    residues : coefficients, canonical, of shape (..., limbs, N)
    kept : how many limbs stay

    Returns
    -------
    residues of shape (..., kept, N)
    """
    left = np.ascontiguousarray(residues).reshape(-1, *residues.shape[-2:])
    for index in range(ring.limbs - 1, kept - 1, -1):
        out = np.empty((len(left), index, left.shape[-1]), dtype=np.uint64)
        _drop_last(left, Division.of(ring.moduli[: index + 1]), out)
        left = out
    return left.reshape(*residues.shape[:-2], *left.shape[-2:])


def drop_limbs_of_values(
    values: NDArray[np.uint64], ring: Ring, kept: int, tally: Tally | None = None, threads: Threads = ALONE
) -> NDArray[np.uint64]:
    """Return what :func:`drop_limbs` gives of the coefficients, of polynomials in evaluation form.

    x less its centred residue c modulo the limb that goes is a multiple of it. Only c is needed as coefficients: one
    transform back, and one forth for every limb that stays [3]_.

    Parameters
    ----------
    values : canonical, of shape (..., limbs, N)
    kept : how many limbs stay
    tally : told of every polynomial that loses limbs
    threads : share the polynomials

    Returns
    -------
    values of shape (..., kept, N)
    """
    left = np.ascontiguousarray(values).reshape(-1, *values.shape[-2:])
    for index in range(ring.limbs - 1, kept - 1, -1):
        out = np.empty((len(left), index, left.shape[-1]), dtype=np.uint64)
        met = left, ring.tables, Division.of(ring.moduli[: index + 1]), out
        dropped = threads.share(partial(_drop_last_of_values, *met), len(left))
        (tally or Tally()).add(dropped, parts=ring.limbs - kept)
        left = out
    return left.reshape(*values.shape[:-2], *left.shape[-2:])


def compile_dropping() -> None:
    """Compile what :func:`drop_limbs_of_values` applies, and :func:`scale_down` of two limbs and of the one left."""
    ring, two = Ring(16, (97, 193), (19, 8)), np.zeros((1, 2, 16), dtype=np.uint64)
    scale_down(two, ring, 2)
    scale_down(drop_limbs_of_values(two, ring, 1), ring.first(1), 2)


def _check(ring: Ring, modulus: int) -> None:
    if not 2 <= modulus < min(ring.moduli):
        raise ValueError(f"modulus {modulus}: need 2 <= t < {min(ring.moduli)}, the smallest limb")


@kernel
def _drop_last(x: NDArray[np.uint64], division: Division, out: NDArray[np.uint64]) -> None:
    """Write (x + h - (x + h mod q)) / q = round(x / q), (rows, limbs, n), with q the last limb and h = floor(q/2)."""
    rows, limbs, n = out.shape
    last = division.moduli[limbs]
    half = last >> _ONE
    for row in range(rows):
        for limb in range(limbs):
            q, reciprocal = division.moduli[limb], division.reciprocals[limb]
            inverse, quotient = division.inverses[limb], division.quotients[limb]
            shift = half % q
            for i in range(n):
                lifted = x[row, limbs, i] + half
                remainder = multiply_shoup(min(lifted, lifted - last), _ONE, reciprocal, q)
                difference = x[row, limb, i] + shift + (q - remainder)  # below 3q
                out[row, limb, i] = multiply_shoup(difference, inverse, quotient, q)


@kernel
def _drop_last_of_values(
    x: NDArray[np.uint64],
    ring: Tables,
    division: Division,
    out: NDArray[np.uint64],
    first_row: int,
    last_row: int,
) -> int:
    """Do the same of rows in evaluation form, where (x + h mod q) - h is transformed; return the rows."""
    dropped = 0
    _, limbs, n = out.shape
    last = division.moduli[limbs]
    half = last >> _ONE
    residues, centred = np.empty(n, np.uint64), np.empty(n, np.uint64)
    for row in range(first_row, last_row):
        residues[:] = x[row, limbs]
        inverse_canonical(
            residues,
            ring.inverse_roots[limbs],
            ring.inverse_quotients[limbs],
            ring.degree_inverse[limbs],
            ring.degree_inverse_quotient[limbs],
            last,
        )
        for limb in range(limbs):
            q, reciprocal = division.moduli[limb], division.reciprocals[limb]
            inverse, quotient = division.inverses[limb], division.quotients[limb]
            shift = q - half % q
            for i in range(n):
                lifted = residues[i] + half
                centred[i] = multiply_shoup(min(lifted, lifted - last), _ONE, reciprocal, q) + shift
            forward_lazy(centred, ring.roots[limb], ring.quotients[limb], q)
            source, target = x[row, limb], out[row, limb]
            for i in range(n):
                target[i] = multiply_shoup(source[i] + q - reduce_8q(centred[i], q), inverse, quotient, q)
        dropped += 1
    return dropped


@kernel
def _scale_up(
    values: NDArray[np.uint64],
    factor: np.uint64,
    factor_quotient: np.uint64,
    t: np.uint64,
    inverse: np.uint64,
    inverse_quotient: np.uint64,
    q: np.uint64,
    out: NDArray[np.uint64],
) -> None:
    half = t >> _ONE
    for i in range(values.size):
        # t * round(Q*m/t) = Q*m + half - remainder, and Q vanishes modulo q
        remainder = multiply_shoup(values[i], factor, factor_quotient, t) + half
        remainder = min(remainder, remainder - t)
        difference = half - remainder
        out[i] = multiply_shoup(min(difference, difference + q), inverse, inverse_quotient, q)


@inlined
def _divide(x: np.uint64, t: np.uint64, reciprocal: np.uint64, q: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return quotient and remainder of t * x by q, for x < q and reciprocal = floor(t * 2^64 / q)."""
    quotient = product_high(x, reciprocal)
    remainder = x * t - quotient * q
    above = remainder >= q
    return (quotient + _ONE, remainder - q) if above else (quotient, remainder)


@kernel
def _scale_down_one(
    x: NDArray[np.uint64], t: np.uint64, reciprocal: np.uint64, q: np.uint64, out: NDArray[np.uint64]
) -> None:
    for i in range(x.size):
        quotient, remainder = _divide(x[i], t, reciprocal, q)
        if remainder > q >> _ONE:
            quotient += _ONE
        out[i] = min(quotient, quotient - t)


@kernel
def _scale_down_two(
    x0: NDArray[np.uint64],
    x1: NDArray[np.uint64],
    t: np.uint64,
    reciprocals: tuple[np.uint64, np.uint64],
    inverses: tuple[np.uint64, np.uint64],
    quotients: tuple[np.uint64, np.uint64],
    q: tuple[np.uint64, np.uint64],
    out: NDArray[np.uint64],
) -> None:
    q0, q1 = q
    half_high, half_low = product_high(q0, q1) >> _ONE, (q0 * q1) >> _ONE
    if product_high(q0, q1) & _ONE:
        half_low |= _ONE << np.uint64(63)
    whole_high, whole_low = product_high(q0, q1), q0 * q1
    for i in range(x0.size):
        # x/Q is the fractional part of y0/q0 + y1/q1 with y = x * (Q/q)^-1 mod q
        f0, r0 = _divide(multiply_shoup(x0[i], inverses[0], quotients[0], q0), t, reciprocals[0], q0)
        f1, r1 = _divide(multiply_shoup(x1[i], inverses[1], quotients[1], q1), t, reciprocals[1], q1)
        low = r0 * q1
        high = product_high(r0, q1)
        addend = r1 * q0
        low += addend
        high += product_high(r1, q0) + (_ONE if low < addend else _ZERO)
        total = f0 + f1
        if high > whole_high or (high == whole_high and low >= whole_low):
            total += _ONE
            borrow = _ONE if low < whole_low else _ZERO
            high -= whole_high + borrow
            low -= whole_low
        if high > half_high or (high == half_high and low > half_low):
            total += _ONE
        total = min(total, total - t)
        out[i] = min(total, total - t)
