"""SIMD slots: which plaintext moduli have them, and the rotations of a matrix-vector product by diagonals.

A prime t = 1 modulo 2N has N slots in two rows of N/2, which rotate cyclically. A vector that repeats with a period M
meets the first D of its diagonals by rotations by 0 to D - 1; log2(M/D) further ones add partial sums up. Keys exist
for powers of two, so that a rotation by i takes a key switch for each digit of i's non-adjacent form; a digit M is
left out, since the vector repeats.

References
----------
.. [1] Halevi, Shoup. Algorithms in HElib. CRYPTO 2014, section 4.3 (matrix-vector products by diagonals).
.. [2] Microsoft SEAL 3.7.2, ``evaluator.cpp`` (``rotate_internal``): rotations by non-adjacent forms.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_LARGEST_LOG2_DIAGONALS = 16


def is_prime(number: int) -> bool:
    """Whether a number below 2^64 is prime, by Miller and Rabin's test with witnesses that decide these."""
    if number < 2 or any(number % prime == 0 for prime in _WITNESSES):
        return number in _WITNESSES
    twos = (number - 1 & 1 - number).bit_length() - 1
    for witness in _WITNESSES:
        power = pow(witness, number - 1 >> twos, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def slot_modulus(smallest: int, degree: int) -> int:
    """Smallest prime t >= ``smallest`` with t = 1 modulo 2N."""
    candidate = -(-max(smallest - 1, 1) // (2 * degree)) * 2 * degree + 1
    while not is_prime(candidate):
        candidate += 2 * degree
    return candidate


def check_slots(plaintext_modulus: int, degree: int) -> None:
    """Refuse a plaintext modulus without slots.

    Raises
    ------
    ValueError
        Naming the modulus, what it must be, and the next one that is.
    """
    if plaintext_modulus % (2 * degree) != 1 or not is_prime(plaintext_modulus):
        raise ValueError(
            f"ring.t is {plaintext_modulus}; slots need a prime that is 1 modulo 2N={2 * degree}, such as "
            f"{slot_modulus(plaintext_modulus, degree)}"
        )


def next_power_of_two(value: Any) -> Any:
    """Smallest power of two that is not below a positive integer; int64 arrays."""
    number = np.asarray(value, dtype=np.int64)
    return (np.int64(1) << np.frexp((number - 1).astype(np.float64))[1].astype(np.int64))[()]


def log2_of_power(power: Any) -> Any:
    """Exponent of a power of two; int64 arrays."""
    return (np.frexp(np.asarray(power, dtype=np.float64))[1] - 1).astype(np.int64)[()]


def non_adjacent_form(number: int) -> tuple[int, ...]:
    """The powers of two, with their signs, that add up to a number, no two of them neighbours; lowest first."""
    digits, place = [], 1
    while number:
        if number & 1:
            digit = 2 - (number & 3)
            digits.append(digit * place)
            number -= digit
        number >>= 1
        place <<= 1
    return tuple(digits)


def rotation_path(number: int, period: int) -> tuple[int, ...]:
    """Rotations by powers of two that lead a vector of a period to its rotation by ``number``."""
    return tuple(step for step in non_adjacent_form(number) if step % period)


def rotation_steps(diagonals: int, period: int) -> tuple[int, ...]:
    """All rotations for which keys are needed, log2 M + max(log2 D - 1, 0) of them, ascending."""
    steps = {step for number in range(diagonals) for step in rotation_path(number, period)}
    sums = {diagonals << level for level in range((period // diagonals).bit_length() - 1)}
    return tuple(sorted(steps | sums))


def rotation_keys(diagonals: Any, period: Any) -> Any:
    """How many :func:`rotation_steps` there are; int64 arrays."""
    return log2_of_power(period) + np.maximum(log2_of_power(diagonals) - 1, 0)


def rotation_key_switches(diagonals: Any, period: Any = 0) -> Any:
    """Key switches of the rotations by 0 to D - 1; int64 arrays.

    Parameters
    ----------
    diagonals
        D, powers of two.
    period
        M; digits of that size are left out. 0 leaves none out.
    """
    count = np.asarray(diagonals, dtype=np.int64)
    wrapping = np.where(count == period, count - 1 - 2 * count // 3, 0)
    return (_key_switches()[log2_of_power(count)] - wrapping)[()]


@cache
def _key_switches() -> NDArray[np.int64]:
    """Digits that are not zero of the non-adjacent forms of 0 to 2^k - 1, summed, by k."""
    numbers = np.arange(2 << _LARGEST_LOG2_DIAGONALS, dtype=np.int64)
    digits = numbers ^ (3 * numbers)
    weights = sum((digits >> bit) & 1 for bit in range(int(digits.max()).bit_length()))
    totals = np.concatenate([[0], np.cumsum(weights)])
    return np.asarray(totals[1 << np.arange(_LARGEST_LOG2_DIAGONALS + 2)], dtype=np.int64)


SMALLEST_SLOTS, LARGEST_SLOTS = 8192, 65536
"""Of SCI's ciphertexts."""


class Layout(NamedTuple):
    """Calls, and the slots, diagonals and key switches of one; int64 arrays."""

    calls: Any
    slots: Any  # N
    diagonals: Any  # D
    key_switches: Any  # of the rotations by 0 to D - 1
    sums: Any  # rotations that add partial sums


def layout(rows: ArrayLike, columns: ArrayLike) -> Layout:
    """How a table of m rows by n columns is laid out."""
    m, n = np.broadcast_arrays(np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64))
    row_calls = -(-m // LARGEST_SLOTS)
    padded = next_power_of_two(-(-m // row_calls))
    slots = np.clip(2 * padded, SMALLEST_SLOTS, LARGEST_SLOTS)
    column_calls = -(-n // slots)
    results = next_power_of_two(-(-n // column_calls))
    diagonals = -(-results * padded // slots)
    sums = np.maximum(log2_of_power(padded) - log2_of_power(diagonals), 0)
    return Layout(
        (row_calls * column_calls)[()], slots[()], diagonals[()], rotation_key_switches(diagonals), np.asarray(sums)[()]
    )
