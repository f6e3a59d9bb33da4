"""Systems whose query is one ciphertext that the server expands; their parameters are found by search."""

from __future__ import annotations

from types import ModuleType

from costmodel.limits import FLOODING_BITS
from costmodel.packing import check_packing, required_plaintext_modulus
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.system import System, Wishes


class ExpandedSystem(System):
    """Folded and compressed queries: this project's own, executed on residues alone."""

    engines = ("residue",)
    widths: tuple[int, ...]
    search: ModuleType

    def published(self, table: Table, ablation: str | None = None) -> Configuration:
        """None.

        Raises
        ------
        ValueError
            Always: the system is this project's own.
        """
        raise ValueError(f"protocol is {self.name!r}, which is this project's own; it has no published form")

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The query on the ring with the least cost that holds; a named ring narrows the choice."""
        packing = wishes.packing(Packing(self.widths, "system", "system"))
        if packing.levels:
            raise ValueError(f"levels are {wishes.levels}; the {self.name} query packs channels of 2^w levels alone")
        given = wishes.ring
        bits = FLOODING_BITS if wishes.flooding_bits is None else wishes.flooding_bits
        modulus = given.get("plaintext_modulus", required_plaintext_modulus(packing.field_moduli))
        check_packing(packing.widths, modulus)
        if {"degree", "limb_bits"} <= given.keys():
            ring = Ring(given["degree"], given["limb_bits"], modulus)
            return Configuration(self.name, table, ring, packing, engine=engine, flooding_bits=bits)
        rings = [
            choice
            for choice in self.search.RINGS
            if given.get("degree", choice.degree) == choice.degree
            and given.get("limb_bits", choice.limb_bits) == choice.limb_bits
        ]
        if "limb_bits" in given and not rings:
            rings = list(self.search.ring_choices(given.get("degree", 4096), given["limb_bits"]))
        chosen = self.search.choose_parameters(
            table.rows,
            table.channels,
            packing.widths,
            bits,
            -40 - (table.tokens - 1).bit_length(),
            plaintext_modulus=modulus,
            rings=tuple(rings),
        )
        ring = Ring(chosen.degree, chosen.limb_bits, modulus)
        return Configuration(self.name, table, ring, packing, engine=engine, flooding_bits=bits)
