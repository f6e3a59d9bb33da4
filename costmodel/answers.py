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
ANSWER_RINGS = ((DEGREE, MODULUS_BITS), (2048, MOST_MODULUS_BITS), (4096, MOST_MODULUS_BITS))
"""Degrees and largest moduli that are tried for answers; 53 bits are the most that (2048, 128 bits of security) has."""
TOGETHER = (1, 2, 4)
"""Ciphertexts under one a that are tried."""
MOST_DIGITS = 26
MOST_EXTRA_HALF_BITS = 32
"""Of two coefficients of a over twice the bits of t."""
MOST_SEARCHED_LOW_BITS = 5
"""A sixth bit of b would leave 2 % more room for the error."""


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


class AnswerKinds(NamedTuple):
    """Kinds of answers, arrays of one axis; of one kind every ring, key and rounding is tried.

    Attributes
    ----------
    plaintext_modulus
        t.
    degree
        N, of the ciphertexts.
    stride
        Every so many coefficients of a ciphertext one may hold a result.
    ciphertexts
        C, of a row.
    tokens
        Rows that are looked up together; those of one ciphertext may share an a.
    most_modulus_bits
        Largest modulus that an answer may have, in bits.
    sigma
        Noise of the key.
    key_byte_share
        Part of a byte of the key that is counted with an answer.
    """

    plaintext_modulus: NDArray[np.int64]
    degree: NDArray[np.int64]
    stride: NDArray[np.int64]
    ciphertexts: NDArray[np.int64]
    tokens: NDArray[np.int64]
    most_modulus_bits: NDArray[np.int64]
    sigma: Floats
    key_byte_share: Floats

    @classmethod
    def distinct(cls, *arrays: ArrayLike) -> tuple[AnswerKinds, NDArray[np.int64]]:
        """The kinds among arrays that broadcast with each other, and the row of each in them."""
        wide = np.broadcast_arrays(*(np.asarray(array, dtype=np.float64) for array in arrays))
        stacked = np.stack([array.reshape(-1) for array in wide], axis=-1)
        values, rows = np.unique(stacked, axis=0, return_inverse=True)
        whole = (column.astype(np.int64) for column in values.T[:6])
        return cls(*whole, *values.T[6:]), rows.reshape(wide[0].shape)


class Answers(NamedTuple):
    """Chosen answers, arrays; the bytes are infinite where none leaves room for the error before.

    Attributes
    ----------
    size
        Bytes of the answer to a row, and of the key at the share that is counted.
    degree, modulus_bits, ciphertexts, digits, digit_bits, a_half_bits, low_bits
        As of :class:`SharedAnswer`; no digits without a switch.
    """

    size: Floats
    degree: NDArray[np.int64]
    modulus_bits: NDArray[np.int64]
    ciphertexts: NDArray[np.int64]
    digits: NDArray[np.int64]
    digit_bits: NDArray[np.int64]
    a_half_bits: NDArray[np.int64]
    low_bits: NDArray[np.int64]


class AnswerTable:
    """Every sensible ring, key and rounding of a by the variance that they add; a row for every kind of answer.

    Of one ring, number of ciphertexts under one a and number of digits, the width of the digits is the one that adds
    least. What is left of the limit after the error before decides among them and the widths of a by one search of a
    sorted list, for every number of low bits.

    Parameters
    ----------
    kinds
        Kinds of answers.
    """

    _ROW = 4096.0

    def __init__(self, kinds: AnswerKinds) -> None:
        t, N, stride, count, tokens, most = (array[:, None, None, None, None] for array in kinds[:6])
        sigma, share = (array[:, None, None, None, None] for array in kinds[6:])
        wanted, bits, together, digits, extra = (
            array.reshape(shape)
            for array, shape in (
                (np.array([one for one, _ in ANSWER_RINGS]), (-1, 1, 1, 1)),
                (np.array([one for _, one in ANSWER_RINGS]), (-1, 1, 1, 1)),
                (np.array(TOGETHER), (1, -1, 1, 1)),
                (np.arange(1, MOST_DIGITS + 1), (1, 1, -1, 1)),
                (np.arange(MOST_EXTRA_HALF_BITS + 1), (1, 1, 1, -1)),
            )
        )
        degree, modulus_bits = np.minimum(wanted, N), np.minimum(bits, most)
        parts = N // degree
        switches = parts * together > 1
        half_bits = 2 * (np.frexp(t.astype(np.float64))[1]) + extra
        width, switched = _best_width(degree, modulus_bits, parts, together, digits, sigma)
        outputs = together * np.maximum(parts // stride, 1)
        units = modulus_rounding_variance(N) + np.where(switches, switched, 0.0)
        added = cells_squared(units, t, modulus_bits) + a_rounding_variance(degree, t, half_bits)
        fits = (wanted <= np.maximum(N, ANSWER_RINGS[0][0])) & (together <= np.where(count > 1, count, tokens))
        fits = fits & (half_bits <= 2 * modulus_bits) & (t * 2.0**MOST_SEARCHED_LOW_BITS <= np.exp2(modulus_bits))
        fits = fits & np.where(switches, width > 0, digits == 1)
        key = np.where(switches, together * parts * digits * outputs * degree * modulus_bits / 8.0, 0.0)
        polynomials = np.where(count > 1, -(-count // together), -(-tokens // together) / tokens)
        size = polynomials * degree * half_bits / 16.0 + share * key
        zero = np.zeros_like(digits)
        columns = (degree, modulus_bits, together, np.where(switches, digits, zero), np.where(switches, width, 1))
        shape = np.broadcast_shapes(added.shape, size.shape)
        flat = [
            np.broadcast_to(array, shape).reshape(len(kinds.sigma), math.prod(shape[1:]))
            for array in (*columns, half_bits)
        ]
        size = np.where(np.broadcast_to(fits, shape), size, np.inf).reshape(len(kinds.sigma), math.prod(shape[1:]))
        room = np.log2(np.broadcast_to(added, shape).reshape(size.shape))
        room = np.where(np.isfinite(size), room, self._ROW / 4)
        order = np.lexsort((room, size), axis=-1)
        self._width = order.shape[1] + 1
        # A last place that nothing fits stands for a refusal.
        self._size = np.pad(np.take_along_axis(size, order, axis=1), ((0, 0), (0, 1)), constant_values=np.inf).reshape(
            -1
        )
        self._columns = [np.pad(np.take_along_axis(one, order, axis=1), ((0, 0), (0, 1))).reshape(-1) for one in flat]
        least = np.minimum.accumulate(np.take_along_axis(room, order, axis=1), axis=1)
        first = np.arange(len(least))[:, None] * self._ROW
        self._sorted = np.pad(first - least, ((0, 0), (0, 1)), constant_values=0.0)
        self._sorted[:, -1] = first[:, 0] + self._ROW / 2
        self._sorted = self._sorted.reshape(-1)
        self._kinds = kinds

    def smallest(
        self, rows: NDArray[np.int64], variance: Floats, flooding: ArrayLike, ratio: ArrayLike, coefficients: ArrayLike
    ) -> Answers:
        """The answers of the fewest bytes, those of the key counted at a share, within a deviation of the limit.

        Parameters
        ----------
        rows
            Kinds.
        variance
            Of the error before the answer, in cells squared.
        flooding
            Bound of the flooding in cells, which comes off the limit.
        ratio
            Standard deviations that the limit must be away.
        coefficients
            Coefficients of b that hold results.
        """
        count = np.asarray(coefficients, dtype=np.float64)
        arrays = np.broadcast_arrays(rows, variance, flooding, ratio, count)
        rows, variance, flooding, ratio, count = arrays
        best, place, low = np.full(variance.shape, np.inf), np.zeros(variance.shape, dtype=np.int64), 1
        bits = np.ones(variance.shape, dtype=np.int64)
        for low in range(1, MOST_SEARCHED_LOW_BITS + 1):
            deviation = np.maximum(share_limit(low) - flooding, 0.0) / ratio
            left = np.square(deviation) - variance
            with np.errstate(divide="ignore"):
                room = np.clip(np.log2(np.maximum(left, 0.0)), -self._ROW / 4 + 1, self._ROW / 4 - 1)
            found = np.searchsorted(self._sorted, rows * self._ROW - room)
            size = np.where(left > 0, self._size[found] + count * (low / 8.0), np.inf)
            better = size < best
            best, place, bits = (
                np.where(better, size, best),
                np.where(better, found, place),
                np.where(better, low, bits),
            )
        degree, modulus_bits, together, digits, width, half_bits = (column[place] for column in self._columns)
        return Answers(best, degree, modulus_bits, together, digits, width, half_bits, bits)


def _best_width(
    degree: NDArray[np.int64],
    modulus_bits: NDArray[np.int64],
    parts: NDArray[np.int64],
    together: NDArray[np.int64],
    digits: NDArray[np.int64],
    sigma: Floats,
) -> tuple[NDArray[np.int64], Floats]:
    """Bits of a digit with which a switch adds least, 0 where digits of one bit are too many, and what it adds."""
    widths = np.arange(1, MOST_MODULUS_BITS + 1)
    fits = digits[..., None] * widths <= modulus_bits[..., None]
    ring, bits, pieces, count, number, noise = (
        array[..., None] for array in np.broadcast_arrays(degree, modulus_bits, parts, together, digits, sigma)
    )
    switched = shared_switch_variance(ring, bits, pieces, count, number, np.where(fits, widths, 0), noise)
    variance = np.where(fits, switched, np.inf)
    best = np.argmin(variance, axis=-1)
    least = np.take_along_axis(variance, best[..., None], axis=-1)[..., 0]
    return np.where(np.isfinite(least), widths[best], 0), least


def choose_shared_answer(
    plaintext_modulus: int,
    coefficients: int,
    degree: int,
    stride: int,
    variance: float,
    *,
    ciphertexts: int = 1,
    tokens: int = 1,
    most_modulus_bits: int = MOST_MODULUS_BITS,
    flooding: float = 0.0,
    log2_target: float = -40.0,
    key_byte_share: float = 2.5e-4,
    sigma: float = 3.19,
) -> SharedAnswer:
    """Return the answer of the fewest bytes, those of its key counted at a share, that holds a failure probability.

    Parameters
    ----------
    plaintext_modulus, coefficients, stride, sigma
        As of :class:`SharedAnswer`.
    degree
        N, of the ciphertexts.
    variance
        Of the error before the answer, in cells squared.
    ciphertexts
        C, of a row; as many as are worth it share one a.
    tokens
        Rows that are looked up together; as many of one ciphertext as are worth it share one a.
    most_modulus_bits
        Largest modulus that an answer may have, in bits.
    flooding
        Bound of the flooding in cells, which comes off the limit.
    log2_target
        log2 of the probability that any share of the answer is wrong.
    key_byte_share
        Part of a byte of the key that is counted with an answer.

    Raises
    ------
    ValueError
        If no choice holds the target.

    Examples
    --------
    >>> chosen = choose_shared_answer(512, 2048, 2048, 1, 1e-6)
    >>> chosen.digits, chosen.digit_bits, chosen.a_half_bits, chosen.low_bits, chosen.answer_bytes
    (7, 3, 34, 1, 2432)
    """
    kinds, row = AnswerKinds.distinct(
        plaintext_modulus, degree, stride, ciphertexts, tokens, most_modulus_bits, sigma, key_byte_share
    )
    ratio = required_ratio(log2_target, coefficients)
    found = AnswerTable(kinds).smallest(row, np.asarray(variance), flooding, ratio, coefficients)
    if not np.isfinite(found.size):
        raise ValueError(
            f"plaintext_modulus is {plaintext_modulus}; no answer of up to {most_modulus_bits} bits holds it at "
            f"2^{log2_target} with a deviation of {math.sqrt(variance):.2g} cells before and flooding of {flooding} "
            "cells: lower either, or take a larger ring"
        )
    parts, together = degree // int(found.degree), int(found.ciphertexts)
    return SharedAnswer(
        plaintext_modulus=plaintext_modulus,
        coefficients=min(
            coefficients * (together if ciphertexts == 1 else 1), together * max(parts // stride, 1) * int(found.degree)
        ),
        parts=parts,
        stride=min(stride, parts),
        ciphertexts=together,
        digits=int(found.digits),
        digit_bits=int(found.digit_bits),
        a_half_bits=int(found.a_half_bits),
        low_bits=int(found.low_bits),
        degree=int(found.degree),
        modulus_bits=int(found.modulus_bits),
        sigma=sigma,
    )
