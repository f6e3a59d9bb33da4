"""The configurations that an optimisation searches: own designs in every layout and ring, others as published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from costmodel.alignment.ledger import aligns_by_transfers
from costmodel.grid import Grid
from costmodel.limits import LOG2_FAILURE
from costmodel.packing import required_plaintext_bits
from costmodel.parameters import EXECUTING_ENGINES, LOW_BITS_OPTIONS, Configuration, Packing, Ring, Table
from costmodel.security import security_bits
from costmodel.systems import configuration, design_of, system
from costmodel.systems.expanded import ExpandedSystem
from costmodel.systems.fastquery import ABLATIONS
from costmodel.workload import session_configurations
from fastquery.goals import Constraints, Goal, Widths
from fastquery.spaces import Column, Space
from fastquery.words import widths_of

DEGREES = (1024, 2048, 4096, 8192)
LIMB_BITS = range(30, 61)
"""Limbs that OpenFHE makes."""
BLOCK_BITS = (4, 8)
"""Of oblivious transfers: the fastest that sends a quarter of the bits, and the fewest bits."""
DIGIT_BITS = range(6, 31, 3)
LOW_BITS = tuple(LOW_BITS_OPTIONS)
"""Answers of one-hot queries that are tried: the lowest bits of b are fewer bytes than all of b under a mask."""
MOST_CHANNELS, WIDEST_BITS, WIDEST_PLAINTEXT_BITS = 5, 8, 31
"""Of the packings that are tried where none is named."""


def candidates(
    protocol: str,
    table: Table,
    packings: Sequence[Widths],
    goal: Goal,
    needs: Constraints,
    named: bool = False,
) -> Iterator[Space]:
    """The spaces of configurations of one system; where packings are named, one with another packing has none.

    Raises
    ------
    ValueError
        If the system cannot be had so.
    """
    searched = system(protocol)
    if isinstance(searched, ExpandedSystem):
        yield from _searched(searched, table, packings, goal, needs)
        return
    base = _base(protocol, table, needs, goal)
    if protocol == "cheetah" and not named:  # with several channels a coefficient it is FastQuery's own ablation
        packings = [widths for widths in packings if len(widths) == 1]
    if base.engine not in EXECUTING_ENGINES:
        if not named or base.packing.widths in packings:
            yield _space(base, goal)
        return
    if base.wire is None:
        for widths in packings:
            base = _base(protocol, table, needs, goal, widths)
            yield _space(base, goal, _transfers(base))
        return
    layouts = dict.fromkeys((p.tile, p.output) for p in _layouts(base, table, needs))
    plaintexts = [(widths, modulus) for widths in packings for modulus in _moduli(widths, needs.align_bits)]
    for (widths, modulus), (tile, output), limbs in product(plaintexts, layouts, (1, 2)):
        rings = _rings(modulus, limbs, needs.security)
        if not len(rings["degree"]):
            continue
        carrier = base.updated(
            ring=Ring(base.ring.degree, (61, 61), modulus), packing=Packing(widths, tile, output), options=LOW_BITS
        )
        axes = [rings, {"plaintext_modulus": np.array([modulus])}, *_transfers(carrier)]
        wire = (goal.lookups, needs.log2_failure)
        yield _space(carrier, goal, axes, *wire)
        if output == "packlwes":  # more digits take longer and leave less noise, fewer make smaller keys
            digits = {"digit_bits": np.array(DIGIT_BITS), "digit_dropped_bits": np.zeros(len(DIGIT_BITS), np.int64)}
            yield _space(carrier, goal, [*axes, digits], *wire)


def _transfers(base: Configuration) -> list[dict[str, Column]]:
    """Blocks of the transfers that align shares, as one axis; none where no transfers are needed."""
    if not aligns_by_transfers(base):
        return []
    return [{"block_bits": np.array(BLOCK_BITS)}]


def _moduli(widths: Widths, align_bits: int) -> list[int]:
    """The smallest plaintext modulus of a packing, and for one channel the one whose shares come out aligned."""
    smallest = required_plaintext_bits(widths)
    return [2**bits for bits in sorted({smallest, max(smallest, align_bits if len(widths) == 1 else 0)})]


def _searched(
    searched: ExpandedSystem, table: Table, packings: Sequence[Widths], goal: Goal, needs: Constraints
) -> Iterator[Space]:
    """An expanded query with every packing on the smallest ring that holds, and on the next.

    Raises
    ------
    ValueError
        If no ring holds any packing.
    """
    found, reason = 0, f"{searched.name} has no packing"
    for widths in packings:
        for modulus in _moduli(widths, needs.align_bits):
            held = 0
            rings = searched.rings
            for degree, limb_bits in dict.fromkeys((ring.degree, ring.limb_bits) for ring in rings):
                ring = {"degree": degree, "limb_bits": limb_bits, "plaintext_modulus": modulus}
                try:
                    bases = _own(searched.name, table, needs, goal, widths, ring)
                    for base in bases:
                        design_of(Grid.of(base)).failure(Grid.of(base))
                except ValueError as error:
                    reason = str(error)
                    continue
                yield from (_space(base, goal, _transfers(base)) for base in bases)
                held += 1
                if held == 2:  # a larger one only costs more
                    break
            found += held
    if not found:
        raise ValueError(reason)


def _base(protocol: str, table: Table, needs: Constraints, goal: Goal, widths: Widths | None = None) -> Configuration:
    """The project's own design of a system where there is one, the published one otherwise."""
    if "residue" in system(protocol).engines:
        return _own(protocol, table, needs, goal, widths)[0]
    return configuration(protocol, table, align_bits=needs.align_bits, queries=goal.planned)


def _own(
    protocol: str,
    table: Table,
    needs: Constraints,
    goal: Goal,
    widths: Widths | None = None,
    ring: Mapping[str, Any] | None = None,
) -> tuple[Configuration, ...]:
    """The project's own design of a system; with a workload in every way that it may be chosen for.

    Raises
    ------
    ValueError
        If there is none, or none so.
    """
    wishes: dict[str, Any] = {
        "engine": "residue",
        "ring": ring,
        "widths": widths,
        "flooding_bits": None if needs.distance else needs.flooding_bits,
        "distance": needs.distance,
        "queries": goal.planned,
        "log2_failure": needs.log2_failure,
        "prepared": needs.prepared,
        "align_bits": needs.align_bits,
    }
    if goal.workload is None:
        return (configuration(protocol, table, **wishes),)
    return session_configurations(protocol, table, goal.workload, **wishes)


def _layouts(base: Configuration, table: Table, needs: Constraints) -> Iterator[Packing]:
    """How an executed system may cut its table and pack its answers: FastQuery in every way of its ablation."""
    yield base.packing
    if base.protocol == "fastquery":
        options: dict[str, Any] = {"engine": "residue", "flooding_bits": needs.flooding_bits}
        for row in ABLATIONS:
            yield configuration("fastquery", table, ablation=row, **options).packing


def _rings(plaintext_modulus: int, limbs: int, security: int) -> dict[str, Column]:
    """Rings of so many equal limbs that hold a plaintext and have the security, as one axis."""
    pairs = [
        (degree, bits)
        for degree in DEGREES
        for bits in LIMB_BITS
        if plaintext_modulus.bit_length() < bits * limbs and security_bits(degree, bits * limbs) >= security
    ]
    degrees, bits = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return {"degree": degrees, **{f"limb_bits_{k}": bits for k in range(limbs)}}


def _space(
    base: Configuration,
    goal: Goal,
    axes: Sequence[Mapping[str, Column]] = (),
    queries: float | None = None,
    log2_failure: float = LOG2_FAILURE,
) -> Space:
    """A space of one lookup or session over one link."""
    table, link = base.table, goal.link
    lookup = {"rows": table.rows, "channels": table.channels, "tokens": table.tokens}
    on_link = {"rate_bit_per_s": link.rate_bit_per_s, "round_trip_s": link.round_trip_s}
    return Space(
        base,
        {"protocol": base.protocol},
        [f"{table.rows}x{table.channels}"],
        ({k: np.array([v]) for k, v in lookup.items()}, *axes, {k: np.array([v]) for k, v in on_link.items()}),
        queries,
        log2_failure,
        goal.workload,
    )


def packings_of(packing: Any, errors: Mapping[Widths, float]) -> list[Widths]:
    """The packings asked for, or those with a known error, or all even ones."""
    if packing is not None:
        return widths_of(packing)
    if errors:
        return list(errors)
    even = [
        (width + 1,) * wider + (width,) * (count - wider)
        for count in range(1, MOST_CHANNELS + 1)
        for width in range(2, WIDEST_BITS + 1)
        for wider in range(count)
    ]
    return [widths for widths in even if required_plaintext_bits(widths) <= WIDEST_PLAINTEXT_BITS]
