"""Flooding by the sum of three uniform integers: the distance that it leaves, and the width that a distance needs.

Z = U_1 + U_2 + U_3 with every U_i uniform on the integers of [-w, w). In units of w and in the limit, Z has the density
(3 - x^2)/8 for |x| <= 1 and (3 - |x|)^2/16 up to 3, whose Fisher information is

    I = integral f'^2/f = 1 + (integral_0^1 x^2/(3 - x^2) dx) = (sqrt(3)/2) ln(2 + sqrt(3)) = 1.1405...

Two uniforms have none: the integral diverges. On the integers the squared Hellinger distance H^2 = 1 - sum sqrt(p p')
between Z and Z + e is at most

    e^2 I/(8 w^2) (1 + 0.54/w)                                                 for every integer e and w >= 1

Affinities of independent coefficients and of successive answers multiply, so squared Hellinger distances add up, and
the statistical distance is at most sqrt(2) H: over Q answers of n' coefficients whose errors before the flooding have
the mean square v,

    distance <= sqrt(I (1 + 0.54/w) Q n' v) / (2 w) + tail

`docs/flooding.md` has the proof.

References
----------
.. [1] B. Laurent, P. Massart, "Adaptive estimation of a quadratic functional by model selection", Ann. Statist. 28
   (2000), lemma 1.
.. [2] A. Tsybakov, "Introduction to nonparametric estimation", Springer 2009, section 2.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FISHER_INFORMATION = float(np.sqrt(3.0) / 2.0 * np.log(2.0 + np.sqrt(3.0)))
"""Of the sum of three variables uniform on [-1, 1]."""
DISCRETE_EXCESS = 0.54
"""On the integers the information is at most 1 + this/w times as large."""
_LN2 = float(np.log(2.0))


def squared_hellinger(error: ArrayLike, width: ArrayLike) -> Floats:
    """Bound of the squared Hellinger distance that an error leaves of one flooded coefficient, at most 1.

    Parameters
    ----------
    error : array_like of float
        e, of the coefficient before the flooding.
    width : array_like of float
        w, of each of the three uniform integers.

    Examples
    --------
    >>> float(squared_hellinger(1.0, 100.0)) < 1.44e-5
    True
    """
    w = np.asarray(width, dtype=np.float64)
    information = FISHER_INFORMATION * (1.0 + DISCRETE_EXCESS / w) / np.square(w)
    return np.asarray(np.minimum(np.square(np.asarray(error, dtype=np.float64)) * information / 8.0, 1.0))


def log2_distance(
    log2_width: ArrayLike,
    log2_mean_square: ArrayLike,
    coefficients: ArrayLike,
    answers: ArrayLike,
    log2_tail: ArrayLike,
) -> Floats:
    """log2 of a bound of the statistical distance that flooding leaves in all answers together, at most 0.

    sqrt(I (1 + 0.54/w) Q n' v) / (2 w) and the probability that the mean square exceeds v.

    Parameters
    ----------
    log2_width : array_like of float
        log2 w.
    log2_mean_square : array_like of float
        log2 v, v a bound of the mean square of an answer's errors before the flooding, for every table and row.
    coefficients : array_like of int
        n', coefficients that are sent of an answer.
    answers : array_like of float
        Q, answers that are ever given to those who may pool them.
    log2_tail : array_like of float
        log2 of the probability that the errors of any of the answers exceed v; see `tail_bits`.

    Examples
    --------
    >>> round(float(log2_distance(92, 2 * 48.6, 2048, 2**20, -80)), 1)
    -28.8
    """
    width = np.asarray(log2_width, dtype=np.float64)
    flooded = 0.5 * (
        np.log2(FISHER_INFORMATION)
        + np.log1p(DISCRETE_EXCESS * np.exp2(-width)) / _LN2
        + np.log2(np.asarray(answers, dtype=np.float64))
        + np.log2(np.asarray(coefficients, dtype=np.float64))
        + np.asarray(log2_mean_square, dtype=np.float64)
    )
    return np.asarray(np.minimum(np.logaddexp2(flooded - width - 1.0, log2_tail), 0.0))


def log2_width(
    log2_target: ArrayLike,
    log2_mean_square: ArrayLike,
    coefficients: ArrayLike,
    answers: ArrayLike,
    log2_tail: ArrayLike,
) -> Floats:
    """log2 of the least power of two w with which all answers together leave at most a distance; others as there.

    Infinite where the tail alone exceeds the target.

    Examples
    --------
    >>> float(log2_width(-26, 0.0, 2048, 2**20, -80))
    41.0
    """
    target, tail = (np.asarray(value, dtype=np.float64) for value in (log2_target, log2_tail))
    with np.errstate(divide="ignore", invalid="ignore"):
        left = target + np.log1p(-np.exp2(tail - target)) / _LN2
    energy = (
        np.log2(np.asarray(answers, dtype=np.float64))
        + np.log2(np.asarray(coefficients, dtype=np.float64))
        + np.asarray(log2_mean_square, dtype=np.float64)
        + np.log2(FISHER_INFORMATION)
    )
    width = np.maximum(np.ceil(0.5 * energy - 1.0 - left), 0.0)
    safe = np.where(np.isfinite(width), width, 0.0)
    exceeds = log2_distance(safe, log2_mean_square, coefficients, answers, tail) > target
    return np.asarray(np.where(tail < target, width + np.where(exceeds, 1.0, 0.0), np.inf))


def tail_bits(terms: ArrayLike, log2_tail: ArrayLike) -> Floats:
    """Bits that the mean square of an answer's errors exceeds its expectation by, at most, but with a probability.

    A sum of squares of Gaussian terms of which none has more than 1/terms of the expectation exceeds the expectation
    by the factor 1 + 2 sqrt(x/terms) + 2 x/terms with probability at most exp(-x) [1]_.

    Parameters
    ----------
    terms : array_like of float
        One over the largest share of one independent Gaussian term.
    log2_tail : array_like of float
        log2 of the probability, of one answer; any of Q exceeds it with at most Q times that.

    Examples
    --------
    >>> round(float(tail_bits(2048, -60)), 2)
    0.41
    """
    ratio = -np.asarray(log2_tail, dtype=np.float64) * _LN2 / np.asarray(terms, dtype=np.float64)
    return np.asarray(np.log2(1.0 + 2.0 * np.sqrt(ratio) + 2.0 * ratio))


def log2_bound(log2_width: ArrayLike) -> Floats:
    """log2 of the largest magnitude of the flooding, 3 w: bounded, it comes off the limit of a correct share."""
    return np.asarray(np.asarray(log2_width, dtype=np.float64) + np.log2(3.0))


def mean_square(log2_width: ArrayLike) -> Floats:
    """Mean square of the flooding, w^2 + 2: of its variance, 3 ((2w)^2 - 1)/12, and of its mean, -3/2."""
    return np.asarray(np.exp2(2.0 * np.asarray(log2_width, dtype=np.float64)) + 2.0)
