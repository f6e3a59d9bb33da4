"""Systems as published: ring, packing and accounting, each with its source."""

from __future__ import annotations

from costmodel.packing import accumulation_bits
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems.cryptflow2 import layout

ABLATIONS = ("baseline", "quant", "accumulation", "packing", "packlwes")
"""Rows of FastQuery's Table 6, each with what the rows before it have."""

PAPER_WIDTHS = (4, 3, 3)
"""FastQuery, section 4.3: three channels of 4, 3 and 3 bits in a coefficient of 13."""

CHEETAH_RING = Ring(4096, (60, 49), 2**37)
"""OpenCheetah's shipped setting for fully connected layers; 37 bits is Cheetah's fixed-point ring."""

FASTQUERY_RING = Ring(4096, (39,), 2**13)
"""FastQuery's Table 6 after accumulation reduction: N and p from sections 5.1 and 4.2. The paper does not state its
single prime; 39 bits gives its bytes."""


FIXED_POINT_MODULUS = 2**37
"""Ring of the fixed-point numbers of SCI, OpenCheetah and Iron (whose repository corrects it to 37 bits)."""

SYSTEMS: dict[str, Ring] = {
    "iron": Ring(8192, (60, 60), FIXED_POINT_MODULUS),  # BOLT's bert_iron/linear.cpp
    "bumblebee": Ring(8192, (59, 55, 49), 2**64),  # OpenBumbleBee, DecideSEALParameters
    "spu-fm32": Ring(4096, (59, 37), 2**32),  # SPU 0.9.5, DecideSEALParameters
    "spu-fm64": Ring(8192, (59, 55, 49), 2**64),
    "cham": Ring(4096, (35, 35, 39), FIXED_POINT_MODULUS),  # CHAM, section II.F; t is not stated
    "ciphergpt": Ring(4096, (60, 49), FIXED_POINT_MODULUS),  # not stated: OpenCheetah's
}
"""Rings of the priced systems whose parameters do not depend on the table, each with its source."""

PRICED = ("cryptflow2", *SYSTEMS)
"""Systems that exist only as published: `published` gives their configuration, nothing here executes them."""

CRYPTFLOW2_LIMBS = (60, 60, 60)
"""OpenCheetah's copy of SCI, ``utils-HE.cpp``; a prime of 49 bits more for the keys."""

CHANNEL_BITS = 16
"""Channels of the systems that do not quantise a table: fixed point as in FastQuery's baseline."""


def published(protocol: str, table: Table, ablation: str | None = None) -> Configuration:
    """A system as published: its ring, its packing, its own library's sizes.

    Raises
    ------
    ValueError
        If no published parameters are known for the protocol.
    """
    if protocol == "fastquery":
        return _ablation(ablation or "packlwes", table)
    if protocol == "cheetah":
        return Configuration(
            protocol, table, CHEETAH_RING, Packing((CHANNEL_BITS,), "cheetah", "extracted"), engine="seal"
        )
    if protocol == "cryptflow2":
        degree = int(layout(table.rows, table.channels).slots)
        return _system(protocol, table, Ring(degree, CRYPTFLOW2_LIMBS, FIXED_POINT_MODULUS))
    if protocol in SYSTEMS:
        return _system(protocol, table, SYSTEMS[protocol])
    known = ", ".join(sorted(("fastquery", "cheetah", "cryptflow2", *SYSTEMS)))
    raise ValueError(f"protocol is {protocol!r}; it must be one of {known}")


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
        What is looked up.
    channel_bits, input_bits
        Bits of a channel and of an entry of the query, which HEQuant does not know to be one-hot.

    Raises
    ------
    ValueError
        If the rule gives a prime that SEAL does not have.
    """
    bits = int(accumulation_bits(input_bits, channel_bits, table.rows))
    return published("cheetah", table).updated(
        ring=Ring(4096, (hequant_log2_q(bits),), 2**bits), packing=Packing((channel_bits,), "cheetah", "extracted")
    )


def _system(protocol: str, table: Table, ring: Ring) -> Configuration:
    engine = "spu" if protocol in ("spu-fm32", "spu-fm64", "bumblebee") else "seal"
    return Configuration(protocol, table, ring, Packing((CHANNEL_BITS,), "system", "system"), engine=engine)


def _ablation(row: str, table: Table) -> Configuration:
    if row in ("baseline", "quant"):
        widths = (16,) if row == "baseline" else (4,)
        return published("cheetah", table).updated(packing=Packing(widths, "cheetah", "extracted"))
    packing = {
        "accumulation": Packing((4,), "cheetah", "extracted"),
        "packing": Packing(PAPER_WIDTHS, "cheetah", "extracted"),
        "packlwes": Packing(PAPER_WIDTHS, "column", "packlwes-one-polynomial"),
    }[row]
    return Configuration("fastquery", table, FASTQUERY_RING, packing, engine="seal", size="native")
