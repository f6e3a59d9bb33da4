"""Rings of what is executed on OpenFHE with switching keys: limbs, and the digits by which keys are switched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from costmodel.design import Design
from costmodel.errors import Incompatible
from costmodel.grid import Grid
from costmodel.openfhe.contexts import LARGEST_LIMB_BITS, LARGEST_PLAINTEXT, MOST_LIMBS, made_limbs
from costmodel.packing import packlwes_depth
from costmodel.parameters import Configuration, Ring, Table, Wire
from costmodel.security import max_log2_q
from costmodel.slots import check_slots, layout, slot_modulus

MOST_DIGITS = 8
"""Of a limb."""


def check_limbs_made(configuration: Configuration) -> None:
    """Refuse a ring of which OpenFHE makes more limbs or fewer; see :func:`costmodel.openfhe.contexts.made_limbs`.

    Raises
    ------
    ValueError
        Naming field, value and remedy.
    """
    ring, wire = configuration.ring, configuration.wire
    t = encoded_modulus(configuration, ring.degree)
    asked, made = len(ring.limb_bits), made_limbs(ring, t, wire.digit_bits if wire else 0)
    if made != asked:
        shown, other = ("+".join([str(ring.limb_bits[0])] * count) for count in (asked, made))
        raise Incompatible(
            f"ring.q is {shown}; OpenFHE makes {other} for N={ring.degree} and plaintexts modulo {t}, by its own "
            f"bound on the noise; take q={other}, or leave q out"
        )


def encoded_modulus(configuration: Configuration, degree: int) -> int:
    """Modulus of the plaintexts that OpenFHE encodes: t, and t 2^l under a packing tree of depth l."""
    t, packing = configuration.ring.plaintext_modulus, configuration.packing
    if packing.output != "packlwes":
        return t
    columns = -(-configuration.table.channels // len(packing.widths))
    return t << int(packlwes_depth(columns, degree))


def smallest_ring(base: Configuration, degree: int | None, design: Design) -> Ring:
    """The smallest ring that holds the failure target of a configuration for every table.

    Raises
    ------
    ValueError
        If none does.
    """
    given = base.ring
    for each, limbs in ((2048, (53,)), (4096, (53, 53)), (8192, (60, 60))):
        ring = replace(given, degree=each, limb_bits=limbs)
        if degree not in (None, each) or made_limbs(ring, given.plaintext_modulus) != len(limbs):
            continue
        if design.failure(Grid.of(base.updated(ring=ring))) <= base.log2_failure:
            return ring
    raise Incompatible(
        f"ring is left to be chosen, but none of N={degree or '2048 to 8192'} holds t={given.plaintext_modulus} at a "
        f"failure of 2^{base.log2_failure:g}; take a smaller plaintext modulus, or name q"
    )


def keyed_configuration(base: Configuration, rings: Iterable[Ring], design: Design) -> Configuration:
    """The first of some rings, with the fewest digits, that OpenFHE makes and that holds the failure target.

    It holds the target for every table. A digit has at least two bits less than a limb. All bits of everything travel.

    Raises
    ------
    ValueError
        If none does.
    """
    made, refused = False, None
    for ring in rings:
        bits = ring.log2_q
        for digits in range(2, MOST_DIGITS + 1):
            wire = Wire(bits, bits, bits, -(-max(ring.limb_bits) // digits))
            candidate = base.updated(ring=ring, wire=wire)
            try:
                check_limbs_made(candidate)
            except Incompatible as error:
                refused = error
                continue
            made = True
            if design.failure(Grid.of(candidate)) <= base.log2_failure:
                return candidate
    if refused is not None and not made:
        raise refused
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


def packing_rings(base: Configuration, degree: int | None) -> Iterator[Ring]:
    """Rings for a packing tree, the smallest first; of N = 8192 one limb where OpenFHE makes no second one."""
    ring = base.ring
    for each, limbs in ((2048, (53,)), (4096, (53, 53)), (8192, (60, 60)), (8192, (60,))):
        if degree in (None, each) and encoded_modulus(base, each) <= LARGEST_PLAINTEXT:
            yield Ring(each, limbs, ring.plaintext_modulus, ring.sigma, ring.secret)
