"""Noise of the folded query, step by step, as variances of the phase error; all formulas broadcast.

Expansion and folds are those of :mod:`costmodel.expanded.noise`.

Worst table. Level by level the expansion maps a polynomial to its two children by twice an isometry. So the error of a
switch at level i meets a table of elements |W| <= w in one result with at most V_i 4^(L-1-i) (twice that where the
switched polynomial enters two children with both signs) times the sum w^2 d1 N of the squares of all elements that
its column holds, however the table is made: 2^(L-1-i) times the mean.
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
    square_switch_variance,
)
from costmodel.noise import log2_failure_of_products


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


class FoldedNoise(NamedTuple):
    """Variances over Q^2 of an answer coefficient's error, step by step, and what they are held to.

    Attributes
    ----------
    product : the columns' sums, for the table's mean square
    folds : all levels
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
        product=product_variance(selector, p.selectors, mean_square, fill(p)) * unit,
        folds=p.fold_levels * folds * unit,
        flooding=flooding_variance(p) + encryption_of_zero_variance(p),
        ring_switch=answer.switch,
        rounding=answer.rounding,
        low_bits=answer.low_bits,
        worst_product=worst * unit,
    )


def failure(parameters: FoldedParameters | FoldedColumns) -> Floats:
    """log2 of the probability that any coefficient of an answer decrypts wrongly.

    The statement holds for a table whose every element is at its bound, with signs that do not conspire with the
    expansion's errors: their products are taken in the mean. Flooded answers are sized for the worst table, whose noise
    is ``worst_product``; without flooding the bound of the worst table would allow a larger failure. The limit is
    that of shares of low bits, less the flooding, which is bounded; the tail is that of
    :func:`costmodel.noise.log2_failure_of_products`, the folds being products with encrypted bits.
    """
    p = FoldedColumns.of(parameters)
    noise = folded_noise(p, np.square(_float(p.element_bound)))
    bit = bit_noise(p, p.fold_bits)
    return log2_failure_of_products(
        noise.product + noise.ring_switch + noise.rounding + encryption_of_zero_variance(p),
        noise.folds,
        bit.constant / (bit.constant + bit.others),
        np.maximum(p.fold_levels * p.fold.digits, 1),
        answer_limit(p),
        p.row_coefficients,
    )


def _float(value: ArrayLike) -> Any:
    return np.asarray(value, dtype=np.float64)
