"""Systems as published: ring, packing and accounting, each with its source."""

from __future__ import annotations

from costmodel.parameters import Configuration, Packing, Ring, Table

ABLATIONS = ("baseline", "quant", "accumulation", "packing", "packlwes")
"""Rows of FastQuery's Table 6, each with what the rows before it have."""

PAPER_WIDTHS = (4, 3, 3)
"""FastQuery, section 4.3: three channels of 4, 3 and 3 bits in a coefficient of 13."""

CHEETAH_RING = Ring(4096, (60, 49), 2**37)
"""OpenCheetah's shipped setting for fully connected layers; 37 bits is Cheetah's fixed-point ring."""

FASTQUERY_RING = Ring(4096, (39,), 2**13)
"""FastQuery's Table 6 after accumulation reduction: N and p from sections 5.1 and 4.2. The paper does not state its
single prime; 39 bits gives its bytes."""


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
            protocol, table, CHEETAH_RING, Packing((16,), "cheetah", "extracted"), engine="seal", size="native"
        )
    raise ValueError(f"protocol is {protocol!r}; it must be one of cheetah, fastquery")


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
