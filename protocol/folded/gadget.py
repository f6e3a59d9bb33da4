"""Key switching and external products by the uppermost digits of residues modulo Q.

With a gadget of l digits of w bits, x modulo Q is rounded to v = round(2^(lw) x / Q) and v written in digits u_k from
[-2^(w-1), 2^(w-1)), so that sum_k u_k g_k = x up to Q/2^(lw+1), with g_k = round(Q 2^(wk) / 2^(lw)). A ciphertext of
x * m is then the sum over k of u_k times a ciphertext of g_k * m.

The fraction x/Q is kept in 128 bits, the sum of the limbs' y_i/q_i with y_i = x (Q/q_i)^-1 mod q_i: limbs need no
wider arithmetic, and digits cross them.

References
----------
.. [1] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421, section 3.2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.folded_parameters import Gadget
from protocol.folded.products import Factors, sums_of_products
from protocol.residue.ciphertext import SecretKey, sample_noise
from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import multiply_shoup, product_high, reduce_8q, to_centred
from protocol.residue.ntt import forward_lazy
from protocol.residue.ring import Ring, Tables
from protocol.residue.sampling import STANDARD_DEVIATION

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_WORD = 64
_CACHE_BYTES = 1 << 19


class FractionTables(NamedTuple):
    """Constants of x/Q by limb: (Q/q)^-1 mod q with Shoup's quotient, and 2^192/q in three words, uppermost first."""

    inverses: NDArray[np.uint64]
    quotients: NDArray[np.uint64]
    reciprocals: NDArray[np.uint64]


@lru_cache(maxsize=16)
def fraction_tables(ring: Ring) -> FractionTables:
    """Return the constants of a ring."""
    inverses = [pow(ring.modulus // q, -1, q) for q in ring.moduli]
    words = [[((1 << 192) // q >> shift) & ((1 << _WORD) - 1) for shift in (128, 64, 0)] for q in ring.moduli]
    return FractionTables(
        np.array(inverses, dtype=np.uint64),
        np.array([(x << _WORD) // q for x, q in zip(inverses, ring.moduli, strict=True)], dtype=np.uint64),
        np.array(words, dtype=np.uint64),
    )


def gadget_elements(modulus: int, gadget: Gadget) -> list[int]:
    """Return g_k = round(Q 2^(wk) / 2^(lw)) of every digit, the lowest first."""
    scale = 1 << gadget.kept_bits
    return [((2 * modulus << (gadget.bits * k)) // scale + 1) // 2 for k in range(gadget.digits)]


def decompose(coefficients: NDArray[np.uint64], ring: Ring, gadget: Gadget) -> NDArray[np.uint64]:
    """Return the digits of polynomials in evaluation form.

    Parameters
    ----------
    coefficients : canonical, (count, halves, limbs, N)

    Returns
    -------
    (limbs, count, halves * digits, N), canonical: a row of digits for :func:`sums_of_products`
    """
    count, halves = coefficients.shape[:2]
    out = np.empty((ring.limbs, count, halves * gadget.digits, ring.ring_degree), dtype=np.uint64)
    rounding = (((1 << (gadget.kept_bits)) - 1) // ((1 << gadget.bits) - 1)) << (gadget.bits - 1)
    constant = ((rounding << (128 - gadget.kept_bits)) + (1 << (127 - gadget.kept_bits))) % (1 << 128)
    _decompose(
        np.ascontiguousarray(coefficients),
        ring.tables,
        fraction_tables(ring),
        gadget.digits,
        gadget.bits,
        np.uint64(constant >> _WORD),
        np.uint64(constant & ((1 << _WORD) - 1)),
        out,
    )
    return out


def rows_in_cache(ring: Ring, digits: int) -> int:
    """Return how many rows of so many digits stay in a core's cache until they are multiplied, two at least."""
    return max(2, _CACHE_BYTES // (8 * digits * ring.limbs * ring.ring_degree))


class GadgetKey(NamedTuple):
    """A key from one secret to another: b and a of every digit, (2, digits, limbs, N), and their prepared form."""

    gadget: Gadget
    factors: Factors

    @classmethod
    def of(cls, ring: Ring, gadget: Gadget, b: NDArray[np.uint64], a: NDArray[np.uint64]) -> GadgetKey:
        """Prepare a key of halves (digits, limbs, N) in evaluation form."""
        return cls(gadget, Factors.scaled(ring, np.stack([b, a])))

    def switch(self, coefficients: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return ciphertexts (count, 2, limbs, N) in evaluation form of polynomials (count, limbs, N) times s'."""
        ring = self.factors.ring
        return sums_of_products(decompose(coefficients[:, None], ring, self.gadget), self.factors)


def generate_key(
    secret: SecretKey,
    source: NDArray[np.uint64],
    gadget: Gadget,
    a: NDArray[np.uint64],
    standard_deviation: float = STANDARD_DEVIATION,
) -> NDArray[np.uint64]:
    """Return the b of a fresh key that switches from ``source`` to ``secret``.

    Parameters
    ----------
    source : s' of small coefficients in evaluation form, (limbs, N)
    a : uniform, in evaluation form, (digits, limbs, N); each may be used once only

    Returns
    -------
    b = e + round(g_k s') - a s in evaluation form, (digits, limbs, N)
    """
    ring = secret.ring
    noise = ring.forward(sample_noise(ring, (len(a),), standard_deviation))
    return ring.add(ring.subtract(noise, secret.multiply(a)), _gadget_multiples(ring, source, gadget))


def _gadget_multiples(ring: Ring, source: NDArray[np.uint64], gadget: Gadget) -> NDArray[np.uint64]:
    """Return round(Q 2^(wk) / 2^(lw) * s') of every digit in evaluation form, (digits, limbs, N).

    Rounded after the product, a coefficient of s' at a time: with g_k rounded before, its error would meet the digits
    through all of s', which for s^2 is more than the key's noise.
    """
    coefficients = ring.inverse(source)
    values, index = np.unique(to_centred(coefficients[0], ring.moduli[0]), return_inverse=True)
    shift = gadget.kept_bits
    rows = []
    for k in range(gadget.digits):
        scale = ring.modulus << (gadget.bits * k + 1)
        rounded = [(int(value) * scale + (1 << shift)) >> (shift + 1) for value in values]
        residues = np.array([[x % q for x in rounded] for q in ring.moduli], dtype=np.uint64)
        rows.append(residues[:, index.reshape(-1)])
    return ring.forward(np.stack(rows))


@inlined
def _fraction(y: np.uint64, reciprocal: NDArray[np.uint64]) -> tuple[np.uint64, np.uint64]:
    """Return the upper and lower word of y/q modulo one."""
    low = y * reciprocal[1]
    tail = product_high(y, reciprocal[2])
    high = y * reciprocal[0] + product_high(y, reciprocal[1])
    low += tail
    high += _ONE if low < tail else _ZERO
    return high, low


@kernel
def _decompose(
    coefficients: NDArray[np.uint64],
    ring: Tables,
    fractions: FractionTables,
    digits: int,
    bits: int,
    constant_high: np.uint64,
    constant_low: np.uint64,
    out: NDArray[np.uint64],
) -> None:
    count, halves, limbs, n = coefficients.shape
    upper, lower = np.empty(n, np.uint64), np.empty(n, np.uint64)
    mask = (_ONE << np.uint64(bits)) - _ONE
    half = _ONE << np.uint64(bits - 1)
    for row in range(count):
        for part in range(halves):
            upper[:] = constant_high
            lower[:] = constant_low
            for limb in range(limbs):
                q, inverse, quotient = ring.moduli[limb], fractions.inverses[limb], fractions.quotients[limb]
                reciprocal = fractions.reciprocals[limb]
                x = coefficients[row, part, limb]
                for i in range(n):
                    high, low = _fraction(multiply_shoup(x[i], inverse, quotient, q), reciprocal)
                    total = lower[i] + low
                    upper[i] += high + (_ONE if total < low else _ZERO)
                    lower[i] = total
            for digit in range(digits):
                shift = 128 - bits * (digits - digit)
                first = out[0, row, part * digits + digit]
                if shift >= 64:
                    right = np.uint64(shift - 64)
                    for i in range(n):
                        first[i] = (upper[i] >> right) & mask
                else:
                    right, left = np.uint64(shift), np.uint64(64 - shift)
                    for i in range(n):
                        first[i] = ((upper[i] << left) | (lower[i] >> right)) & mask
                for limb in range(limbs - 1, -1, -1):
                    q = ring.moduli[limb]
                    target = out[limb, row, part * digits + digit]
                    for i in range(n):
                        centred = first[i] - half
                        target[i] = min(centred, centred + q)
                    forward_lazy(target, ring.roots[limb], ring.quotients[limb], q)
                    for i in range(n):
                        target[i] = reduce_8q(target[i], q)
