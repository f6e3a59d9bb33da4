"""What the searches for the parameters of expanded queries have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from costmodel.expanded.parameters import Expanded
from costmodel.packing import field_moduli, field_weights, packed_coefficients, required_plaintext_modulus
from costmodel.security import security_bits

SECURITY_FLOOR_BITS = 128
TRANSFORM_S = 2.9e-9  # of a transform, a residue
PRODUCT_S = 2.2e-10  # of a residue of the pass over the table for many tokens
BYTE_S = 2e-5  # of a byte on the link, unless told: bytes before seconds, where they are cheap to save
KEY_BYTE_S = 5e-9  # of a byte of the keys, which are sent once
MOST_MARGIN_BITS = 8
"""Over the target where few external products make the tail heavier than a Gaussian's."""


class RingChoice(NamedTuple):
    """Ring of the query and degree of the answer's ring."""

    degree: int
    limb_bits: tuple[int, ...]
    answer_degree: int


@dataclass(frozen=True)
class Task:
    """What is asked of the parameters, by the names that they have there."""

    rows: int
    row_coefficients: int
    element_bound: int
    plaintext_modulus: int
    flooding_bits: int
    log2_failure: int
    sigma: float

    @classmethod
    def of(
        cls,
        rows: int,
        channels: int,
        widths: Sequence[int],
        flooding_bits: int,
        log2_failure: int,
        plaintext_modulus: int | None,
        sigma: float,
    ) -> Task:
        """Return the task of a table, with the smallest plaintext modulus that holds the packing if none is named.

        Raises
        ------
        ValueError
            If the plaintext modulus does not hold the packing.
        """
        required = required_plaintext_modulus(field_moduli(widths))
        modulus = required if plaintext_modulus is None else plaintext_modulus
        if modulus < required:
            raise ValueError(f"plaintext_modulus is {modulus}; packing {widths} needs at least {required}")
        coefficients = int(packed_coefficients(channels, widths))
        return cls(rows, coefficients, element_bound(widths), modulus, flooding_bits, log2_failure, sigma)

    def refused(self, rings: Sequence[RingChoice]) -> ValueError:
        """Return the error that says that none of the rings holds it."""
        return ValueError(
            f"no ring of {', '.join(f'N={r.degree}, q={r.limb_bits}' for r in rings)} holds plaintext_modulus "
            f"{self.plaintext_modulus} with flooding_bits {self.flooding_bits} at a failure probability of "
            f"2^{self.log2_failure}"
        )


def element_bound(widths: Sequence[int]) -> int:
    """Largest magnitude of a packed element about the middle of its levels: sum of P_i 2^(w_i - 1)."""
    places = field_weights(field_moduli(widths))
    return sum(place << (width - 1) for place, width in zip(places, widths, strict=True))


def least_security_bits(parameters: Expanded) -> int:
    """Return the level of the weakest ring of a query: of queries and keys, or of the ring switch's key."""
    p = parameters
    bits = int(security_bits(p.degree, p.log2_q))
    return min(bits, int(security_bits(p.answer_degree, p.limb_bits[0]))) if p.switches_ring else bits
