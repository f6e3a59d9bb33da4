"""Answers of two or more secrets under one a, of which only the lowest bits of b travel: noise, bytes and failure.

A ciphertext of degree N = P N' falls into P parts of degree N' in Y = X^P, a = sum_k X^k a_k(Y), and part j of a*s is
sum_k a_k s_jk with s_jk = s_(j-k mod P), times Y where k > j. The server switches every part of b that holds results
to a secret s'_o of its own, all of them under one a. A row of the key belongs to a digit d of a part of a and has, for
every o,

    B_o = -A s'_o + E_o + 2^(D + b d) s_jk        (without the last term where part k is not of o's ciphertext)

so that the sums of digits times rows leave one a' and as many b' as there are secrets. One row serves all parts of b
of its ciphertext, because they meet the same digits.

Shares. With beta = t b'/q' in cells of the plaintext, the server's share is sigma = floor(beta) mod t, and the r
uppermost bits of beta - sigma are all that is sent of b'. The client's share is the nearest integer to
(low + 1/2)/2^r + t a' s'/q'. Both add up to the message while |error| < 1/2 - 2^-(r+1) cells.

Variances are of one coefficient, in units of 1 at the modulus q' = 2^k or in cells squared, as functions say; secrets
are ternary.

References
----------
.. [1] C. Peikert, "Lattice cryptography for the Internet", PQCrypto 2014, section 3 (reconciliation).
.. [2] C. Peikert, V. Vaikuntanathan, B. Waters, "A framework for efficient and composable oblivious transfer",
   CRYPTO 2008, section 7.2 (one a under several secrets).
.. [3] C. Gentry, S. Halevi, C. Peikert, N. Smart, "Field switching in BGV-style homomorphic encryption", SCN 2012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.noise import TERNARY_VARIANCE, dropped_bits_variance, log2_failure, required_ratio
from costmodel.security import security_bits
from costmodel.wire import SEED_BYTES

Floats = NDArray[np.float64]

DEGREE = 1024
MODULUS_BITS = 26
"""The largest modulus with which ternary secrets of degree 1024 have 128 bits of security by both tables."""
MOST_MODULUS_BITS = 53
MOST_LOW_BITS = 8


@dataclass(frozen=True)
class SharedAnswer:
    """Answers to one or more ciphertexts under one a: the ring that they come back in and the widths that travel.

    Attributes
    ----------
    plaintext_modulus
        t; both shares are exactly uniform where it is a power of two, within t/q' of it otherwise.
    coefficients
        Coefficients of b that hold results, of all ciphertexts.
    parts
        P = N/N', a power of two.
    stride
        Every so many coefficients of a ciphertext one may hold a result: parts 0, stride, 2 stride, ... of b do.
    ciphertexts
        Ciphertexts whose answers share one a.
    digits, digit_bits
        Of the key switch, the uppermost ones; no digits where answers stay under the secret of their ciphertext.
    a_half_bits
        h: a coefficient of a is rounded to one of floor(2^(h/2)) values, two of which travel in h bits.
    low_bits
        r: bits that travel of a coefficient of b.
    degree, modulus_bits
        N' and log2 q'.
    sigma
        Noise of the key.

    Raises
    ------
    ValueError
        If a field is out of its bounds; the message names the field, its value and the bounds.

    Examples
    --------
    >>> one = SharedAnswer(512, coefficients=2048, parts=2, stride=1, ciphertexts=1, digits=8, digit_bits=3,
    ...                    a_half_bits=34, low_bits=2)
    >>> one.answer_bytes, one.key_bytes, one.security_bits
    (2688, 106528, 128)
    """

    plaintext_modulus: int
    coefficients: int
    parts: int
    stride: int
    ciphertexts: int
    digits: int
    digit_bits: int
    a_half_bits: int
    low_bits: int
    degree: int = DEGREE
    modulus_bits: int = MODULUS_BITS
    sigma: float = 3.19

    def __post_init__(self) -> None:
        self._require("modulus_bits", 4, MOST_MODULUS_BITS)
        self._require("ciphertexts", 1, 64)
        for name, least, most in (("degree", 16, 1 << 12), ("parts", 1, 64), ("stride", 1, self.parts)):
            self._require(name, least, most)
            self._require_power_of_two(name)
        self._require("low_bits", 1, min(MOST_LOW_BITS, self.modulus_bits - 2))
        self._require("plaintext_modulus", 2, 1 << (self.modulus_bits - self.low_bits))
        self._require("coefficients", 1, self.outputs * self.degree)
        self._require("digits", 0 if self.parts == self.ciphertexts == 1 else 1, self.modulus_bits)
        self._require("digit_bits", 1, self.modulus_bits // max(self.digits, 1))
        self._require("a_half_bits", 2 * self.plaintext_modulus.bit_length(), 2 * self.modulus_bits)
        if not 0.5 <= self.sigma <= 1000:
            raise ValueError(f"sigma is {self.sigma}; it must lie between 0.5 and 1000")

    @property
    def dropped_bits(self) -> int:
        """D, lowest bits of a that no digit covers."""
        return self.modulus_bits - self.digits * self.digit_bits

    @property
    def used_parts(self) -> tuple[int, ...]:
        """Parts of the b of a ciphertext that may hold results."""
        return tuple(range(0, self.parts, self.stride))

    @property
    def outputs(self) -> int:
        """Secrets of degree N', one for every used part of every ciphertext."""
        return self.ciphertexts * (self.parts // self.stride)

    @property
    def rows(self) -> int:
        """Rows of the key: one a digit of a part of a ciphertext's a."""
        return self.ciphertexts * self.parts * self.digits

    @property
    def a_values(self) -> int:
        """Values of a rounded coefficient of a, floor(2^(h/2))."""
        return a_values(self.a_half_bits)

    @property
    def a_bytes(self) -> int:
        """Bytes of a."""
        return -(-(self.degree // 2) * self.a_half_bits // 8)

    @property
    def b_bytes(self) -> int:
        """Bytes of the low bits of b."""
        return -(-self.coefficients * self.low_bits // 8)

    @property
    def answer_bytes(self) -> int:
        """Bytes of a and of the low bits of b."""
        return self.a_bytes + self.b_bytes

    @property
    def key_bytes(self) -> int:
        """Bytes of the key: a seed, and a polynomial modulo q' for every row and secret."""
        if not self.rows:
            return 0
        return SEED_BYTES + -(-self.rows * self.outputs * self.degree * self.modulus_bits // 8)

    @property
    def transforms(self) -> int:
        """Number-theoretic transforms of degree N' of a switch, if one prime holds the products."""
        return self.rows + 1 + self.outputs if self.rows else 0

    @property
    def security_bits(self) -> int:
        """Security level of the key's ring."""
        return int(security_bits(self.degree, self.modulus_bits))

    @property
    def variance(self) -> float:
        """Variance in cells squared that modulus switch, key switch and the rounding of a add."""
        p = self
        units = modulus_rounding_variance(p.degree * p.parts)
        if p.rows:
            units = units + shared_switch_variance(
                p.degree, p.modulus_bits, p.parts, p.ciphertexts, p.digits, p.digit_bits, p.sigma
            )
        rounding = a_rounding_variance(p.degree, p.plaintext_modulus, p.a_half_bits)
        return float(cells_squared(units, p.plaintext_modulus, p.modulus_bits) + rounding)

    def log2_failure(self, variance: float, flooding: float = 0.0) -> float:
        """Return log2 of the probability that any share of the answer is wrong.

        Parameters
        ----------
        variance
            Of everything before the answer, in cells squared.
        flooding
            Bound of the flooding in cells.
        """
        limit = float(share_limit(self.low_bits)) - flooding
        if limit <= 0:
            return 0.0
        return float(log2_failure(math.sqrt(variance + self.variance), limit, self.coefficients))

    def _require(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; it must lie between {low} and {high}")

    def _require_power_of_two(self, name: str) -> None:
        value = getattr(self, name)
        if value & (value - 1):
            raise ValueError(f"{name} is {value}; it must be a power of two")


def a_values(half_bits: int) -> int:
    """Return how many values half of ``half_bits`` bits hold: floor(2^(h/2))."""
    return math.isqrt(1 << half_bits)


def modulus_rounding_variance(N: ArrayLike) -> Floats:
    """Variance of rounding both elements of a ciphertext of degree N to integers modulo q': (1 + 2N/3)/12.

    In units of 1 at q'.
    """
    return np.asarray((1.0 + TERNARY_VARIANCE * np.asarray(N, dtype=np.float64)) / 12.0)


def shared_switch_variance(
    degree: ArrayLike,
    modulus_bits: ArrayLike,
    parts: ArrayLike,
    ciphertexts: ArrayLike,
    digits: ArrayLike,
    digit_bits: ArrayLike,
    sigma: ArrayLike = 3.19,
) -> Floats:
    """Variance that the switch to secrets under one a adds to a coefficient, in units of 1 at q'.

    With l digits of base B = 2^b, uniform in [-B/2, B/2), and D = k - l b dropped bits of mean square (4^D + 2)/12,

        P T l N' sigma^2 (B^2 + 2)/12 + P N' (2/3) (4^D + 2)/12

    The digits of all T ciphertexts meet the noise of their rows in every b'; the dropped bits of a ciphertext meet
    its own secret alone.

    Parameters
    ----------
    degree : array_like of int
        N', of the answer.
    modulus_bits : array_like of int
        k = log2 q'.
    parts : array_like of int
        P = N/N'.
    ciphertexts : array_like of int
        T, ciphertexts whose answers share one a.
    digits, digit_bits : array_like of int
        l and b, with l b at most k.
    sigma : array_like of float
        Noise of the key.

    Returns
    -------
    float64 array

    Examples
    --------
    >>> round(float(np.sqrt(shared_switch_variance(1024, 26, 2, 1, 8, 3))) / 2**17, 5)
    0.00731
    """
    count, bits = (np.asarray(value, dtype=np.float64) for value in (digits, digit_bits))
    terms = np.asarray(parts, dtype=np.float64) * np.asarray(degree, dtype=np.float64)
    digit = np.square(np.asarray(sigma, dtype=np.float64)) * (np.exp2(2.0 * bits) + 2.0) / 12.0
    dropped = TERNARY_VARIANCE * dropped_bits_variance(np.asarray(modulus_bits, dtype=np.float64) - count * bits)
    return np.asarray(terms * (np.asarray(ciphertexts, dtype=np.float64) * count * digit + dropped))


def cells_squared(variance: ArrayLike, plaintext_modulus: ArrayLike, modulus_bits: ArrayLike) -> Floats:
    """Return a variance in units of 1 at q' = 2^k in cells squared: times (t/q')^2."""
    cells = np.log2(np.asarray(plaintext_modulus, dtype=np.float64)) - np.asarray(modulus_bits, dtype=np.float64)
    return np.asarray(np.asarray(variance, dtype=np.float64) * np.exp2(2.0 * cells))


def a_rounding_variance(degree: ArrayLike, plaintext_modulus: ArrayLike, a_half_bits: ArrayLike) -> Floats:
    """Variance in cells squared of rounding a to 2^(h/2) values: t^2 2^-h N'/18."""
    square = np.square(np.asarray(plaintext_modulus, dtype=np.float64))
    rounding = np.exp2(-np.asarray(a_half_bits, dtype=np.float64)) * TERNARY_VARIANCE / 12.0
    return np.asarray(square * rounding * np.asarray(degree, dtype=np.float64))


def share_limit(low_bits: ArrayLike) -> Floats:
    """Error in cells below which the shares of r low bits are right: 1/2 - 2^-(r+1)."""
    return np.asarray(0.5 - np.exp2(-np.asarray(low_bits, dtype=np.float64) - 1.0))


class AnswerOptions(NamedTuple):
    """Answers of which none is smaller and leaves more room for the error before; arrays, the smallest first.

    Attributes
    ----------
    variance
        Largest variance of the error before the answer with which it holds its target, in cells squared, growing.
    size
        Bytes of the answer, and of its key at the share that is counted.
    digits, digit_bits, a_half_bits, low_bits
        As of :class:`SharedAnswer`.
    """

    variance: Floats
    size: Floats
    digits: NDArray[np.int64]
    digit_bits: NDArray[np.int64]
    a_half_bits: NDArray[np.int64]
    low_bits: NDArray[np.int64]


def answer_options(
    plaintext_modulus: int,
    coefficients: int,
    parts: int,
    stride: int,
    *,
    ciphertexts: int = 1,
    flooding: float = 0.0,
    log2_target: float = -40.0,
    key_byte_share: float = 2.5e-4,
    degree: int = DEGREE,
    modulus_bits: int = MODULUS_BITS,
    sigma: float = 3.19,
) -> AnswerOptions:
    """Return the answers that a search has to choose from, by the room that they leave.

    Every number and width of digits, every width of a and of the low bits of b is tried, as one array; a single
    ciphertext of the answer's degree is not switched. The first
    option whose ``variance`` is at least that of the error before the answer is the best for it:
    ``np.searchsorted(options.variance, variance)``.

    Parameters
    ----------
    plaintext_modulus, coefficients, parts, stride, ciphertexts, degree, modulus_bits, sigma
        As of :class:`SharedAnswer`.
    flooding
        Bound of the flooding in cells, which comes off the limit.
    log2_target
        log2 of the probability that any share of the answer is wrong.
    key_byte_share
        Part of a byte of the key that is counted with an answer.

    Examples
    --------
    >>> options = answer_options(512, 2048, 2, 1)
    >>> round(float(options.size[0])), round(float(np.sqrt(options.variance[-1])), 2)
    (2455, 0.06)
    """
    switches = parts * ciphertexts > 1
    digits, digit_bits, half_bits, low_bits = np.meshgrid(
        np.arange(1, modulus_bits + 1) if switches else np.zeros(1, dtype=np.int64),
        np.arange(1, modulus_bits + 1) if switches else np.ones(1, dtype=np.int64),
        np.arange(2 * plaintext_modulus.bit_length(), 2 * modulus_bits + 1),
        np.arange(1, min(MOST_LOW_BITS, modulus_bits - (plaintext_modulus - 1).bit_length()) + 1),
        indexing="ij",
        sparse=True,
    )
    allowed = digits * digit_bits <= modulus_bits
    width = np.where(allowed, digit_bits, 0)
    switched = shared_switch_variance(degree, modulus_bits, parts, ciphertexts, digits, width, sigma) * switches
    units = switched + modulus_rounding_variance(degree * parts)
    added = cells_squared(units, plaintext_modulus, modulus_bits)
    added = added + a_rounding_variance(degree, plaintext_modulus, half_bits)
    deviation = np.maximum(share_limit(low_bits) - flooding, 0.0) / required_ratio(log2_target, coefficients)
    variance = np.where(allowed, np.square(deviation) - added, -1.0)
    outputs = ciphertexts * (parts // stride)
    key = ciphertexts * parts * digits * outputs * degree * modulus_bits / 8.0
    size = degree * half_bits / 16.0 + coefficients * low_bits / 8.0 + key_byte_share * key
    size = np.broadcast_to(size, variance.shape)

    order = np.flatnonzero(variance > 0)
    order = order[np.lexsort((-variance.flat[order], size.flat[order]))]
    room = variance.flat[order]
    order = order[room > np.concatenate([[0.0], np.maximum.accumulate(room)[:-1]])]
    chosen = (
        np.broadcast_to(values, variance.shape).flat[order] for values in (digits, digit_bits, half_bits, low_bits)
    )
    return AnswerOptions(variance.flat[order], size.flat[order], *chosen)


def choose_shared_answer(
    plaintext_modulus: int,
    coefficients: int,
    parts: int,
    stride: int,
    variance: float,
    *,
    ciphertexts: int = 1,
    flooding: float = 0.0,
    log2_target: float = -40.0,
    key_byte_share: float = 2.5e-4,
    degree: int = DEGREE,
    modulus_bits: int = MODULUS_BITS,
    sigma: float = 3.19,
) -> SharedAnswer:
    """Return the answer of the fewest bytes, those of its key counted at a share, that holds a failure probability.

    Parameters
    ----------
    variance
        Of the error before the answer, in cells squared.
    plaintext_modulus, coefficients, parts, stride, ciphertexts, flooding, log2_target, key_byte_share, degree, \
    modulus_bits, sigma
        As of :func:`answer_options`.

    Raises
    ------
    ValueError
        If no choice holds the target.

    Examples
    --------
    >>> chosen = choose_shared_answer(512, 2048, 2, 1, 1e-6)
    >>> chosen.digits, chosen.digit_bits, chosen.a_half_bits, chosen.low_bits, chosen.answer_bytes
    (7, 3, 34, 1, 2432)
    """
    options = answer_options(
        plaintext_modulus,
        coefficients,
        parts,
        stride,
        ciphertexts=ciphertexts,
        flooding=flooding,
        log2_target=log2_target,
        key_byte_share=key_byte_share,
        degree=degree,
        modulus_bits=modulus_bits,
        sigma=sigma,
    )
    place = int(np.searchsorted(options.variance, variance))
    if place == len(options.variance):
        raise ValueError(
            f"plaintext_modulus is {plaintext_modulus}; no answer of degree {degree} modulo 2^{modulus_bits} holds it "
            f"at 2^{log2_target} with a deviation of {math.sqrt(variance):.2g} cells before and flooding of {flooding} "
            "cells: lower either, or take a larger ring"
        )
    return SharedAnswer(
        plaintext_modulus=plaintext_modulus,
        coefficients=coefficients,
        parts=parts,
        stride=stride,
        ciphertexts=ciphertexts,
        digits=int(options.digits[place]),
        digit_bits=int(options.digit_bits[place]),
        a_half_bits=int(options.a_half_bits[place]),
        low_bits=int(options.low_bits[place]),
        degree=degree,
        modulus_bits=modulus_bits,
        sigma=sigma,
    )
