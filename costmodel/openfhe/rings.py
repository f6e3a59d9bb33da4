"""Rings of what is executed on OpenFHE with switching keys: limbs, and the digits by which keys are switched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from costmodel.design import Design
from costmodel.errors import Incompatible
from costmodel.grid import Grid
from costmodel.openfhe.contexts import LARGEST_LIMB_BITS, LARGEST_PLAINTEXT, MOST_LIMBS
from costmodel.packing import packlwes_depth
from costmodel.parameters import Configuration, Ring, Table, Wire
from costmodel.security import max_log2_q
from costmodel.slots import check_slots, layout, slot_modulus

MOST_DIGITS = 8
"""Of a limb."""
LARGEST_ONE_LIMB_PLAINTEXT = 2**25
"""OpenFHE 1.6.1 adds a limb to one of 53 bits for larger ones, by its own bound on the noise."""


def smallest_ring(base: Configuration, degree: int | None, design: Design) -> Ring:
    """The smallest ring that holds the failure target of a configuration for every table.

    Raises
    ------
    ValueError
        If none does.
    """
    given = base.ring
    for each, limbs in ((2048, (53,)), (4096, (53, 53)), (8192, (60, 60))):
        if degree not in (None, each) or (len(limbs) == 1 and given.plaintext_modulus > LARGEST_ONE_LIMB_PLAINTEXT):
            continue
        ring = replace(given, degree=each, limb_bits=limbs)
        if design.failure(Grid.of(base.updated(ring=ring))) <= base.log2_failure:
            return ring
    raise Incompatible(
        f"ring is left to be chosen, but none of N={degree or '2048 to 8192'} holds t={given.plaintext_modulus} at a "
        f"failure of 2^{base.log2_failure:g}"
    )


def keyed_configuration(base: Configuration, rings: Iterable[Ring], design: Design) -> Configuration:
    """The first of some rings, with the fewest digits, that holds the failure target for every table.

    A digit has at least two bits less than a limb. All bits of everything travel.

    Raises
    ------
    ValueError
        If none does.
    """
    for ring in rings:
        bits = ring.log2_q
        for digits in range(2, MOST_DIGITS + 1):
            wire = Wire(bits, bits, bits, -(-max(ring.limb_bits) // digits))
            candidate = base.updated(ring=ring, wire=wire)
            if design.failure(Grid.of(candidate)) <= base.log2_failure:
                return candidate
    raise Incompatible(
        f"ring.t is {base.ring.plaintext_modulus}; no ring of at most {MOST_LIMBS} limbs holds it for {base.protocol} "
        f"over {base.table.rows} rows at a failure of 2^{base.log2_failure:g}"
    )


def slot_ring(given: Mapping[str, Any], table: Table, columns: int, plaintext_bits: int) -> dict[str, Any]:
    """Fields of CrypTFlow2's ring, with its degree and a plaintext modulus with slots where none are given.

    Raises
    ------
    ValueError
        If the modulus given has no slots.
    """
    fields = dict(given)
    degree = fields.setdefault("degree", int(layout(table.rows, columns).slots))
    modulus = fields.setdefault("plaintext_modulus", slot_modulus(1 << plaintext_bits, degree))
    check_slots(modulus, degree)
    return fields


def rings_of_degree(ring: Ring) -> Iterator[Ring]:
    """Two limbs, then three, as large as 128 bits of security by both tables let them be."""
    bound = int(max_log2_q(ring.degree, 128))
    for limbs in range(2, MOST_LIMBS + 1):
        bits = min(LARGEST_LIMB_BITS, bound // limbs)
        yield Ring(ring.degree, (bits,) * limbs, ring.plaintext_modulus, ring.sigma, ring.secret)


def packing_rings(ring: Ring, columns: int, degree: int | None) -> Iterator[Ring]:
    """The smallest rings whose contexts OpenFHE makes for the plaintexts of a packing tree, t 2^l."""
    for each, limbs in ((2048, (53,)), (4096, (53, 53)), (8192, (60, 60))):
        plaintext = ring.plaintext_modulus << int(packlwes_depth(columns, each))
        bound = LARGEST_ONE_LIMB_PLAINTEXT if len(limbs) == 1 else LARGEST_PLAINTEXT
        if degree in (None, each) and plaintext <= bound:
            yield Ring(each, limbs, ring.plaintext_modulus, ring.sigma, ring.secret)
