"""Noise that all expanded queries have: of the expansion, of encrypted bits and of answers; formulas broadcast.

Written for ternary secrets of variance 2/3 a coefficient, as variances of the phase error. A polynomial's *energy* is
the sum of the variances of its N coefficients; a product of two polynomials has, at every coefficient, the energy of
one times the mean square of the other's coefficients.

Expansion. Level i = 0..L-1 (L = log2 N) applies X -> X^(N/2^i + 1) and adds: the phase at the coefficients that are
kept is doubled, and its energy grows by two in the mean. A key switch of variance V_i thus leaves N V_i 2^(L-1-i) in a
leaf, V_i 4^(L-1-i) of it at the constant coefficient, which also holds N times the encryption's error and the rounding
of N*b.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018, section 3.3 (expansion).
.. [2] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421 (gadget and external products).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.answers import (
    a_rounding_variance,
    cells_squared,
    modulus_rounding_variance,
    share_limit,
    shared_switch_variance,
)
from costmodel.expanded.parameters import Columns
from costmodel.flooding import log2_bound, mean_square
from costmodel.noise import TERNARY_VARIANCE, public_key_encryption_variance

Floats = NDArray[np.float64]


def gadget_switch_variance(
    N: ArrayLike,
    log2_q: ArrayLike,
    digits: ArrayLike,
    digit_bits: ArrayLike,
    sigma: ArrayLike,
    source_variance: ArrayLike = TERNARY_VARIANCE,
) -> Any:
    """Variance that a key switch by the uppermost digits adds: N (l sigma^2 B^2 + v (Q/B^l)^2)/12.

    Parameters
    ----------
    N : array_like of int
        Ring degree.
    log2_q : array_like of float
        Bits of the modulus.
    digits, digit_bits : array_like of int
        l digits of base B = 2^digit_bits.
    sigma : array_like of float
        Noise of the key.
    source_variance : array_like of float
        v, variance of a coefficient of the source secret, which meets what the digits leave out: 2/3 for a ternary one,
        8N/9 for its square.
    """
    count, bits = _float(digits), _float(digit_bits)
    keys = count * np.square(_float(sigma)) * np.exp2(2.0 * bits)
    left_out = _float(source_variance) * np.exp2(2.0 * (_float(log2_q) - count * bits))
    return (_float(N) * (keys + left_out) / 12.0)[()]


def query_rounding_variance(log2_q: ArrayLike, sent_bits: ArrayLike) -> Any:
    """Variance of N*b rounded to 2^sent_bits values: (Q/2^sent_bits)^2/12."""
    return (np.exp2(2.0 * (_float(log2_q) - _float(sent_bits))) / 12.0)[()]


def levels_after(levels: Floats) -> Floats:
    """Number of levels after each, along the first axis."""
    found: Floats = np.arange(len(levels) - 1.0, -1.0, -1.0, dtype=np.float64).reshape(-1, *(1,) * (levels.ndim - 1))
    return found


class LeafNoise(NamedTuple):
    """Noise of an expanded coefficient: its constant coefficient's variance, and the energy of the others."""

    constant: Any
    others: Any


def leaf_noise(N: ArrayLike, sigma: ArrayLike, rounding: ArrayLike, switches: ArrayLike) -> LeafNoise:
    """Noise of a leaf of the expansion.

    Parameters
    ----------
    N, sigma : array_like
        Ring degree and encryption noise.
    rounding : array_like of float
        Variance of the rounded N*b.
    switches : array_like of float
        V_i by level, (levels, ...).
    """
    variances = _float(switches)
    after = levels_after(variances)
    constant = np.sum(variances * np.exp2(2.0 * after), axis=0)
    energy = np.sum(_float(N) * variances * np.exp2(after), axis=0)
    fresh = np.square(_float(N) * _float(sigma)) + _float(rounding)
    return LeafNoise((fresh + constant)[()], (energy - constant)[()])


def fold_variance(
    N: ArrayLike, log2_q: ArrayLike, digits: ArrayLike, digit_bits: ArrayLike, leaf: LeafNoise, square_switch: ArrayLike
) -> Any:
    """Variance that one external product adds.

    The l digits of each of both halves meet rows of energy E (the leaves) and N (2/3 E + V) (s times the leaf, its a
    switched from s^2 with variance V); what the digits leave out meets the bit itself, which is taken to be one:

        l B^2/12 (E + N (2/3 E + V)) + (Q/B^l)^2/12 (1 + 2N/3).
    """
    count, bits, degree = _float(digits), _float(digit_bits), _float(N)
    energy = _float(leaf.constant) + _float(leaf.others)
    rows = energy + degree * (TERNARY_VARIANCE * energy + _float(square_switch))
    left_out = np.exp2(2.0 * (_float(log2_q) - count * bits)) * (1.0 + TERNARY_VARIANCE * degree)
    return ((count * np.exp2(2.0 * bits) * rows + left_out) / 12.0)[()]


def square_secret_variance(N: ArrayLike) -> Any:
    """Variance of a coefficient of s^2 for ternary s, N/2 products of pairs that come twice each: 2N (2/3)^2."""
    return (2.0 * _float(N) * TERNARY_VARIANCE**2)[()]


def dropped_limb_variance(N: ArrayLike, limbs: ArrayLike) -> Any:
    """Variance of rounding both elements to the first of two limbs, (1 + 2N/3)/12; none with one limb."""
    return (np.where(np.asarray(limbs) > 1, 1.0, 0.0) * (1.0 + TERNARY_VARIANCE * _float(N)) / 12.0)[()]


SECRET_PEAK_MARGIN = 1.5
"""Over ln(N/2), where the largest value of a random secret at the roots lies, squared, over the mean."""


def secret_peak(degree: ArrayLike) -> Floats:
    """Bound of a secret's value at any root of X^N + 1, squared, over its mean 2N/3: ln(N/2) + 1.5."""
    found: Floats = np.log(_float(degree) / 2.0) + SECRET_PEAK_MARGIN
    return found[()]


def expansion_variances(columns: Columns) -> Floats:
    """V_i of every level of the expansion, (levels, ...); 0 at levels that a ring does not have."""
    gadget = columns.expansion
    noise = gadget_switch_variance(columns.degree, columns.log2_q, gadget.digits, gadget.bits, columns.sigma)
    found: Floats = np.where(gadget.digits > 0, noise * columns.level_repetitions(), 0.0)
    return found


def bit_noise(columns: Columns, sent_bits: ArrayLike) -> LeafNoise:
    """Noise of an expanded coefficient of which so many bits of N*b are sent."""
    rounding = query_rounding_variance(columns.log2_q, sent_bits)
    return leaf_noise(columns.degree, columns.sigma, rounding, expansion_variances(columns))


def square_switch_variance(columns: Columns) -> Floats:
    """Variance of the key switch from s^2."""
    secret = square_secret_variance(columns.degree)
    found: Floats = gadget_switch_variance(
        columns.degree, columns.log2_q, columns.square.digits, columns.square.bits, columns.sigma, secret
    )
    return found


class AnswerNoise(NamedTuple):
    """Variances over Q^2 that an answer adds to what it is made of.

    Attributes
    ----------
    switch : rounding to the answer's modulus, and the key switch to secrets of degree N'
    rounding : of a
    low_bits : of b, in what can be measured of an answer; correctness has it in the limit
    """

    switch: Floats
    rounding: Floats
    low_bits: Floats


def answer_noise(columns: Columns) -> AnswerNoise:
    """Noise of the answers of columns; see :mod:`costmodel.answers`."""
    p = columns
    gadget = p.ring_switch
    switch = shared_switch_variance(
        p.answer_degree, p.answer_modulus_bits, p.answer_parts, p.answer_together, gadget.digits, gadget.bits, p.sigma
    )
    units = modulus_rounding_variance(p.degree) + np.where(p.switches_ring > 0, switch, 0.0)
    rounding = a_rounding_variance(p.answer_degree, 1, p.answer_half_bits)
    low_bits = np.exp2(-2.0 * p.answer_low_bits) / (12.0 * np.square(_float(p.plaintext_modulus)))
    return AnswerNoise(cells_squared(units, 1, p.answer_modulus_bits), rounding, low_bits)


def answer_limit(columns: Columns) -> Floats:
    """Error over Q below which shares are right: that of the low bits, less the bound of the flooding."""
    flooding = np.exp2(log2_bound(columns.flooding_log2_width) - columns.result_log2_q)
    limit = share_limit(columns.answer_low_bits) / columns.plaintext_modulus
    found: Floats = limit - np.where(columns.flooded > 0, flooding, 0.0)
    return found


def encryption_of_zero_variance(columns: Columns) -> Floats:
    """Variance over Q^2 of the fresh public-key encryption of zero that flooded answers take on."""
    zero = public_key_encryption_variance(columns.sigma, columns.degree) * np.exp2(-2.0 * columns.result_log2_q)
    found: Floats = np.where(columns.flooded > 0, zero, 0.0)
    return found


def flooding_variance(columns: Columns) -> Floats:
    """Variance over Q^2 of the flooding."""
    unit = np.exp2(-2.0 * columns.result_log2_q)
    return np.where(columns.flooded > 0, mean_square(columns.flooding_log2_width) * unit, 0.0)


def _float(value: ArrayLike) -> Any:
    return np.asarray(value, dtype=np.float64)
