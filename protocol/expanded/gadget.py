"""Key switching and external products by the uppermost digits of residues modulo Q.

With a gadget of l digits of w bits, x modulo Q is rounded to v = round(2^(lw) x / Q) and v written in digits u_k from
[-2^(w-1), 2^(w-1)), so that sum_k u_k g_k = x up to Q/2^(lw+1), with g_k = round(Q 2^(wk) / 2^(lw)). A ciphertext of
x * m is then the sum over k of u_k times a ciphertext of g_k * m.

The fraction x/Q is kept in 128 bits, or 192 for more than 124 bits of digits, the sum of the limbs' y_i/q_i with
y_i = x (Q/q_i)^-1 mod q_i: limbs need no wider arithmetic, and digits cross them.

References
----------
.. [1] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421, section 3.2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Gadget
from protocol.expanded.products import Factors, Reduction, accumulate
from protocol.meter import Tally
from protocol.residue.ciphertext import SecretKey, sample_noise
from protocol.residue.compiled import inlined, kernel
from protocol.residue.modular import multiply_shoup, product_high, to_centred
from protocol.residue.multiply_accumulate import pack_halves
from protocol.residue.ntt import forward_canonical
from protocol.residue.ring import Ring, Tables
from protocol.residue.sampling import STANDARD_DEVIATION
from protocol.threads import ALONE, Threads

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_WORD = 64
_TWO_WORDS_BITS = 124


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


class Decomposition(NamedTuple):
    """Number and width of a gadget's digits, and what is added to x/Q, in words, the lowest first.

    That is half of the least fraction kept, and 2^(w-1) in every digit, which makes the digits unsigned.
    """

    digits: int
    bits: int
    constant: NDArray[np.uint64]

    @classmethod
    def of(cls, gadget: Gadget) -> Decomposition:
        """Return the constants of a gadget."""
        offsets = (((1 << gadget.kept_bits) - 1) // ((1 << gadget.bits) - 1)) << (gadget.bits - 1)
        words = 2 if gadget.kept_bits <= _TWO_WORDS_BITS else 3
        whole = _WORD * words
        constant = ((offsets << (whole - gadget.kept_bits)) + (1 << (whole - 1 - gadget.kept_bits))) % (1 << whole)
        parts = [constant >> (_WORD * k) & ((1 << _WORD) - 1) for k in range(words)]
        return cls(gadget.digits, gadget.bits, np.array(parts, dtype=np.uint64))


class Work(NamedTuple):
    """What :func:`multiply_digits` keeps of two rows: x/Q of every half, and the digits of all in one limb."""

    fractions: NDArray[np.uint64]
    digits: NDArray[np.uint64]


def external_products(
    coefficients: NDArray[np.uint64],
    gadget: Gadget,
    factors: Factors,
    tally: Tally | None = None,
    threads: Threads = ALONE,
) -> NDArray[np.uint64]:
    """Return the sums of digits times factors, (count, 2, limbs, N) in evaluation form.

    Parameters
    ----------
    coefficients : canonical, (count, halves, limbs, N)
    factors : one group of a block for every digit, those of the first half first
    tally : told of every product
    threads : share the products
    """
    ring = factors.ring
    count, halves, *_ = coefficients.shape
    if factors.blocks != halves * gadget.digits or factors.limbs.shape[2] != 1:
        raise ValueError(f"factors have {factors.blocks} blocks: {halves} times {gadget.digits} digits need as many")
    out: NDArray[np.uint64] = np.empty((1, count, 2, ring.limbs, ring.ring_degree), dtype=np.uint64)
    whole = np.ascontiguousarray(coefficients)
    constants = ring.tables, fraction_tables(ring), Decomposition.of(gadget), factors.limbs, factors.reduction

    def multiply(first: int, last: int) -> int:
        return _external_products(whole[first:last], *constants, out[:, first:last])

    (tally or Tally()).add(threads.share(multiply, count, grain=2))
    products: NDArray[np.uint64] = out[0]
    return products


class GadgetKey(NamedTuple):
    """A key from one secret to another: its gadget, and b and a of every digit as factors."""

    gadget: Gadget
    factors: Factors

    @classmethod
    def of(cls, ring: Ring, gadget: Gadget, b: NDArray[np.uint64], a: NDArray[np.uint64]) -> GadgetKey:
        """Prepare a key of halves (digits, limbs, N) in evaluation form."""
        return cls(gadget, Factors.of(ring, np.stack([b, a], axis=1)))

    def switch(
        self, coefficients: NDArray[np.uint64], tally: Tally | None = None, threads: Threads = ALONE
    ) -> NDArray[np.uint64]:
        """Return ciphertexts (count, 2, limbs, N) in evaluation form of polynomials (count, limbs, N) times s'.

        The tally is told of every key switch.
        """
        return external_products(coefficients[:, None], self.gadget, self.factors, tally, threads)


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
def _add_fraction(y: np.uint64, reciprocal: NDArray[np.uint64], lower: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the upper and lower word of y/q modulo one plus ``lower``, but for what the last word carries."""
    low = y * reciprocal[1]
    tail = product_high(y, reciprocal[2])
    high = y * reciprocal[0] + product_high(y, reciprocal[1])
    low += tail
    high += _ONE if low < tail else _ZERO
    total = lower + low
    return high + (_ONE if total < low else _ZERO), total


@kernel
def _add_fractions(
    x: NDArray[np.uint64],
    inverse: np.uint64,
    quotient: np.uint64,
    q: np.uint64,
    reciprocal: NDArray[np.uint64],
    fraction: NDArray[np.uint64],
) -> None:
    """Add x/q modulo one of residues to fractions (words, n), the lowest word first."""
    n = x.size
    lower, upper = fraction[fraction.shape[0] - 2], fraction[fraction.shape[0] - 1]
    if fraction.shape[0] == 2:
        for i in range(n):
            high, lower[i] = _add_fraction(multiply_shoup(x[i], inverse, quotient, q), reciprocal, lower[i])
            upper[i] += high
    else:
        last = fraction[0]
        for i in range(n):
            y = multiply_shoup(x[i], inverse, quotient, q)
            high, middle = _add_fraction(y, reciprocal, lower[i])
            low = y * reciprocal[2]
            total = last[i] + low
            carry = _ONE if total < low else _ZERO
            last[i] = total
            lower[i] = middle + carry
            upper[i] += high + (_ONE if lower[i] < carry else _ZERO)


@kernel
def _extract(fraction: NDArray[np.uint64], shift: int, bits: int, q: np.uint64, out: NDArray[np.uint64]) -> None:
    """Set the residues modulo q of the digits of so many bits that stand ``shift`` bits above the lowest."""
    mask = (_ONE << np.uint64(bits)) - _ONE
    half = _ONE << np.uint64(bits - 1)
    word, right = shift // _WORD, np.uint64(shift % _WORD)
    low = fraction[word]
    if shift % _WORD + bits <= _WORD:
        for i in range(out.size):
            centred = ((low[i] >> right) & mask) - half
            out[i] = min(centred, centred + q)
    else:
        high, left = fraction[word + 1], np.uint64(_WORD) - right
        for i in range(out.size):
            centred = (((high[i] << left) | (low[i] >> right)) & mask) - half
            out[i] = min(centred, centred + q)


@kernel
def new_work(halves: int, how: Decomposition, n: int) -> Work:
    """Return room for :func:`multiply_digits`."""
    return Work(
        np.empty((2 * halves, how.constant.size, n), np.uint64), np.empty((1, 2, halves * how.digits, n), np.uint64)
    )


@kernel
def multiply_digits(
    coefficients: NDArray[np.uint64],
    ring: Tables,
    fractions: FractionTables,
    how: Decomposition,
    factors: NDArray[np.uint64],
    reduction: Reduction,
    work: Work,
    offset: int,
    out: NDArray[np.uint64],
) -> int:
    """Set one or two columns of out (1, columns, 2, limbs, N) from ``offset`` on, in evaluation form; return how many.

    Parameters
    ----------
    coefficients : canonical, (1 or 2, halves, limbs, N)
    factors : (limbs, tiles, 1, 2, halves * digits, LANES)
    """
    rows, halves, limbs, _ = coefficients.shape
    made = 0
    for row in range(rows):
        made += 1
        for part in range(halves):
            fraction = work.fractions[row * halves + part]
            for word in range(how.constant.size):
                fraction[word] = how.constant[word]
            for limb in range(limbs):
                _add_fractions(
                    coefficients[row, part, limb],
                    fractions.inverses[limb],
                    fractions.quotients[limb],
                    ring.moduli[limb],
                    fractions.reciprocals[limb],
                    fraction,
                )
    for limb in range(limbs):
        for row in range(rows):
            for part in range(halves):
                fraction = work.fractions[row * halves + part]
                for digit in range(how.digits):
                    target = work.digits[0, row, part * how.digits + digit]
                    shift = _WORD * how.constant.size - how.bits * (how.digits - digit)
                    _extract(fraction, shift, how.bits, ring.moduli[limb], target)
                    forward_canonical(target, ring.roots[limb], ring.quotients[limb], ring.moduli[limb])
                    pack_halves(target, reduction.half[limb])
        accumulate(work.digits, factors[limb], reduction, limb, offset, out, 0, factors.shape[1])
    return made


@kernel
def _external_products(
    coefficients: NDArray[np.uint64],
    ring: Tables,
    fractions: FractionTables,
    how: Decomposition,
    factors: NDArray[np.uint64],
    reduction: Reduction,
    out: NDArray[np.uint64],
) -> int:
    """Return the products made."""
    made = 0
    count, halves, _, n = coefficients.shape
    work = new_work(halves, how, n)
    for first in range(0, count, 2):
        pair = coefficients[first : first + 2]
        made += multiply_digits(pair, ring, fractions, how, factors, reduction, work, first, out)
    return made
