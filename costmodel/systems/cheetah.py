"""Cheetah: the table in polynomial tiles, coefficient packing, no rotations.

The published accounting is OpenCheetah's: seeded queries under two limbs, answers switched to the first limb with their
low bits dropped and zeros for the coefficients of b that are not used (:mod:`costmodel.products`).

References
----------
.. [1] Huang, Lu, Hong, Ding. Cheetah: Lean and Fast Secure Two-Party Deep Neural Network Inference. USENIX Security
   2022, section 3.1 (coefficient packing) and 5.1.2 (bits dropped of an answer).
.. [2] OpenCheetah, ``hom_fc_ss.cc``: ``getSplit`` and the ciphertexts sent.
"""

from __future__ import annotations

from costmodel.design import Design
from costmodel.grid import Grid
from costmodel.openfhe.contexts import LARGEST_PLAINTEXT_BITS
from costmodel.packing import accumulation_bits
from costmodel.parameters import LOW_BITS_OPTIONS, SIRNN_OPTIONS, Configuration, Packing, Ring, Table
from costmodel.products import PublishedProduct
from costmodel.system import Wishes
from costmodel.systems import looks
from costmodel.systems.onehot import OneHotSystem

CHANNEL_BITS = 16
"""Channels of the systems that do not quantise a table: fixed point as in FastQuery's baseline."""

PLAINTEXT_BITS = 37
"""Cheetah's fixed-point ring."""

RING = Ring(4096, (60, 49), 2**PLAINTEXT_BITS)
"""OpenCheetah's shipped setting for fully connected layers."""


class Cheetah(OneHotSystem):
    """Cheetah on an unquantised table."""

    name = "cheetah"
    legend = "Cheetah"
    source = "OpenCheetah"
    look = looks.CHEETAH
    library = "seal"
    accepts = SIRNN_OPTIONS | LOW_BITS_OPTIONS | {"delphi"}
    projects = True

    def published(self, table: Table, ablation: str | None = None) -> Configuration:
        """OpenCheetah's ring and packing."""
        packing = Packing((CHANNEL_BITS,), "cheetah", "extracted")
        return Configuration(self.name, table, RING, packing, engine="seal")

    def execution(self, wishes: Wishes, engine: str) -> tuple[Packing, int | None]:
        """One channel a coefficient in OpenCheetah's tiles, in as many bits as the engine encodes."""
        return execution_of_baseline(CHANNEL_BITS, engine)

    def published_design(self, grid: Grid) -> Design:
        """Whole ciphertexts."""
        return PublishedProduct()


def execution_of_baseline(channel_bits: int, engine: str) -> tuple[Packing, int]:
    """Packing and plaintext bits of Cheetah's product on an engine."""
    if engine == "openfhe":
        return Packing((channel_bits,), "cheetah", "ciphertexts"), min(PLAINTEXT_BITS, LARGEST_PLAINTEXT_BITS)
    return Packing((channel_bits,), "cheetah", "extracted"), PLAINTEXT_BITS


def hequant_log2_q(plaintext_bits: int) -> int:
    """Bits of q for a plaintext of p bits, 2 p + 9: HEQuant's parameter rule.

    The rule counts p in bits of t = 2^p. FastQuery (section 3, Observation 2) cites HEQuant for q that shrinks with p;
    the constant itself has no clear provenance, since HEQuant's text was not at hand.
    """
    return 2 * plaintext_bits + 9


def hequant(table: Table, channel_bits: int = 4, input_bits: int = 1) -> Configuration:
    """Cheetah with HEQuant's rule: p from the accumulation of the quantised product, and q from p.

    Parameters
    ----------
    table
        The table that is looked up.
    channel_bits, input_bits
        Bits of a channel and of an entry of the query, which HEQuant does not know to be one-hot.

    Raises
    ------
    ValueError
        If the rule gives a prime that SEAL does not have.
    """
    bits = int(accumulation_bits(input_bits, channel_bits, table.rows))
    return (
        Cheetah()
        .published(table)
        .updated(
            ring=Ring(4096, (hequant_log2_q(bits),), 2**bits), packing=Packing((channel_bits,), "cheetah", "extracted")
        )
    )
