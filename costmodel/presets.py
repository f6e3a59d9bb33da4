"""Configurations from what a user names: published systems, or what this project runs by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from costmodel import noise
from costmodel.expanded.compressed import search as compressed_search
from costmodel.expanded.folded import search as folded_search
from costmodel.expanded.grids import LOG2_FAILURE as SEARCHED_LOG2_FAILURE
from costmodel.grid import Grid
from costmodel.keyed_rings import keyed_configuration, packing_rings, rings_of_degree, slot_ring
from costmodel.packing import check_packing, field_moduli, required_plaintext_modulus
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.protocols.registry import PROTOCOLS
from costmodel.published import CHANNEL_BITS, PAPER_WIDTHS, published
from costmodel.security import max_log2_q, security_bits_2018
from costmodel.tuning import DEGREES, compact_configuration
from costmodel.wire_choice import LOG2_FAILURE, compact_wire

SECURITY_FLOOR_BITS = 128
DEFAULT_FLOODING_BITS = 40
OWN_PROTOCOLS = ("fastquery", "folded", "compressed")
"""Protocols that are this project's own design where nothing else is asked for."""
FOLDED_WIDTHS = (4, 3)
"""Two channels in a plaintext of 9 bits: a row of 4096 channels is one polynomial of 2048 coefficients."""
SEARCHED = {"folded": (folded_search, FOLDED_WIDTHS), "compressed": (compressed_search, PAPER_WIDTHS)}
"""Protocols whose parameters are searched for: where, and the widths where none are named."""
CHEETAH_PLAINTEXT_BITS = 37
PAPER_PLAINTEXT_BITS = 13
LARGEST_OPENFHE_PLAINTEXT_BITS = 31
"""OpenFHE 1.6.1 encodes coefficients of at most 32 bits."""
LARGEST_ONE_LIMB_PLAINTEXT = 2**25
"""OpenFHE 1.6.1 adds a limb to one of 53 bits for larger ones, by its own bound on the noise."""

EXECUTED: dict[str, tuple[str, ...]] = {
    "fastquery": ("residue", "openfhe"),
    "cheetah": ("residue", "openfhe"),
    "bumblebee": ("residue",),
    "cryptflow2": ("openfhe",),
}
"""Engines that execute a protocol, the default first."""


def executing_engine(protocol: str) -> str:
    """The engine that executes a protocol where none is named."""
    return EXECUTED.get(protocol, ("residue",))[0]


def executable(
    protocol: str,
    table: Table,
    *,
    engine: str = "residue",
    widths: tuple[int, ...] | None = None,
    levels: tuple[int, ...] | None = None,
    ablation: str | None = None,
    ring: Mapping[str, Any] | None = None,
    flooding_bits: int | None = None,
    prepared: bool = False,
    align_bits: int = 0,
    log2_failure: float = LOG2_FAILURE,
    options: tuple[str, ...] = (),
) -> Configuration:
    """What this project executes for a protocol, on a ring that OpenFHE makes.

    The residue engine takes the ring and the wire with the fewest bytes a query for the target failure probability;
    the OpenFHE engine, which sends OpenFHE's own serialisation, the smallest ring that holds the product.

    Parameters
    ----------
    protocol, table
        ``fastquery`` or ``cheetah``; what is looked up.
    engine
        ``residue`` or ``openfhe``.
    widths
        Channel widths of a coefficient.
    levels
        Levels of its channels instead, which need not be powers of two.
    ablation
        A row of the paper's Table 6 instead of the whole of FastQuery.
    ring
        Fields of the ring that are not left to be chosen.
    flooding_bits
        Width of the flooding; 40 on the residue engine and none on OpenFHE's if left out.
    prepared
        Do what does not depend on the token before it is known.
    align_bits
        Extend every channel's share to this many bits; 0 leaves the packed shares.
    log2_failure
        Target failure probability of a query.
    options
        ``delphi``: the encrypted product on random vectors, before the tokens are known.

    Raises
    ------
    ValueError
        If the protocol or the engine is unknown, the packing does not fit the plaintext modulus, or no ring holds the
        target.
    """
    if protocol in SEARCHED:
        packing = Packing(widths or SEARCHED[protocol][1])
        packing = packing.with_levels(levels) if levels else packing
        if packing.levels:
            raise ValueError(f"levels are {levels}; the {protocol} query packs channels of 2^w levels alone")
        if prepared and protocol == "compressed":
            raise ValueError("prepared is True; a compressed query's bits meet each other before the table does")
        if "delphi" in options:
            raise ValueError(f"options has 'delphi'; the {protocol} query is no vector that could be random")
        base = _searched(protocol, table, engine, packing.widths, ring or {}, flooding_bits, log2_failure)
        return base.updated(prepared=prepared, align_bits=align_bits, options=options)
    packing, bits = _executed_packing(protocol, ablation, engine, widths)
    if levels:
        packing = packing.with_levels(levels)
    given = dict(ring or {})
    columns = -(-table.channels // len(packing.widths))
    if protocol == "cryptflow2":
        given = slot_ring(given, table, columns, bits or CHEETAH_PLAINTEXT_BITS)
    smallest = 2**bits if bits else required_plaintext_modulus(packing.field_moduli)
    modulus = given.get("plaintext_modulus", smallest)
    check_packing(packing.widths, modulus, packing.levels)
    if flooding_bits is None:
        flooding_bits = DEFAULT_FLOODING_BITS if engine == "residue" else 0
    if engine == "openfhe" and (flooding_bits or prepared):
        named = "prepared" if prepared else f"flooding_bits {flooding_bits}"
        raise ValueError(f"engine is openfhe, which does not do {named}; take engine residue")
    base = Configuration(
        protocol,
        table,
        _changed(Ring(4096, (53, 53), modulus), {**given, "plaintext_modulus": modulus}),
        packing,
        engine=engine,
        flooding_bits=flooding_bits,
        prepared=prepared,
        align_bits=align_bits,
        options=options,
    )
    if protocol == "cryptflow2" or (engine == "openfhe" and packing.output == "packlwes"):
        chosen = packing_rings(base.ring, columns, given.get("degree"))
        rings = (
            [base.ring] if "limb_bits" in given else rings_of_degree(base.ring) if protocol == "cryptflow2" else chosen
        )
        return keyed_configuration(base, rings, log2_failure)
    if engine == "openfhe":
        return base if "limb_bits" in given else base.updated(ring=_smallest_ring(base, given))
    if "limb_bits" in given:
        return base.updated(wire=compact_wire(base, log2_failure))
    degrees = (given["degree"],) if "degree" in given else DEGREES
    return compact_configuration(base, log2_failure, degrees)


def _searched(
    protocol: str,
    table: Table,
    engine: str,
    widths: tuple[int, ...],
    given: Mapping[str, Any],
    flooding_bits: int | None,
    log2_failure: float,
) -> Configuration:
    """A protocol of :data:`SEARCHED` on the ring with the least cost that holds; a named ring narrows the choice."""
    if engine != "residue":
        raise ValueError(f"engine is {engine!r}; the {protocol} query runs on residue")
    if log2_failure != SEARCHED_LOG2_FAILURE:
        raise ValueError(
            f"failure is 2^{log2_failure:g}; the {protocol} query is searched for 2^{SEARCHED_LOG2_FAILURE}"
        )
    search = SEARCHED[protocol][0]
    bits = DEFAULT_FLOODING_BITS if flooding_bits is None else flooding_bits
    modulus = given.get("plaintext_modulus", required_plaintext_modulus(field_moduli(widths)))
    check_packing(widths, modulus)
    packing = Packing(widths, "system", "system")
    if {"degree", "limb_bits"} <= given.keys():
        ring = Ring(given["degree"], given["limb_bits"], modulus)
        return Configuration(protocol, table, ring, packing, engine=engine, flooding_bits=bits)
    rings = [
        choice
        for choice in search.RINGS
        if given.get("degree", choice.degree) == choice.degree
        and given.get("limb_bits", choice.limb_bits) == choice.limb_bits
    ]
    if "limb_bits" in given and not rings:
        rings = list(search.ring_choices(given.get("degree", 4096), given["limb_bits"]))
    chosen = search.choose_parameters(
        table.rows,
        table.channels,
        widths,
        bits,
        SEARCHED_LOG2_FAILURE - (table.tokens - 1).bit_length(),
        plaintext_modulus=modulus,
        rings=tuple(rings),
    )
    ring = Ring(chosen.degree, chosen.limb_bits, modulus)
    return Configuration(protocol, table, ring, packing, engine=engine, flooding_bits=bits)


def _executed_packing(
    protocol: str, ablation: str | None, engine: str, widths: tuple[int, ...] | None
) -> tuple[Packing, int | None]:
    """Packing, and bits of the plaintext where it does not follow from the packing."""
    engines = EXECUTED.get(protocol)
    if engines is None:
        raise ValueError(f"protocol is {protocol!r}; executed are {', '.join(EXECUTED)}")
    if engine not in engines:
        raise ValueError(f"engine is {engine!r}; protocol {protocol} is executed by {' and '.join(engines)}")
    full = "extracted" if engine == "residue" else "ciphertexts"
    if protocol == "bumblebee":
        return Packing(widths or (CHANNEL_BITS,), "spu", "packlwes"), CHEETAH_PLAINTEXT_BITS
    if protocol == "cryptflow2":
        return Packing(widths or (CHANNEL_BITS,), "system", "ciphertexts"), CHEETAH_PLAINTEXT_BITS
    if protocol == "cheetah" or ablation in ("baseline", "quant"):
        bits = min(CHEETAH_PLAINTEXT_BITS, LARGEST_OPENFHE_PLAINTEXT_BITS if engine == "openfhe" else 60)
        return Packing(widths or ((4,) if ablation == "quant" else (16,)), "cheetah", full), bits
    if ablation == "accumulation":
        return Packing(widths or (4,), "cheetah", full), PAPER_PLAINTEXT_BITS
    if ablation == "packing":
        return Packing(widths or PAPER_WIDTHS, "cheetah", full), None
    if engine == "openfhe" and ablation is None:
        return Packing(widths or PAPER_WIDTHS, "column", full), None
    return Packing(widths or PAPER_WIDTHS, "column", "packlwes"), None


def _smallest_ring(base: Configuration, given: Mapping[str, Any]) -> Ring:
    modulus, fixed = base.ring.plaintext_modulus, given.get("degree")
    one_limb_holds = modulus <= LARGEST_ONE_LIMB_PLAINTEXT
    for degree, limbs in ((2048, (53,)), (4096, (53, 53)), (8192, (60, 60))):
        if fixed not in (None, degree) or (len(limbs) == 1 and not one_limb_holds):
            continue
        ring = Ring(degree, limbs, modulus)
        grid = Grid.of(base.updated(ring=ring)).of_worst_table()
        if noise.log2_failure(np.sqrt(PROTOCOLS[base.protocol].noise(grid)), 0.5, grid.coefficients) <= LOG2_FAILURE:
            return ring
    raise ValueError(f"ring is left to be chosen, but none of N={fixed or '2048 to 8192'} holds t={modulus}")


def configuration(
    protocol: str,
    table: Table,
    *,
    ablation: str | None = None,
    ring: Mapping[str, Any] | None = None,
    widths: tuple[int, ...] | None = None,
    levels: tuple[int, ...] | None = None,
    engine: str | None = None,
    size: str = "native",
    flooding_bits: int | None = None,
    prepared: bool = False,
    align_bits: int = 0,
    log2_failure: float = LOG2_FAILURE,
    allow_insecure: bool = False,
    options: tuple[str, ...] = (),
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
    widths, levels
        Channel widths of a coefficient, or levels of its channels, which need not be powers of two.
    engine, size
        How it is executed or priced. A named engine, and FastQuery without an ablation, mean this project's own
        design; everything else is as published.
    flooding_bits, prepared, align_bits, log2_failure, options
        See :func:`executable`; a published system takes any of :data:`costmodel.parameters.OPTIONS`.
    allow_insecure
        Accept a named ring that the 2018 standard puts below 128 bits.

    Raises
    ------
    ValueError
        If a value is out of its bounds, two do not fit, or a named ring is not secure.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; it must be one of {', '.join(PROTOCOLS)}")
    if not log2_failure < 0:
        raise ValueError(f"failure is {log2_failure:g}; it must be a log2 below 0, such as -40")
    if ablation is not None and protocol != "fastquery":
        raise ValueError(f"ablation is {ablation!r}; it goes with protocol fastquery, not {protocol}")
    if ring and {"degree", "limb_bits"} <= ring.keys():
        check_security(Ring(ring["degree"], ring["limb_bits"], 2), allow_insecure)
    own = protocol in OWN_PROTOCOLS and ablation is None
    if engine in ("residue", "openfhe") or own:
        base = executable(
            protocol,
            table,
            engine=engine or "residue",
            widths=widths,
            levels=levels,
            ablation=ablation,
            ring=ring,
            flooding_bits=flooding_bits,
            prepared=prepared,
            align_bits=align_bits,
            log2_failure=log2_failure,
            options=options,
        )
    else:
        base = published(protocol, table, ablation)
        packing = Packing(widths, base.packing.tile, base.packing.output) if widths else base.packing
        packing = packing.with_levels(levels) if levels else packing
        base = base.updated(ring=_changed(base.ring, ring or {}), packing=packing, options=options)
        if flooding_bits or prepared:
            raise ValueError(f"protocol {protocol} as published neither floods nor prepares; name an engine to add it")
    if ring:
        check_security(base.ring, allow_insecure)
    return base.updated(size=size, align_bits=align_bits)


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
