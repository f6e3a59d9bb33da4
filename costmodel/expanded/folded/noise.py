"""Noise of the folded query, step by step, as variances of the phase error; all formulas broadcast.

Written for ternary secrets of variance 2/3 a coefficient. A polynomial's *energy* is the sum of the variances of
its N coefficients; a product of two polynomials has, at every coefficient, the energy of one times the mean square
of the other's coefficients.

Expansion. Level i = 0..L-1 (L = log2 N) applies X -> X^(N/2^i + 1) and adds: what is in the phase is doubled at the
coefficients that are kept, and its energy grows by two in the mean. A key switch of variance V_i thus leaves
N V_i 2^(L-1-i) in a leaf, V_i 4^(L-1-i) of it at the constant coefficient, which also holds N times the encryption's
error and the rounding of N*b.

Worst table. Level by level the expansion maps a polynomial to its two children by twice an isometry. So the error of a
switch at level i meets a table of elements |W| <= w in one result with at most V_i 4^(L-1-i) (twice that where the
switched polynomial enters two children with both signs) times the sum w^2 d1 N of the squares of all elements that
its column holds, however the table is made: 2^(L-1-i) times the mean.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018, section 3.3 (expansion).
.. [2] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421 (gadget and external products).
.. [3] C. Gentry, S. Halevi, C. Peikert, N. Smart, "Field switching in BGV-style homomorphic encryption", 2012.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.noise import (
    TERNARY_VARIANCE,
    log2_failure_of_products,
    log2_flooding_distance,
    modulus_switch_variance,
    noise_bound,
    public_key_encryption_variance,
)


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
    after = np.arange(len(variances) - 1, -1, -1.0).reshape(-1, *(1,) * (variances.ndim - 1))
    constant = np.sum(variances * np.exp2(2.0 * after), axis=0)
    energy = np.sum(_float(N) * variances * np.exp2(after), axis=0)
    fresh = np.square(_float(N) * _float(sigma)) + _float(rounding)
    return LeafNoise((fresh + constant)[()], (energy - constant)[()])


def product_variance(leaf: LeafNoise, selectors: ArrayLike, mean_square: ArrayLike, fill: ArrayLike) -> Any:
    """Variance of a column's sum of d1 products with table polynomials of which a fraction ``fill`` is not zero."""
    energy = _float(leaf.constant) + _float(fill) * _float(leaf.others)
    return (_float(selectors) * _float(mean_square) * energy)[()]


def worst_product_variance(
    N: ArrayLike,
    fresh: ArrayLike,
    switches: ArrayLike,
    splits: ArrayLike,
    selectors: ArrayLike,
    element_bound: ArrayLike,
    fill: ArrayLike,
) -> Any:
    """Variance of a column's sum for the worst table of elements up to ``element_bound`` in magnitude.

    Parameters
    ----------
    fresh : array_like of float
        (N sigma)^2 and the rounding of N*b.
    switches, splits : array_like, (levels, ...)
        V_i, and whether the level splits its nodes.
    """
    variances = _float(switches)
    after = np.arange(len(variances) - 1, -1, -1.0).reshape(-1, *(1,) * (variances.ndim - 1))
    enters = np.where(np.asarray(splits, dtype=bool), 2.0, 1.0)
    coherent = np.sum(enters * variances * np.exp2(2.0 * after), axis=0)
    squares = _float(selectors) * np.square(_float(element_bound))
    return (squares * (_float(fresh) + _float(N) * _float(fill) * coherent))[()]


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


class FoldedNoise(NamedTuple):
    """Variances over Q^2 of an answer coefficient's error, step by step, and what they are held to.

    Attributes
    ----------
    product : the columns' sums, for the table's mean square
    folds : all levels
    flooding : uniform flooding and the encryption of zero
    ring_switch : rounding to one limb and the key switch to the smaller ring
    rounding : of the answer's bits
    worst_product : the columns' sums for the worst table
    """

    product: Any
    folds: Any
    flooding: Any
    ring_switch: Any
    rounding: Any
    worst_product: Any

    @property
    def total(self) -> Any:
        """Variance that a measurement of many coefficients finds."""
        return self.product + self.folds + self.flooding + self.ring_switch + self.rounding


def bit_noise(parameters: FoldedParameters) -> LeafNoise:
    """Noise of an expanded bit of the column."""
    p = parameters
    N, log2_q = p.degree, float(p.log2_q)
    switches = np.array([gadget_switch_variance(N, log2_q, *gadget, p.sigma) for gadget in p.expansion])
    return leaf_noise(N, p.sigma, query_rounding_variance(log2_q, p.fold_bits), switches)


def folded_noise(parameters: FoldedParameters, mean_square: ArrayLike) -> FoldedNoise:
    """Noise of a folded query for tables of a mean square E[W^2] of their centred packed elements."""
    p = parameters
    N, log2_q, sigma = p.degree, float(p.log2_q), p.sigma
    fill = p.row_coefficients * p.slots / (p.blocks * N)
    switches = np.array([gadget_switch_variance(N, log2_q, *gadget, sigma) for gadget in p.expansion])
    splits = np.arange(p.expansion_levels) >= p.expansion_levels - p.split_levels
    rounding = query_rounding_variance(log2_q, p.selector_bits)
    selector = leaf_noise(N, sigma, rounding, switches)
    bit = bit_noise(p)
    square = gadget_switch_variance(N, log2_q, *p.square, sigma, square_secret_variance(N))
    unit = np.exp2(-2.0 * log2_q)
    flooding = np.where(
        p.flooding_bits > 0,
        np.exp2(2.0 * p.flooding_log2_bound) / 3.0 + public_key_encryption_variance(sigma, N),
        0.0,
    )
    return FoldedNoise(
        product=product_variance(selector, p.selectors, mean_square, fill) * unit,
        folds=p.fold_levels * fold_variance(N, log2_q, *p.fold, bit, square) * unit,
        flooding=flooding * unit,
        ring_switch=ring_switch_variance(p),
        rounding=modulus_switch_variance(0.0, p.answer_degree, p.answer_a_bits, p.answer_b_bits),
        worst_product=worst_product_variance(
            N, (N * sigma) ** 2 + rounding, switches, splits, p.selectors, p.element_bound, fill
        )
        * unit,
    )


def square_secret_variance(N: ArrayLike) -> Any:
    """Variance of a coefficient of s^2 for ternary s, N/2 products of pairs that come twice each: 2N (2/3)^2."""
    return (2.0 * _float(N) * TERNARY_VARIANCE**2)[()]


def dropped_limb_variance(N: ArrayLike, limbs: ArrayLike) -> Any:
    """Variance of rounding both elements to the first of two limbs, (1 + 2N/3)/12; none with one limb."""
    return (np.where(np.asarray(limbs) > 1, 1.0, 0.0) * (1.0 + TERNARY_VARIANCE * _float(N)) / 12.0)[()]


def ring_switch_variance(parameters: FoldedParameters) -> float:
    """Variance over Q^2 of dropping to the first limb and switching to the ring of half the degree, 0 without one."""
    p = parameters
    if not p.switches_ring:
        return 0.0
    limb = float(p.limb_bits[0])
    switch = gadget_switch_variance(p.degree, limb, *p.ring_switch, p.sigma)
    return float((dropped_limb_variance(p.degree, p.limbs) + switch) * np.exp2(-2.0 * limb))


def noise_to_hide_log2(worst_variance: ArrayLike, outputs: ArrayLike, log2_probability: ArrayLike) -> Any:
    """log2 of what no coefficient's noise exceeds, whatever the table, but with the given probability an answer."""
    share = _float(log2_probability) - np.log2(_float(outputs))
    return np.log2(noise_bound(np.sqrt(_float(worst_variance)), share))[()]


def flooding_distance(parameters: FoldedParameters) -> float:
    """log2 of the statistical distance that the flooding leaves in one answer; 0 without flooding.

    From the width that the parameters have over the worst noise, which is at least what was asked for.
    """
    p = parameters
    if not p.flooding_bits:
        return 0.0
    noise = folded_noise(p, float(p.element_bound) ** 2)
    zero = public_key_encryption_variance(p.sigma, p.degree) * 2.0 ** (-2.0 * p.log2_q)
    worst = noise.worst_product + noise.folds + zero
    hidden = noise_to_hide_log2(worst, p.row_coefficients, p.log2_failure) + p.log2_q
    return float(log2_flooding_distance(p.flooding_log2_bound - hidden, p.row_coefficients))


def failure(parameters: FoldedParameters) -> float:
    """log2 of the probability that any coefficient of an answer decrypts wrongly, for elements at their bound.

    The flooding is bounded and comes off the limit, 1/(2t) - flooding/Q; the tail is that of
    :func:`costmodel.noise.log2_failure_of_products`, the folds being products with encrypted bits.
    """
    p = parameters
    noise = folded_noise(p, float(p.element_bound) ** 2)
    limit = 0.5 / p.plaintext_modulus
    unflooded = noise.product + noise.folds + noise.ring_switch + noise.rounding
    if p.flooding_bits:
        limit -= 2.0 ** (p.flooding_log2_bound - p.log2_q)
        unflooded += public_key_encryption_variance(p.sigma, p.degree) * 2.0 ** (-2.0 * p.log2_q)
    if limit <= 0:
        return 0.0
    bit = bit_noise(p)
    known = float(bit.constant / (bit.constant + bit.others))
    terms = max(p.fold_levels * p.fold.digits, 1)
    return log2_failure_of_products(
        float(unflooded - noise.folds), float(noise.folds), known, terms, limit, p.row_coefficients
    )


def _float(value: ArrayLike) -> Any:
    return np.asarray(value, dtype=np.float64)
