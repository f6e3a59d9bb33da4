"""Noise of every step of a private lookup as variances of the phase error, and what follows from their sum.

A ciphertext (a, b) modulo q has the phase b + a*s = (q/t)*m + e modulo q, and decrypts wrongly where
|e| >= q/(2t). All variances here are of one coefficient of e, in units of 1 at the modulus q, for ternary
secrets (variance 2/3 a coefficient). Errors are independent and sums of many terms, so variances add and
the tails are Gaussian; flooding, which is uniform and may dominate, is lighter in the tail than its
variance says.

References
----------
.. [1] J. Fan, F. Vercauteren, "Somewhat Practical Fully Homomorphic Encryption", ePrint 2012/144, section 3.
.. [2] H. Chen, W. Dai, M. Kim, Y. Song, ePrint 2020/015, section 3 (PackLWEs).
.. [3] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421 (variances of gadget
   products).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

TERNARY_VARIANCE = 2.0 / 3.0
"""Variance of a coefficient of a uniformly ternary secret."""
_LN2 = float(np.log(2.0))

# SciPy is loaded where a tail is asked for: the parties' processes ask for none, and keep its memory for a table.


def secret_key_encryption_variance(sigma: ArrayLike) -> Any:
    """Variance of a fresh secret-key encryption: sigma^2."""
    return np.square(_float(sigma))[()]


def public_key_encryption_variance(sigma: ArrayLike, N: ArrayLike) -> Any:
    """Variance of a fresh public-key encryption, u*e + e0 + e1*s, ternary u, s: sigma^2 (1 + 4N/3) [1]_."""
    return (np.square(_float(sigma)) * (1.0 + 2.0 * TERNARY_VARIANCE * _float(N)))[()]


def dropped_bits_variance(dropped: ArrayLike) -> Any:
    """Mean square of rounding a coefficient to a multiple of 2^dropped: (4^dropped + 2)/12, 0 for none.

    Parameters
    ----------
    dropped : array_like of int
        Low bits of every coefficient of b that are not sent.
    """
    bits = _float(dropped)
    return np.where(bits > 0, (np.exp2(2.0 * bits) + 2.0) / 12.0, 0.0)[()]


def uniform_mean_square(plaintext_modulus: ArrayLike) -> Any:
    """Mean square of table entries uniform in (-t/2, t/2]: t^2/12."""
    return (np.square(_float(plaintext_modulus)) / 12.0)[()]


def unsigned_uniform_mean_square(plaintext_modulus: ArrayLike) -> Any:
    """Mean square of table entries uniform in [0, t): t^2/3, one bit of noise more than centred ones.

    OpenFHE's ``EvalMult`` by a plaintext takes a negative entry w as t - abs(w).
    """
    return (np.square(_float(plaintext_modulus)) / 3.0)[()]


def worst_mean_square(plaintext_modulus: ArrayLike) -> Any:
    """Mean square of the worst centred table, every abs(w) = t/2: t^2/4."""
    return (np.square(_float(plaintext_modulus)) / 4.0)[()]


def unsigned_worst_mean_square(plaintext_modulus: ArrayLike) -> Any:
    """Mean square of the worst table with entries in [0, t), every w = t - 1."""
    return np.square(_float(plaintext_modulus) - 1.0)[()]


def plaintext_product_variance(variance: ArrayLike, m: ArrayLike, mean_square: ArrayLike) -> Any:
    """Variance of an inner product with m table entries: m * E[W^2] * variance.

    Parameters
    ----------
    variance : array_like of float
        Of a coefficient of the query: encryption and dropped bits.
    m : array_like of int
        Entries of the table that one result adds up, i.e. its rows.
    mean_square : array_like of float
        E[W^2] of the table; `uniform_mean_square` and the like, or measured.
    """
    return (_float(m) * _float(mean_square) * _float(variance))[()]


def key_switch_variance(
    N: ArrayLike, q_bits: ArrayLike, digit_bits: ArrayLike, sigma: ArrayLike, dropped_bits: ArrayLike = 0
) -> Any:
    """Variance that one key switch adds, digits centred: N (sigma^2 sum_i B_i^2 + 2/3 (4^D - 1)) / 12.

    Above D dropped bits there are d = ceil((q_bits - D)/digit_bits) digits of base B = 2^digit_bits, of which the last
    has the bits that are left [3]_; what is dropped of a meets a ternary secret.

    Parameters
    ----------
    N : array_like of int
        Ring degree.
    q_bits : array_like of int
        Bits of one limb of q.
    digit_bits : array_like of int
        Bits of a digit, at least 1.
    sigma : array_like of float
        Noise of the switching key.
    dropped_bits : array_like of int
        D, low bits of the polynomial that no digit covers; only with a single limb.
    """
    dropped = _float(dropped_bits)
    digits = np.square(_float(sigma)) * _digit_squares(_float(q_bits) - dropped, digit_bits)
    return (_float(N) * (digits + TERNARY_VARIANCE * (np.exp2(2.0 * dropped) - 1.0)) / 12.0)[()]


def unsigned_key_switch_variance(N: ArrayLike, q_bits: ArrayLike, digit_bits: ArrayLike, sigma: ArrayLike) -> Any:
    """As `key_switch_variance` with digits in [0, B): N sigma^2 sum_i B_i^2/3."""
    return (_float(N) * np.square(_float(sigma)) * _digit_squares(q_bits, digit_bits) / 3.0)[()]


def packlwes_variance(key_switch: ArrayLike, depth: ArrayLike) -> Any:
    """Variance that a PackLWEs tree adds to a packed result: key_switch * (4^depth - 1)/3.

    A merge doubles what is at the used coefficients, so the switch k levels below the root counts 4^k. The
    factor 2^depth on the results themselves is taken back by the 2^-depth in the table [2]_.

    Parameters
    ----------
    key_switch : array_like of float
        Variance of one key switch.
    depth : array_like of int
        Levels of the tree.
    """
    return (_float(key_switch) * (np.exp2(2.0 * _float(depth)) - 1.0) / 3.0)[()]


def modulus_switch_variance(log2_q: ArrayLike, N: ArrayLike, a_bits: ArrayLike, b_bits: ArrayLike) -> Any:
    """Variance of switching a to 2^a_bits and b to 2^b_bits: (q/2^a_bits)^2 N/18 + (q/2^b_bits)^2/12.

    Parameters
    ----------
    log2_q : array_like of float
        log2 of the modulus that is switched from.
    N : array_like of int
        Ring degree.
    a_bits, b_bits : array_like of float
        Bits that are kept of a coefficient of a and of b; ``np.inf`` for all.
    """
    return (
        np.exp2(2.0 * (_float(log2_q) - _float(a_bits))) * _float(N) * TERNARY_VARIANCE / 12.0
        + np.exp2(2.0 * (_float(log2_q) - _float(b_bits))) / 12.0
    )[()]


def noise_bound(sigma: ArrayLike, log2_probability: ArrayLike) -> Any:
    """Bound that a Gaussian error of standard deviation sigma exceeds with probability 2^log2_probability."""
    return (_float(sigma) * tail_factor(log2_probability))[()]


def flooding_variance(bound: ArrayLike, flooding_bits: ArrayLike) -> Any:
    """Variance of flooding uniform in [-2^F bound, 2^F bound]: 4^F bound^2/3; 0 bits are no flooding.

    Parameters
    ----------
    bound : array_like of float
        Bound of the noise to hide, over all tables (`noise_bound` of the worst table's noise).
    flooding_bits : array_like of float
        F, log2 of the flooding's bound over the noise it hides.
    """
    bits = _float(flooding_bits)
    return np.where(bits > 0, np.exp2(2.0 * bits) * np.square(_float(bound)) / 3.0, 0.0)[()]


def log2_flooding_distance(flooding_bits: ArrayLike, outputs: ArrayLike) -> Any:
    """log2 of the statistical distance that flooding leaves in one answer: log2(outputs) - F - 1, at most 0.

    A uniform distribution on 2*B_f + 1 values and its shift by at most B differ by B/(2*B_f + 1), less than
    2^-(F+1); the distances of the coefficients add up, and those of queries as well.

    Parameters
    ----------
    flooding_bits : array_like of float
        F; 0 is no flooding.
    outputs : array_like of int
        Coefficients of an answer that are sent.
    """
    bits = _float(flooding_bits)
    distance = np.minimum(np.log2(_float(outputs)) - bits - 1.0, 0.0)
    return np.where(bits > 0, distance, 0.0)[()]


def log2_failure(sigma: ArrayLike, limit: ArrayLike, outputs: ArrayLike) -> Any:
    """log2 of the probability that one of so many coefficients decrypts wrongly.

    log2(outputs * erfc(limit/(sigma*sqrt(2)))), the union bound, at most 0. Evaluated as log2(2 outputs
    Phi(-x)), which neither under- nor overflows.

    Parameters
    ----------
    sigma : array_like of float
        Standard deviation of the error.
    limit : array_like of float
        Error at which decryption fails, q/(2t).
    outputs : array_like of int
        Coefficients of an answer.
    """
    from scipy.special import log_ndtr

    with np.errstate(divide="ignore"):
        tail = log_ndtr(-_float(limit) / _float(sigma)) / _LN2
    return np.minimum(np.log2(_float(outputs)) + 1.0 + tail, 0.0)[()]


def log2_failure_of_products(
    fixed: ArrayLike, products: ArrayLike, known: ArrayLike, terms: ArrayLike, limit: ArrayLike, outputs: ArrayLike
) -> NDArray[np.float64]:
    """log2 of the probability that one of so many coefficients fails, with few external products in the noise.

    The noise of an external product is its digits times the noise of the encrypted bit's rows, of which few values are
    Gaussian by themselves: given them, its variance is not the mean but

        products ((1 - known) + known chi^2_n / n)

    so that the tail is that of a mixture, heavier than a Gaussian's of the same variance. Values of unequal weight are
    no worse than 1/(largest share) equal ones. Summed over chi^2_n on a logarithmic grid.

    Parameters
    ----------
    fixed
        Variance of all else.
    products
        Mean variance of the noise that external products add.
    known
        Part of it that is proportional to the square of one value a row.
    terms
        n, the number of values, or one over the largest share of one.
    limit
        Error at which decryption fails; at 0 and below every answer fails.
    outputs
        Coefficients of an answer.
    """
    from scipy.special import gammaln, logsumexp

    arrays = (fixed, products, known, terms, limit, outputs)
    fixed, products, known, terms, limit, outputs = (_float(array)[..., None] for array in arrays)
    shape = terms / 2.0
    log_x = np.linspace(math.log(1e-3), math.log(40.0), 1024)
    x = np.exp(log_x)
    log_weight = shape * (np.log(shape) + log_x - x) - gammaln(shape) + math.log(log_x[1] - log_x[0])
    tail = log2_failure(np.sqrt(fixed + products * (1.0 - known + known * x)), limit, outputs)
    total = np.minimum(logsumexp(log_weight + tail * _LN2, axis=-1) / _LN2, 0.0)
    return np.where(limit[..., 0] > 0, total, 0.0)[()]


def tail_factor(log2_probability: ArrayLike) -> Any:
    """Standard deviations that a Gaussian exceeds, either way, with probability 2^log2_probability."""
    from scipy.special import ndtri_exp

    return (-ndtri_exp((_float(log2_probability) - 1.0) * _LN2))[()]


def required_ratio(log2_failure: ArrayLike, outputs: ArrayLike) -> Any:
    """Ratio limit/sigma at which so many coefficients fail with a probability; 8.08 for 1366 at 2^-40."""
    return tail_factor(_float(log2_failure) - np.log2(_float(outputs)))


def noise_bits(sigma: ArrayLike, log2_q: ArrayLike, plaintext_modulus: ArrayLike) -> Any:
    """log2 of the standard deviation as a fraction of the decoding interval q/t; decryption fails at -1."""
    return (np.log2(_float(sigma)) - _float(log2_q) + np.log2(_float(plaintext_modulus)))[()]


def smallest_log2_q(
    variance: ArrayLike,
    plaintext_modulus: ArrayLike,
    outputs: ArrayLike,
    log2_failure: ArrayLike,
    N: ArrayLike = 1,
    a_bits: ArrayLike = np.inf,
    b_bits: ArrayLike = np.inf,
) -> Any:
    """log2 of the smallest q with which an answer fails with at most a given probability.

    With x = `required_ratio`, sqrt(A + C q^2) <= q/(2 t x) must hold, C q^2 being the modulus switch:
    q = sqrt(A / (1/(2 t x)^2 - C)).

    Parameters
    ----------
    variance : array_like of float
        A, everything that does not grow with q.
    plaintext_modulus : array_like of int
        t.
    outputs : array_like of int
        Coefficients of an answer.
    log2_failure : array_like of float
        Target.
    N, a_bits, b_bits : array_like
        Modulus switch of the answer as `modulus_switch_variance`; all bits are kept by default.

    Returns
    -------
    float64 array (scalar in, scalar out)
        Infinite where no q is large enough, because too few bits are kept of an answer.
    """
    budget = _budget(plaintext_modulus, outputs, log2_failure)
    left = budget - modulus_switch_variance(0.0, N, a_bits, b_bits)
    with np.errstate(divide="ignore", invalid="ignore"):
        log2_q = 0.5 * (np.log2(_float(variance)) - np.log2(left))
    return np.where(left > 0, log2_q, np.inf)[()]


def largest_dropped_bits(
    variance: ArrayLike,
    encryption_variance: ArrayLike,
    product_factor: ArrayLike,
    log2_q: ArrayLike,
    plaintext_modulus: ArrayLike,
    outputs: ArrayLike,
    log2_failure: ArrayLike,
) -> Any:
    """Most low bits of a query's coefficients that may be left out for a target failure probability.

    Parameters
    ----------
    variance : array_like of float
        Of everything after the product: key switching, flooding, modulus switch.
    encryption_variance : array_like of float
        Of a coefficient of the query.
    product_factor : array_like of float
        m * E[W^2], by which the product multiplies the query's variance.
    log2_q, plaintext_modulus, outputs, log2_failure : array_like
        As `smallest_log2_q`.

    Returns
    -------
    int64 array (scalar in, scalar out)
        Bits; -1 where the target is missed even if none is dropped.
    """
    budget = _budget(plaintext_modulus, outputs, log2_failure) * np.exp2(2.0 * _float(log2_q))
    room = (budget - _float(variance)) / _float(product_factor) - _float(encryption_variance)
    bits = np.floor(0.5 * np.log2(np.maximum(12.0 * room - 2.0, 1.0)))
    return np.where(room < 0, -1, np.where(room < dropped_bits_variance(1), 0, bits)).astype(np.int64)[()]


class AnswerBits(NamedTuple):
    """Bits that are kept of a coefficient of a and of b; int64 arrays."""

    a: Any
    b: Any


def smallest_answer_bits(
    variance: ArrayLike,
    log2_q: ArrayLike,
    N: ArrayLike,
    plaintext_modulus: ArrayLike,
    outputs: ArrayLike,
    log2_failure: ArrayLike,
) -> AnswerBits:
    """Bits of a and b that make the shortest answer, N a + outputs b, for a target failure probability.

    Parameters
    ----------
    variance : array_like of float
        Of everything before the modulus switch.
    log2_q, N, plaintext_modulus, outputs, log2_failure : array_like
        As `smallest_log2_q` and `modulus_switch_variance`.

    Returns
    -------
    AnswerBits
        At most log2 q rounded up each; -1 both where the target is missed with all bits.
    """
    degree, results = _float(N), _float(outputs)
    q_bits = np.ceil(_float(log2_q))
    room = _budget(plaintext_modulus, outputs, log2_failure) - _float(variance) * np.exp2(-2.0 * _float(log2_q))
    per_a = degree * TERNARY_VARIANCE / 12.0
    possible = room > 0
    safe = np.where(possible, room, 1.0)
    # The fewest bits of a leave nothing for b; each further bit shortens b ever less, by at most one after
    # four.
    fewest = np.floor(0.5 * np.log2(per_a / safe)) + 1.0
    best_a = best_b = np.full(np.broadcast_shapes(fewest.shape, results.shape, q_bits.shape), -1.0)
    best_size: NDArray[np.float64] = np.full(best_a.shape, np.inf)
    for more in range(12):
        a = np.maximum(fewest + more, 0.0)
        left = safe - np.where(a < q_bits, per_a * np.exp2(-2.0 * a), 0.0)
        b = np.maximum(np.ceil(-0.5 * np.log2(12.0 * np.where(left > 0, left, 1.0))), 0.0)
        a, b = np.minimum(a, q_bits), np.minimum(b, q_bits)
        size = degree * a + results * b
        better = possible & (left > 0) & (size < best_size)
        best_a, best_b = np.where(better, a, best_a), np.where(better, b, best_b)
        best_size = np.where(better, size, best_size)
    return AnswerBits(best_a.astype(np.int64)[()], best_b.astype(np.int64)[()])


def _float(value: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64)


def _digit_squares(q_bits: ArrayLike, digit_bits: ArrayLike) -> NDArray[np.float64]:
    """Sum over the digits of B_i^2."""
    base, bits = _float(digit_bits), _float(q_bits)
    whole = np.ceil(bits / base) - 1.0
    squares: NDArray[np.float64] = whole * np.exp2(2.0 * base) + np.exp2(2.0 * (bits - whole * base))
    return squares


def _budget(plaintext_modulus: ArrayLike, outputs: ArrayLike, log2_failure: ArrayLike) -> NDArray[np.float64]:
    """Largest variance over q^2 that holds the target: 1/(2 t x)^2."""
    budget: NDArray[np.float64] = 1.0 / np.square(
        2.0 * _float(plaintext_modulus) * required_ratio(log2_failure, outputs)
    )
    return budget
