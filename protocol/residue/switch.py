"""Fewer bits on the wire: modulus switching to 2^k, dropping low bits, and their inverses.

A switched element is round(2^k/Q * x) mod 2^k of every coefficient; both elements of a ciphertext are switched apart,
with a width each. Lifted back it has an error of (Q/2^k)^2/12 a coefficient, which reaches the phase times s for a
(variance (Q/2^k)^2 * N/18 with a ternary secret) and as it is for b.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.residue.ring import Ring
from protocol.residue.rounding import scale_down, scale_up


def switch_modulus(coefficients: NDArray[np.uint64], ring: Ring, bits: int) -> NDArray[np.uint64]:
    """Return round(2^bits/Q * x) mod 2^bits of residues (..., limbs, N) in coefficient form, as integers (..., N).

    Raises
    ------
    ValueError
        If 2^bits is not at least 2 and below every limb.
    """
    return scale_down(coefficients, ring, 1 << bits)


def lift_modulus(values: NDArray[np.uint64], ring: Ring, bits: int) -> NDArray[np.uint64]:
    """Return round(Q/2^bits * v) of integers (..., N) below 2^bits, as residues (..., limbs, N): back for decryption.

    Raises
    ------
    ValueError
        If 2^bits is not at least 2 and below every limb, or a value is not below it.
    """
    return scale_up(values, ring, 1 << bits)


def kept_bits(modulus: int, dropped_bits: int) -> int:
    """Return how many bits a residue has after its lowest ones are dropped.

    Raises
    ------
    ValueError
        If not 0 <= dropped_bits < bits(q).
    """
    if not 0 <= dropped_bits < modulus.bit_length():
        raise ValueError(f"dropped_bits {dropped_bits}: need 0 <= dropped_bits < {modulus.bit_length()}")
    return modulus.bit_length() - dropped_bits


def drop_low_bits(residues: NDArray[np.uint64], modulus: int, dropped_bits: int) -> NDArray[np.uint64]:
    """Return the v below 2^kept_bits for which v * 2^dropped_bits mod q is nearest to canonical residues.

    The error of :func:`restore_low_bits` is then uniform over 2^dropped_bits values, of variance 4^dropped_bits/12.

    Raises
    ------
    ValueError
        If not 0 <= dropped_bits < bits(q).
    """
    kept_bits(modulus, dropped_bits)
    shift = np.uint64(dropped_bits)
    half = np.uint64((1 << dropped_bits) >> 1)
    rounded = (residues + half) >> shift
    # just under q the nearest multiple of the step may be q itself, that is zero
    return np.where(rounded << shift >= np.uint64(modulus), np.uint64(0), rounded)


def restore_low_bits(values: NDArray[np.uint64], modulus: int, dropped_bits: int) -> NDArray[np.uint64]:
    """Return v * 2^dropped_bits, canonical, the inverse of :func:`drop_low_bits`.

    Raises
    ------
    ValueError
        If not 0 <= dropped_bits < bits(q), or a value times 2^dropped_bits is not below q.
    """
    kept_bits(modulus, dropped_bits)
    largest = int(values.max(initial=0))
    if largest << dropped_bits >= modulus:
        raise ValueError(f"value {largest} times 2^{dropped_bits} is not below the modulus {modulus}")
    return values << np.uint64(dropped_bits)
