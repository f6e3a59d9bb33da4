r"""Channels packed as digits of one coefficient, and what carries between the digits of two shares.

A coefficient packs channels x_0, x_1, ... as digits in mixed radix: X = sum_i x_i M_i, M_i = m_0 ... m_{i-1},
modulo t = m_0 m_1 ... m_{f-1}. Fields of k_i bits are m_i = 2^k_i. Each field keeps at least half of its
range free:

    0 <= x_i < h_i = floor(m_i / 2)                        (top bit zero where m_i = 2^k_i).

Let C + S = X mod t be additive shares with digits c_i and s_i, and w_i the carry out of field i when the
digits of C and S are added, w_{-1} = 0. By the definition of digits and carries

    c_i + s_i + w_{i-1} = x_i + m_i w_i,        so       x_i = c_i + s_i + w_{i-1} - m_i w_i            (1)

over the integers, hence modulo every 2^L. (The last carry is the wrap modulo t.)

Lemma. With a_i = [c_i >= h_i] and b_i = [s_i >= h_i]:  w_i = a_i OR b_i = a_i + b_i - a_i b_i.            (2)

Proof. The left-hand side of (1) is below 2 m_i, so w_i is 0 or 1. If neither digit reaches h_i, it is at most
2(h_i - 1) + 1 = 2 h_i - 1 < m_i, so w_i = 0. If one does, it is at least h_i > x_i, so w_i = 0 would
contradict (1), and w_i = 1. QED

So every carry depends on one bit of each party, whatever the carry into its field: all fields at once, one
AND each. Nothing here needs m_i to be a power of two; fields of 2 * levels, such as (20, 20, 20) modulo 8000,
do as well. What it does need is that t is the product of the moduli: modulo 8192, shares of base-20 digits
wrap at 8192, which is no multiple of 400, and (1) does not hold for the last digit. A last field that is
wider than its channel is fine.

Shares of w_i modulo 2^L give shares of x_i by (1). The last carry is only ever multiplied by m = m_{f-1}, so
that modulo 2^(L - v) suffices for it, 2^v the largest power of two that divides m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

MAX_TARGET_BITS = 64


def validate_target_bits(target_bits: int) -> None:
    """Raise ValueError unless 1 <= target_bits <= 64."""
    if not 1 <= target_bits <= MAX_TARGET_BITS:
        raise ValueError(f"target_bits is {target_bits}, must be 1 to {MAX_TARGET_BITS}")


@dataclass(frozen=True)
class Fields:
    """The fields of a coefficient, lowest first.

    Parameters
    ----------
    moduli : tuple of int
        Each at least 2; a channel's value in field i lies in [0, floor(moduli[i] / 2)). Their product is the
        plaintext modulus, below 2^64.
    """

    moduli: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.moduli or min(self.moduli) < 2:
            raise ValueError(f"moduli are {self.moduli}, must be one or more integers, each at least 2")
        if self.plaintext_modulus >= 2**64:
            raise ValueError(f"moduli have the product {self.plaintext_modulus}, must be below 2^64")

    @classmethod
    def covering(cls, moduli: Sequence[int], plaintext_modulus: int) -> Fields:
        """Fields of these moduli, the last one widened so that the product is the plaintext modulus.

        Raises
        ------
        ValueError
            If no last modulus, at least as large as the given one, makes the product the plaintext modulus.
        """
        lower = tuple(moduli[:-1])
        last, rest = divmod(plaintext_modulus, prod(lower))
        if rest or not moduli or last < moduli[-1]:
            raise ValueError(
                f"fields of moduli {tuple(moduli)} do not fill the plaintext modulus {plaintext_modulus}: "
                f"it must be {prod(lower)}, the product of all but the last modulus, times an integer not "
                "below the last"
            )
        return cls((*lower, last))

    @property
    def plaintext_modulus(self) -> int:
        """t, the product of the moduli."""
        return prod(self.moduli)

    def carry_bits(self, target_bits: int) -> tuple[int, ...]:
        """Bits to which each field's carry must be shared: L, but max(0, L - v) for the last.

        Raises
        ------
        ValueError
            If `target_bits` is not 1 to 64.
        """
        validate_target_bits(target_bits)
        last = self.moduli[-1]
        twos = (last & -last).bit_length() - 1
        return (target_bits,) * (len(self.moduli) - 1) + (max(0, target_bits - twos),)

    def split(self, shares: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Digits of the shares: shape (coefficients,) to (coefficients, fields).

        Raises
        ------
        ValueError
            If the shares are not one-dimensional, or one is not below the plaintext modulus.
        """
        if shares.ndim != 1 or shares.dtype != np.uint64:
            raise ValueError(
                f"shares have shape {shares.shape} and type {shares.dtype}, must be (coefficients,) of uint64"
            )
        if (shares >= np.uint64(self.plaintext_modulus)).any():
            raise ValueError(f"a share is not below the plaintext modulus {self.plaintext_modulus}")
        digits = np.empty((len(shares), len(self.moduli)), np.uint64)
        for field, modulus in enumerate(self.moduli):
            shares, digits[:, field] = np.divmod(shares, np.uint64(modulus))
        return digits

    def reach_half(self, digits: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """a_i or b_i of the lemma, one for each digit: whether it is at least floor(m_i / 2)."""
        return digits >= np.array([modulus // 2 for modulus in self.moduli], np.uint64)

    def join(self, digits: NDArray[np.uint64], carries: NDArray[np.uint64], target_bits: int) -> NDArray[np.uint64]:
        """A party's shares of the channels from its digits and its shares of the carries.

        c_i + w_{i-1} - m_i w_i modulo 2^L by (1); all arrays are (coefficients, fields).

        Raises
        ------
        ValueError
            If `target_bits` is not 1 to 64.
        """
        validate_target_bits(target_bits)
        channels = digits - carries * np.array(self.moduli, np.uint64)
        channels[:, 1:] += carries[:, :-1]
        return channels & np.uint64(2**target_bits - 1)
