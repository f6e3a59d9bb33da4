"""Systems that multiply an encrypted one-hot vector by the table, as this project executes them."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from costmodel.compact.design import CompactDesign
from costmodel.compact.rings import DEGREES, compact_configuration
from costmodel.compact.wire import compact_wire
from costmodel.design import Design
from costmodel.errors import Incompatible
from costmodel.grid import Grid
from costmodel.limits import FLOODING_BITS
from costmodel.openfhe.contexts import check_plaintext
from costmodel.openfhe.packed import PackedDesign
from costmodel.openfhe.rings import check_limbs_made, keyed_configuration, packing_rings, smallest_ring
from costmodel.packing import check_packing, required_plaintext_modulus
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.products import ProductDesign
from costmodel.system import System, Wishes

LARGEST_PREPARED_PLAINTEXT = 2**16
"""Prepared queries multiply the table's entries as integers of 16 bits."""


class OneHotSystem(System):
    """Cheetah, FastQuery and BumbleBee: a tile rule, a packing, and one of the project's engines under them."""

    engines: ClassVar[tuple[str, ...]] = ("residue", "openfhe")

    @abstractmethod
    def execution(self, wishes: Wishes, engine: str) -> tuple[Packing, int | None]:
        """Packing, and bits of the plaintext where they do not follow from the packing."""

    @abstractmethod
    def published_design(self, grid: Grid) -> Design:
        """The formulas of the published system."""

    def base_design(self, grid: Grid) -> Design:
        """The formulas of a grid's engine, format and packing."""
        if grid.engine == "residue":
            return CompactDesign() if grid.size in ("native", "wire", "ideal") else ProductDesign()
        if grid.engine == "openfhe":
            return PackedDesign() if grid.output == "packlwes" else ProductDesign()
        return self.published_design(grid)

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The configuration that an engine executes.

        The residue engine takes the ring and the wire with the fewest bytes a query for the failure target; the
        OpenFHE engine, which sends OpenFHE's own serialisation, the smallest ring that holds the product.
        """
        default, bits = self.execution(wishes, engine)
        packing = wishes.packing(default, table.channels)
        smallest = 2**bits if bits else required_plaintext_modulus(packing.field_moduli)
        modulus = wishes.ring.get("plaintext_modulus", smallest)
        check_packing(packing.widths, modulus, packing.levels)
        ring = wishes.ring_from(Ring(4096, (53, 53), modulus))
        base = Configuration(
            self.name, table, ring, packing, engine=engine, options=wishes.options, log2_failure=wishes.log2_failure
        )
        return self._on_residues(base, wishes) if engine == "residue" else self._on_openfhe(base, wishes)

    def _on_residues(self, base: Configuration, wishes: Wishes) -> Configuration:
        if wishes.distance:
            raise Incompatible(
                f"distance is {wishes.distance:g}; protocol {self.name} floods by a width: name flooding_bits"
            )
        flooding_bits = FLOODING_BITS if wishes.flooding_bits is None else wishes.flooding_bits
        modulus, packing = base.ring.plaintext_modulus, base.packing
        whole_columns = packing.tile == "column" and packing.output == "packlwes"
        if wishes.prepared and not (whole_columns and modulus <= LARGEST_PREPARED_PLAINTEXT):
            raise Incompatible(
                "prepared is True; a query on residues is prepared where answers are packed by PackLWEs, one column a "
                f"polynomial (protocol fastquery), and the plaintext has at most 16 bits; here tile is {packing.tile}, "
                f"output {packing.output}, t={modulus}"
            )
        flooded = base.updated(flooding_bits=flooding_bits, prepared=wishes.prepared)
        if "limb_bits" in wishes.ring:
            return flooded.updated(wire=compact_wire(flooded, wishes.log2_failure))
        degrees = (wishes.ring["degree"],) if "degree" in wishes.ring else DEGREES
        return compact_configuration(flooded, wishes.log2_failure, degrees)

    def _on_openfhe(self, base: Configuration, wishes: Wishes) -> Configuration:
        check_openfhe_wishes(wishes)
        check_plaintext(base.ring)
        if base.packing.output == "packlwes":
            chosen = packing_rings(base, wishes.ring.get("degree"))
            rings = [base.ring] if "limb_bits" in wishes.ring else chosen
            return keyed_configuration(base, rings, PackedDesign())
        if "limb_bits" in wishes.ring:
            check_limbs_made(base)
            return base
        return base.updated(ring=smallest_ring(base, wishes.ring.get("degree"), ProductDesign()))


def check_openfhe_wishes(wishes: Wishes) -> None:
    """Refuse the wishes that OpenFHE's API cannot meet.

    Raises
    ------
    ValueError
        For flooding and preparation; the message names the engine that does both.
    """
    if wishes.flooding_bits or wishes.distance or wishes.prepared:
        flooding = f"distance {wishes.distance:g}" if wishes.distance else f"flooding_bits {wishes.flooding_bits}"
        named = "prepared" if wishes.prepared else flooding
        raise Incompatible(f"engine is openfhe, which does not do {named}; take engine residue")
