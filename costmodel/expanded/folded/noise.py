"""Noise of the folded query, step by step, as variances of the phase error; all formulas broadcast.

Expansion and folds are those of :mod:`costmodel.expanded.noise`.

Worst table. Level by level the expansion maps a polynomial to its two children by twice an isometry. So the error of a
switch at level i meets a table of elements |W| <= w in one result with at most V_i 4^(L-1-i) (twice that where the
switched polynomial enters two children with both signs) times the sum w^2 d1 N of the squares of all elements that
its column holds, however the table is made: 2^(L-1-i) times the mean.

Dropped primes. Selectors and rows of encrypted bits may be rounded to a part Q' of Q before they are used. Both halves
are then wrong by at most half a unit a coefficient, so that the phase is wrong by e_b + e_a s with uniform e. A column
of d1 selectors meets this as the sum of W_j e_b,j and W_j s e_a,j, of which the second has at every coefficient the
variance |W_j s|^2/12. Over the roots z of X^N + 1 |W s|^2 is the mean of |W(z)|^2 |s(z)|^2: at most the largest
|s(z)|^2 times the sum of the squares of the table's elements, and 2N/3 times this sum in the mean. Secrets are drawn
until their largest value keeps to a bound (:func:`costmodel.expanded.noise.secret_peak`). A fold's digits, which look
random whatever the table, meet the rows in the mean. Sent coefficients are restored modulo Q', rounded once more.

Primes are dropped at the leaves and no sooner. A key switch modulo a single prime q adds N l sigma^2 B^2/12 with
B^l = q: at 53 bits, N = 4096 and digits of two bits that is 80 times the deviation of the rounding, sqrt(N/18). Keys
modulo Q for polynomials modulo Q' are as quiet, but round the sums of every switch in the place of the leaves: a tenth
fewer transforms, and the rounding of a level meets the worst table 4^(levels after) fold.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.expanded.folded.parameters import FoldedColumns, FoldedParameters
from costmodel.expanded.noise import (
    Floats,
    LeafNoise,
    answer_limit,
    answer_noise,
    bit_noise,
    encryption_of_zero_variance,
    expansion_variances,
    flooding_variance,
    fold_variance,
    leaf_noise,
    levels_after,
    query_rounding_variance,
    secret_peak,
    square_switch_variance,
)
from costmodel.noise import TERNARY_VARIANCE, log2_failure_of_products


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
    after = levels_after(variances)
    enters = np.where(np.asarray(splits, dtype=bool), 2.0, 1.0)
    coherent = np.sum(enters * variances * np.exp2(2.0 * after), axis=0)
    squares = _float(selectors) * np.square(_float(element_bound))
    return (squares * (_float(fresh) + _float(N) * _float(fill) * coherent))[()]


def dropped_selectors_variance(columns: FoldedColumns, mean_square: ArrayLike, peak: ArrayLike = 1.0) -> Floats:
    """Variance over Q^2 of a column's sum by selectors that lost primes: d1 E[W^2] (1 + f N (1 + x 2N/3))/12 over Q'^2.

    Parameters
    ----------
    columns : whose blocks are filled to f
    mean_square : E[W^2] of the table's elements
    peak : x, what a polynomial of the table meets of |s|^2 over the mean, 2N/3
    """
    p = columns
    used = fill(p) * p.degree
    each = (1.0 + used * (1.0 + _float(peak) * TERNARY_VARIANCE * p.degree)) / 12.0
    rounding = p.selectors * _float(mean_square) * each * np.exp2(-2.0 * p.result_log2_q)
    return np.where(p.drops_limbs > 0, rounding, 0.0)


def worst_dropped_variance(columns: FoldedColumns) -> Floats:
    """The same for the worst table, through secrets that keep to their peak."""
    return dropped_selectors_variance(columns, np.square(_float(columns.element_bound)), secret_peak(columns.degree))


def dropped_bits_variance(columns: FoldedColumns, digit_bits: ArrayLike) -> Floats:
    """Variance over Q^2 that folds add by rows of bits that lost primes: h l B^2/12 (2N + 1)(1 + 2N/3)/12 over Q'^2.

    Digits of both halves meet a rounded row each, and the constant that is restored to the first half's b and to the
    second's a.
    """
    p = columns
    rows = (2.0 * p.degree + 1.0) * (1.0 + TERNARY_VARIANCE * p.degree) / 12.0
    digits = p.fold_levels * p.fold.digits * np.exp2(2.0 * _float(digit_bits)) / 12.0
    return np.where(p.drops_limbs > 0, digits * rows * np.exp2(-2.0 * p.result_log2_q), 0.0)


class FoldedNoise(NamedTuple):
    """Variances over Q^2 of an answer coefficient's error, step by step, and what they are held to.

    Attributes
    ----------
    product : the columns' sums, for the table's mean square, dropped primes included
    folds : all levels, dropped primes included
    flooding : sum of three uniforms and the encryption of zero
    ring_switch : rounding to the answer's modulus and the key switch to its secrets
    rounding : of the answer's a
    low_bits : of the answer's b
    worst_product : the columns' sums for the worst table
    """

    product: Any
    folds: Any
    flooding: Any
    ring_switch: Any
    rounding: Any
    low_bits: Any
    worst_product: Any

    @property
    def total(self) -> Any:
        """Variance that a measurement of many coefficients finds."""
        return self.product + self.folds + self.flooding + self.ring_switch + self.rounding + self.low_bits

    @property
    def hidden(self) -> Any:
        """Variance that the flooding hides, of the worst table."""
        return self.worst_product + self.folds


def fill(columns: FoldedColumns) -> Floats:
    """Fraction of a block's coefficients that hold an element."""
    found: Floats = columns.row_coefficients * columns.slots / (columns.blocks * columns.degree)
    return found


def splits(columns: FoldedColumns) -> Any:
    """Whether a level of the expansion splits its nodes, (levels, ...)."""
    return levels_after(_float(columns.expansion.digits)) < columns.split_levels


def folded_noise(parameters: FoldedParameters | FoldedColumns, mean_square: ArrayLike) -> FoldedNoise:
    """Noise of a folded query for tables of a mean square E[W^2] of their centred packed elements."""
    p = FoldedColumns.of(parameters)
    switches, rounding = expansion_variances(p), query_rounding_variance(p.log2_q, p.selector_bits)
    selector = leaf_noise(p.degree, p.sigma, rounding, switches)
    fresh = np.square(p.degree * p.sigma) + rounding
    unit = np.exp2(-2.0 * p.log2_q)
    folds = fold_variance(
        p.degree, p.log2_q, p.fold.digits, p.fold.bits, bit_noise(p, p.fold_bits), square_switch_variance(p)
    )
    worst = worst_product_variance(p.degree, fresh, switches, splits(p), p.selectors, p.element_bound, fill(p))
    answer = answer_noise(p)
    return FoldedNoise(
        product=product_variance(selector, p.selectors, mean_square, fill(p)) * unit
        + dropped_selectors_variance(p, mean_square),
        folds=p.fold_levels * folds * unit + dropped_bits_variance(p, p.fold.bits),
        flooding=flooding_variance(p) + encryption_of_zero_variance(p),
        ring_switch=answer.switch,
        rounding=answer.rounding,
        low_bits=answer.low_bits,
        worst_product=worst * unit + worst_dropped_variance(p),
    )


def failure(parameters: FoldedParameters | FoldedColumns) -> Floats:
    """log2 of the probability that any coefficient of an answer decrypts wrongly.

    The statement holds for a table whose every element is at its bound, with signs that do not conspire with the
    expansion's errors: their products are taken in the mean. Flooded answers are sized for the worst table, whose noise
    is ``worst_product``; without flooding the bound of the worst table would allow a larger failure. The limit is
    that of shares of low bits, less the flooding, which is bounded; the tail is that of
    :func:`costmodel.noise.log2_failure_of_products`, the folds being products with encrypted bits. Errors of dropped
    primes are thousands of bounded ones, Gaussian in effect.
    """
    p = FoldedColumns.of(parameters)
    noise = folded_noise(p, np.square(_float(p.element_bound)))
    bit, dropped = bit_noise(p, p.fold_bits), dropped_bits_variance(p, p.fold.bits)
    return log2_failure_of_products(
        noise.product + dropped + noise.ring_switch + noise.rounding + encryption_of_zero_variance(p),
        noise.folds - dropped,
        bit.constant / (bit.constant + bit.others),
        np.maximum(p.fold_levels * p.fold.digits, 1),
        answer_limit(p),
        p.row_coefficients,
    )


def _float(value: ArrayLike) -> Any:
    return np.asarray(value, dtype=np.float64)
