"""Buckets of a prompt's rows: how many there are, and the probability that the distinct tokens do not fit in them.

Every one of h hash functions is a permutation of the table's rows, cut into G equal buckets. So a row stands in h of
the B = h G buckets, one of each function's, and every bucket has n = ceil(m/G) rows. A prompt's distinct tokens are
*placed* if each has a bucket of its own, which is a matching.

By Hall's theorem none exists exactly if some s tokens have fewer than s buckets. The smallest such set has s - 1
buckets, each with at least two of its tokens: without a token whose bucket is no other's, a smaller set would do. Under
one function, random s of the G n places fall into exactly b buckets, at least two into each, with probability

    P(s, b) = C(G, b) a(s, b)/C(G n, s)        a(s, b) = [x^s] ((1 + x)^n - 1 - n x)^b

and the union over all sets of tokens and all numbers of buckets bounds the failure [1]_ [2]_:

    failure <= sum_s C(T, s) sum_(b_1 + ... + b_h = s - 1) product_i P(s, b_i)

References
----------
.. [1] P. Hall, "On representatives of subsets", J. London Math. Soc. 10 (1935).
.. [2] K. Yeo, "Cuckoo hashing in cryptography: optimal parameters, robustness and applications", CRYPTO 2023
   (more hash functions against failures of small sets).
.. [3] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018, section 4 (buckets of a batch by cuckoo hashing).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from costmodel.errors import Incompatible

HASHES = 4
"""Buckets of a row. For 2^-41 by the bound below, 128 tokens of 32,000 rows need 3.3 buckets a token with three hash
functions, 1.25 with four and 1.13 with five, whose buckets are larger by 38 %."""

Floats = NDArray[np.float64]


def hashes_of(tokens: int) -> int:
    """Hash functions for a prompt of so many tokens: no more than it has tokens."""
    return min(HASHES, tokens)


@lru_cache(maxsize=4096)
def log2_failure(tokens: int, hashes: int, group: int, bucket_rows: int) -> float:
    """log2 of the probability that distinct tokens do not all have a bucket of their own; minus infinity if they must.

    Parameters
    ----------
    tokens
        T, distinct tokens at most.
    hashes, group
        h hash functions, of G buckets each.
    bucket_rows
        n, rows of a bucket.

    Examples
    --------
    >>> round(log2_failure(128, 4, 40, 800), 1)
    -46.4
    >>> log2_failure(4, 4, 1, 1000)
    -inf
    """
    tokens = min(tokens, group * bucket_rows)  # no more are distinct
    ways = _log_ways(tokens, bucket_rows)
    buckets = np.arange(ways.shape[1], dtype=float)
    inside = buckets <= group
    chosen = np.where(inside, _log_binomial(group, np.minimum(buckets, group)), -np.inf)
    terms = [-np.inf]
    for size in range(hashes + 1, tokens + 1):
        most = min(group, size // 2)
        if hashes * most >= size - 1:
            one = (chosen + ways[size] - _log_binomial(group * bucket_rows, size))[: most + 1]
            terms.append(float(_log_binomial(tokens, size)) + _log_coefficient(one, hashes, size - 1))
    return float(np.logaddexp.reduce(terms) / np.log(2.0))


@lru_cache(maxsize=1024)
def choose_group(rows: int, tokens: int, log2_target: float) -> int:
    """Fewest buckets G of a hash function with which the failure of a prompt is within the target.

    Raises
    ------
    ValueError
        If the target is not reached by ten buckets a token and function.

    Examples
    --------
    >>> choose_group(32000, 128, -41), choose_group(32000, 1, -41)
    (40, 1)
    """
    hashes = hashes_of(tokens)

    def holds(group: int) -> bool:
        return log2_failure(tokens, hashes, group, -(-rows // group)) <= log2_target

    low, high = 0, -(-tokens // hashes)
    while not holds(high):
        low, high = high, high + max(1, high // 4)
        if high > 10 * tokens:
            raise Incompatible(
                f"log2_failure is {log2_target:g}; no buckets of {rows} rows place {tokens} tokens so often"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@lru_cache(maxsize=8)
def _log_ways(tokens: int, bucket_rows: int) -> Floats:
    """Log a(s, b) for s up to ``tokens`` and b up to half of them.

    From the derivative of F_b = ((1 + x)^n - 1 - n x)^b: (1 + x) F_b' = b n F_b + b n (n - 1) x F_(b-1).
    """
    n, buckets = float(bucket_rows), np.arange(tokens // 2 + 1, dtype=float)
    out = np.full((tokens + 1, len(buckets)), -np.inf)
    out[0, 0] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        more = np.log(buckets[1:] * n * (n - 1.0))
        for size in range(1, tokens):
            stay = np.log(np.maximum(buckets * n - size, 0.0)) + out[size]
            step = more + out[size - 1, :-1]
            out[size + 1] = np.logaddexp(stay, np.concatenate([[-np.inf], step])) - np.log(size + 1.0)
    return out


def _log_coefficient(one: Floats, power: int, place: int) -> float:
    """Log of a coefficient of a power of the polynomial whose coefficients have these logs.

    The polynomial is tilted until its largest coefficient stands at the place's share, so that the coefficients that
    the place is made of are floating-point numbers.
    """
    middle = max(place // power, 1)
    pair = one[middle : middle + 2]
    tilt = pair[0] - pair[1] if len(pair) == 2 and np.all(np.isfinite(pair)) else 0.0
    tilted = one + tilt * np.arange(len(one))
    most = np.max(tilted)
    if most == -np.inf:
        return -np.inf
    factor = np.exp(tilted - most)
    product = factor
    for _ in range(power - 1):
        product = np.convolve(product, factor)[: place + 1]
    with np.errstate(divide="ignore"):
        return float(np.log(product[place]) + power * most - tilt * place)


def _log_binomial(n: float, k: Floats | float) -> Floats:
    from scipy.special import gammaln  # here, since a server needs no statistics to load

    found: Floats = gammaln(n + 1.0) - gammaln(np.asarray(k) + 1.0) - gammaln(n - np.asarray(k) + 1.0)
    return found
