"""Flooding by the sum of three uniform integers: the distance that it leaves, and the width that a distance needs.

Z = U_1 + U_2 + U_3 with every U_i uniform on the integers of [-w, w). In units of w and in the limit, Z has the density
(3 - x^2)/8 for |x| <= 1 and (3 - |x|)^2/16 up to 3, whose Fisher information is

    I = integral f'^2/f = 1 + (integral_0^1 x^2/(3 - x^2) dx) = (sqrt(3)/2) ln(2 + sqrt(3)) = 1.1405...

Two uniforms have none: the integral diverges. On the integers the squared Hellinger distance H^2 = 1 - sum sqrt(p p')
between Z and Z + e is at most

    e^2 I/(8 w^2) (1 + 0.54/w)                                                 for every integer e and w >= 1

Affinities of independent coefficients and of successive answers multiply, so squared Hellinger distances add up, and
the statistical distance is at most sqrt(2) H: over Q answers of n' coefficients whose errors before the flooding have
the mean square v in expectation, for whichever row their client asks,

    distance <= sqrt(I (1 + 0.54/w) Q n' v) / (2 w)

`docs/flooding.md` has the proof.

References
----------
.. [1] A. Tsybakov, "Introduction to nonparametric estimation", Springer 2009, section 2.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.noise import tail_factor

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
    log2_width: ArrayLike, log2_mean_square: ArrayLike, coefficients: ArrayLike, answers: ArrayLike
) -> Floats:
    """log2 of a bound of the statistical distance that flooding leaves in all answers together, at most 0.

    sqrt(I (1 + 0.54/w) Q n' v) / (2 w).

    Parameters
    ----------
    log2_width : array_like of float
        log2 w.
    log2_mean_square : array_like of float
        log2 v, v a bound of the expected mean square of an answer's errors before the flooding, for every table and
        for whichever row is asked.
    coefficients : array_like of int
        n', coefficients that are sent of an answer.
    answers : array_like of float
        Q, answers that are ever given to those who may pool them.

    Examples
    --------
    >>> round(float(log2_distance(92, 2 * 48.6, 2048, 2**20)), 1)
    -28.8
    """
    width = np.asarray(log2_width, dtype=np.float64)
    excess = np.log1p(DISCRETE_EXCESS * np.exp2(-width)) / _LN2
    energy = _log2_energy(log2_mean_square, coefficients, answers) + excess
    return np.asarray(np.minimum(0.5 * energy - width - 1.0, 0.0))


def log2_width(
    log2_target: ArrayLike, log2_mean_square: ArrayLike, coefficients: ArrayLike, answers: ArrayLike
) -> Floats:
    """log2 of the least power of two w with which all answers together leave at most a distance; others as there.

    Examples
    --------
    >>> float(log2_width(-26, 0.0, 2048, 2**20))
    41.0
    """
    target = np.asarray(log2_target, dtype=np.float64)
    width = np.maximum(np.ceil(0.5 * _log2_energy(log2_mean_square, coefficients, answers) - 1.0 - target), 0.0)
    exceeds = log2_distance(width, log2_mean_square, coefficients, answers) > target
    return np.asarray(width + np.where(exceeds, 1.0, 0.0))


def largest_bits(rows: ArrayLike) -> Floats:
    """Bits by which the largest mean square of so many rows' errors exceeds what is expected of one, in expectation.

    log2 of 1 + 2 m z phi(z), where a Gaussian is beyond z, either way, with probability 1/m: what its square is
    expected to be there. A sum of squares X of Gaussian terms, of expectation one, has E max(X - y, 0) of at most that
    of a single term, by convexity, and the largest of m such sums, independent or not, is expected to be at most
    y + m E max(X - y, 0) for every y.

    Parameters
    ----------
    rows : array_like of float
        m, among which a client may choose by the noise of its keys.

    Examples
    --------
    >>> np.round(largest_bits([1, 32000]), 2).tolist()
    [0.0, 4.27]
    """
    m = np.asarray(rows, dtype=np.float64)
    z = tail_factor(-np.log2(m))
    density = np.exp(-np.square(z) / 2.0) / np.sqrt(2.0 * np.pi)
    return np.asarray(np.log2(1.0 + 2.0 * m * z * density))


def log2_bound(log2_width: ArrayLike) -> Floats:
    """log2 of the largest magnitude of the flooding, 3 w: bounded, it comes off the limit of a correct share."""
    return np.asarray(np.asarray(log2_width, dtype=np.float64) + np.log2(3.0))


def mean_square(log2_width: ArrayLike) -> Floats:
    """Mean square of the flooding, w^2 + 2: of its variance, 3 ((2w)^2 - 1)/12, and of its mean, -3/2."""
    return np.asarray(np.exp2(2.0 * np.asarray(log2_width, dtype=np.float64)) + 2.0)


def _log2_energy(log2_mean_square: ArrayLike, coefficients: ArrayLike, answers: ArrayLike) -> Floats:
    """log2 of I Q n' v."""
    counts = np.log2(np.asarray(answers, dtype=np.float64)) + np.log2(np.asarray(coefficients, dtype=np.float64))
    found: Floats = np.log2(FISHER_INFORMATION) + counts + np.asarray(log2_mean_square, dtype=np.float64)
    return found
