"""Configurations from what a user names: published systems, or what this project runs by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.packing import required_plaintext_bits
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.published import PAPER_WIDTHS, published
from costmodel.security import max_log2_q, security_bits_2018

SECURITY_FLOOR_BITS = 128


def executable(protocol: str, table: Table, widths: tuple[int, ...] | None = None) -> Configuration:
    """What this project executes for a protocol by default, on rings that OpenFHE makes.

    FastQuery takes the smallest ring whose plaintext holds the packing; Cheetah keeps its degree, with two equal
    limbs and the largest plaintext that OpenFHE encodes.
    """
    if protocol == "fastquery":
        widths = widths or PAPER_WIDTHS
        bits = required_plaintext_bits(widths)
        return Configuration(protocol, table, _smallest_ring(bits, table.rows), Packing(widths, "column"))
    if protocol == "cheetah":
        return Configuration(protocol, table, Ring(4096, (53, 53), 2**31), Packing(widths or (16,), "cheetah"))
    raise ValueError(f"protocol is {protocol!r}; it must be one of cheetah, fastquery")


def _smallest_ring(plaintext_bits: int, rows: int) -> Ring:
    noise_bits = plaintext_bits + (rows - 1).bit_length() / 2 + 7
    for degree, limbs in ((2048, (53,)), (4096, (53, 53))):
        if sum(limbs) > plaintext_bits + noise_bits:
            return Ring(degree, limbs, 2**plaintext_bits)
    raise ValueError(f"packing needs p={plaintext_bits}; no ring of up to 106 bits holds it over {rows} rows")


def configuration(
    protocol: str,
    table: Table,
    *,
    ablation: str | None = None,
    ring: Mapping[str, Any] | None = None,
    widths: tuple[int, ...] | None = None,
    engine: str | None = None,
    size: str = "native",
    allow_insecure: bool = False,
) -> Configuration:
    """A configuration from what a user names, the rest chosen for the protocol.

    Parameters
    ----------
    protocol, table
        What is looked up, and how.
    ablation
        A row of the paper's Table 6 instead of this project's own design.
    ring
        Fields of the ring to replace.
    widths
        Channel widths of a coefficient.
    engine, size
        How it is executed or priced; a named engine means this project's own design.
    allow_insecure
        Accept a named ring that the 2018 standard puts below 128 bits.

    Raises
    ------
    ValueError
        If a value is out of its bounds, two do not fit, or a named ring is not secure.
    """
    as_published = ablation is not None or (protocol == "cheetah" and engine is None)
    if ablation is not None and protocol != "fastquery":
        raise ValueError(f"ablation is {ablation!r}; it goes with protocol fastquery, not {protocol}")
    base = published(protocol, table, ablation) if as_published else executable(protocol, table, widths)
    if ring:
        base = base.updated(ring=_changed(base.ring, ring))
        check_security(base.ring, allow_insecure)
    if widths:
        base = base.updated(packing=Packing(widths, base.packing.tile, base.packing.output))
    return base.updated(size=size, engine=engine or base.engine)


def _changed(ring: Ring, fields: Mapping[str, Any]) -> Ring:
    values = {name: getattr(ring, name) for name in ("degree", "limb_bits", "plaintext_modulus", "sigma", "secret")}
    return Ring(**{**values, **fields})


def check_security(ring: Ring, allow_insecure: bool = False) -> None:
    """Refuse a ring below 128 bits by the 2018 standard.

    Raises
    ------
    ValueError
        Unless ``allow_insecure``; names q, its bound and the way round.
    """
    bits = int(security_bits_2018(ring.degree, ring.log2_q, ring.secret))
    if bits < SECURITY_FLOOR_BITS and not allow_insecure:
        raise ValueError(
            f"ring.q has {ring.log2_q} bits, which gives N={ring.degree} {bits} bits of security; at most "
            f"{int(max_log2_q(ring.degree, SECURITY_FLOOR_BITS, ring.secret, '2018'))} bits give "
            f"{SECURITY_FLOOR_BITS} (2018 standard), or pass --allow-insecure"
        )
