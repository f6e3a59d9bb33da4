"""The rings and plaintexts that OpenFHE 1.6.1 makes."""

from __future__ import annotations

from costmodel.errors import Incompatible
from costmodel.limits import SIGMA
from costmodel.parameters import Ring

SMALLEST_LIMB_BITS, LARGEST_LIMB_BITS = 30, 60
MOST_LIMBS = 3
LARGEST_PLAINTEXT_BITS = 31
LARGEST_PLAINTEXT = 2**LARGEST_PLAINTEXT_BITS
"""OpenFHE 1.6.1 encodes coefficients of at most 32 bits."""


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
