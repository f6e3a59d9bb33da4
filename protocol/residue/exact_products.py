"""Products of integer polynomials without reduction, in residues modulo primes that are large enough.

Modulo 2^k there is no transform. Polynomials with coefficients modulo a power of two are multiplied as integers, whose
products and their sums are held by one prime of 60 bits, or by two, and reduced afterwards.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from costmodel.slots import slot_modulus
from protocol.residue import modular
from protocol.residue.ring import Ring

_SMALLEST_PRIME = 1 << 59
_LARGEST_BASE = 1 << 10


@lru_cache(maxsize=32)
def exact_ring(degree: int, bound: int) -> Ring:
    """Return a ring of one or two limbs in which integers up to a magnitude are their centred residues.

    Parameters
    ----------
    degree : N
    bound : of the magnitude of every coefficient of a sum of products

    Raises
    ------
    ValueError
        If two limbs do not hold the bound.
    """
    moduli: tuple[int, ...] = ()
    product, smallest = 1, _SMALLEST_PRIME
    while product <= 4 * bound:
        if len(moduli) == 2:
            raise ValueError(f"bound is 2^{bound.bit_length() - 1}; two limbs hold products up to 2^116")
        moduli = (*moduli, slot_modulus(smallest, degree))
        product, smallest = product * moduli[-1], moduli[-1] + 1
    return Ring(degree, moduli, tuple(_root(degree, q) for q in moduli))


def to_power_of_two(ring: Ring, coefficients: NDArray[np.uint64], bits: int) -> NDArray[np.uint64]:
    """Return integers modulo 2^bits, (..., N), of their residues (..., limbs, N) in a ring that holds them.

    Parameters
    ----------
    ring : of :func:`exact_ring`
    coefficients : canonical residues of integers up to the bound of the ring
    bits : at most 64
    """
    first, q = coefficients[..., 0, :], ring.moduli[0]
    if ring.limbs == 1:
        integers = modular.to_centred(first, q).astype(np.uint64)
    else:
        p = ring.moduli[1]
        reduced = np.minimum(first, first - np.uint64(p))
        inverse = np.array(pow(q, -1, p), dtype=np.uint64)
        upper = modular.multiply(modular.subtract(coefficients[..., 1, :], reduced, p), inverse, p)
        # a sum modulo 2^64, from which the product of both primes is taken where the integer is negative
        integers = first + np.uint64(q) * modular.to_centred(upper, p).astype(np.uint64)
    return integers & np.uint64((1 << bits) - 1)


def _root(degree: int, modulus: int) -> int:
    """Return a primitive root of unity of order 2N."""
    exponent = (modulus - 1) // (2 * degree)
    powers = (pow(base, exponent, modulus) for base in range(2, _LARGEST_BASE))
    return next(root for root in powers if pow(root, degree, modulus) == modulus - 1)
