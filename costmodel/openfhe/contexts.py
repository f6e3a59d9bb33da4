"""The rings and plaintexts that OpenFHE 1.6.1 makes."""

from __future__ import annotations

import math

from costmodel.errors import Incompatible
from costmodel.limits import SIGMA
from costmodel.parameters import Ring

SMALLEST_LIMB_BITS, LARGEST_LIMB_BITS = 30, 60
MOST_LIMBS = 3
LARGEST_PLAINTEXT_BITS = 31
LARGEST_PLAINTEXT = 2**LARGEST_PLAINTEXT_BITS
"""OpenFHE 1.6.1 encodes coefficients of at most 32 bits."""
ASSURANCE = 36
"""Square of the standard deviations to which OpenFHE bounds an error."""
FIRST_LOG2_Q = 6 * math.log2(10)
CONVERGED_BITS = math.log2(1.001)


def check_limbs(ring: Ring) -> None:
    """Refuse limbs that OpenFHE does not make.

    Raises
    ------
    ValueError
        Naming field, value and bound.
    """
    if len(set(ring.limb_bits)) != 1:
        raise Incompatible(f"ring.q is {ring.limb_bits}; OpenFHE makes limbs of one size, such as 54+54")
    if not SMALLEST_LIMB_BITS <= ring.limb_bits[0] <= LARGEST_LIMB_BITS:
        raise Incompatible(
            f"ring.q has limbs of {ring.limb_bits[0]} bits; OpenFHE makes limbs of {SMALLEST_LIMB_BITS} to "
            f"{LARGEST_LIMB_BITS} bits"
        )
    if len(ring.limb_bits) > MOST_LIMBS:
        raise Incompatible(f"ring.q has {len(ring.limb_bits)} limbs; a lookup needs at most {MOST_LIMBS}")


def made_limbs(ring: Ring, plaintext_modulus: int, digit_bits: int = 0) -> int:
    """Limbs that OpenFHE makes where it is asked for the ring's: as many as its own bound on the noise takes.

    With L limbs of w bits asked for, a depth of L - 1, Berr = 6 sigma, V = Berr (1 + 4 sqrt(N)) of a fresh encryption
    and K = sqrt(N) d (floor(log2 q/w) + 1) 2^b Berr of a key switch by d digits of b bits a limb, log2 q is

        log2(t (4 V + t))                                                     at depth 0
        log2(4 t) + (L - 2) log2(8 N t) + log2(8 N t V + (L - 1) (4 N + K))   above

    and the limbs are ceil(ceil(log2 q)/w).

    Parameters
    ----------
    ring
        N, limbs and sigma; secrets are ternary.
    plaintext_modulus
        t of what is encoded.
    digit_bits
        Of a digit of a switching key; 0 for whole limbs.

    References
    ----------
    .. [1] OpenFHE, ``bfvrns-parametergeneration.cpp``, ``ParamsGenBFVRNS``.

    Examples
    --------
    >>> made_limbs(Ring(8192, (60, 60), 2**9), 2**14, 30), made_limbs(Ring(8192, (60, 60), 2**9), 2**15, 30)
    (1, 2)
    """
    width, depth, t = ring.limb_bits[0], len(ring.limb_bits) - 1, float(plaintext_modulus)
    root, error = math.sqrt(ring.degree), math.sqrt(ASSURANCE) * ring.sigma
    fresh, growth = error * (1 + 4 * root), 8 * ring.degree * t
    digit, digits = (digit_bits, width // digit_bits + 1) if digit_bits else (width, 1)

    def log2_q(before: float) -> float:
        if depth == 0:
            return math.log2(t * (4 * fresh + t))
        switch = root * digits * (before // width + 1) * 2.0**digit * error
        added = depth * (4 * ring.degree + switch)
        return math.log2(4 * t) + (depth - 1) * math.log2(growth) + math.log2(growth * fresh + added)

    before, found = FIRST_LOG2_Q, log2_q(FIRST_LOG2_Q)
    while abs(found - before) > CONVERGED_BITS:
        before, found = found, log2_q(found)
    return math.ceil(math.ceil(found) / width)


def check_made(ring: Ring) -> None:
    """Refuse a ring that OpenFHE does not make, or that nothing here draws noise and secrets for.

    Raises
    ------
    ValueError
        Naming field, value and bound.
    """
    check_limbs(ring)
    check_drawn(ring.sigma, ring.secret)


def check_drawn(sigma: float, secret: str) -> None:
    """Refuse noise and secrets that nothing here draws.

    Raises
    ------
    ValueError
        Naming field, value and what is drawn.
    """
    if sigma != SIGMA:
        raise ValueError(f"ring.sigma is {sigma}; noise of {SIGMA} is drawn")
    if secret != "ternary":
        raise ValueError(f"ring.secret is {secret!r}; keys are made for ternary ones")


def check_plaintext(ring: Ring) -> None:
    """Refuse a plaintext modulus whose coefficients OpenFHE cannot encode.

    Raises
    ------
    ValueError
        Naming field, value and bound.
    """
    if ring.plaintext_modulus > LARGEST_PLAINTEXT:
        raise ValueError(
            f"ring.t is {ring.plaintext_modulus}; OpenFHE's coefficient encoding takes at most {LARGEST_PLAINTEXT}"
        )
