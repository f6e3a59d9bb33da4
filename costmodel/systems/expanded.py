"""Systems whose query is one ciphertext that the server expands; their parameters are found by search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from costmodel.design import Design
from costmodel.errors import Incompatible
from costmodel.expanded.bucketed.parameters import BucketedParameters
from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.expanded.design import ExpandedDesign
from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.search import RingChoice
from costmodel.grid import Grid
from costmodel.limits import FLOODING_BITS
from costmodel.packing import check_packing, required_plaintext_modulus
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.system import System, Wishes


class ExpandedSystem(System):
    """Folded, bucketed and compressed queries: this project's own, executed on residues alone.

    Attributes
    ----------
    widths
        Channel widths where none are named.
    expanded_design
        The formulas, which also search parameters for a whole grid.
    rings
        Rings that are tried where none is named.
    search
        The search for one table over some rings.
    """

    engines = ("residue",)
    widths: ClassVar[tuple[int, ...]]
    expanded_design: ClassVar[ExpandedDesign[Any]]
    rings: ClassVar[tuple[RingChoice, ...]]
    search: ClassVar[Callable[..., FoldedParameters | CompressedParameters | BucketedParameters]]

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
        packing = wishes.packing(Packing(self.widths, "system", "system"), table.channels)
        if packing.levels:
            raise Incompatible(f"levels are {wishes.levels}; the {self.name} query packs channels of 2^w levels alone")
        given = wishes.ring
        unasked = 0 if wishes.distance else FLOODING_BITS
        bits = unasked if wishes.flooding_bits is None else wishes.flooding_bits
        modulus = given.get("plaintext_modulus", required_plaintext_modulus(packing.field_moduli))
        check_packing(packing.widths, modulus)
        chosen = self.search(
            table.rows,
            table.channels,
            packing.widths,
            bits,
            wishes.log2_failure - (table.tokens - 1).bit_length(),
            plaintext_modulus=modulus,
            rings=self._rings(wishes),
            log2_distance=wishes.distance,
            queries=max(wishes.queries, table.tokens),
            tokens=table.tokens,
        )
        if wishes.distance:
            bits = self.expanded_design.bits_of(chosen)
        ring = Ring(chosen.degree, chosen.limb_bits, modulus)
        return Configuration(
            self.name, table, ring, packing, engine=engine, flooding_bits=bits, log2_distance=wishes.distance,
            queries=wishes.queries, log2_failure=wishes.log2_failure, expanded=chosen,
        )  # fmt: skip

    def _rings(self, wishes: Wishes) -> tuple[RingChoice, ...]:
        """The rings that a named degree and named limbs leave."""
        degree, limb_bits = wishes.ring.get("degree"), wishes.ring.get("limb_bits")
        if degree and limb_bits:
            return (RingChoice(degree, limb_bits),)
        fitting = tuple(
            choice for choice in self.rings if degree in (None, choice.degree) and limb_bits in (None, choice.limb_bits)
        )
        if limb_bits and not fitting:
            return (RingChoice(degree or 4096, limb_bits),)
        return fitting or self._of_degree(degree or 0)

    def _of_degree(self, degree: int) -> tuple[RingChoice, ...]:
        """None is known for the degree.

        Raises
        ------
        ValueError
            Always, naming the degrees that there are.
        """
        known = ", ".join(str(value) for value in sorted({choice.degree for choice in self.rings}))
        raise Incompatible(f"ring.N is {degree}; the {self.name} query is searched on N={known}, or name q as well")

    def complete(self, grid: Grid, log2_failure: float) -> Grid:
        """The grid with parameters for every point; points that nothing holds have NaN figures."""
        return self.expanded_design.with_parameters(grid, log2_failure)

    def base_design(self, grid: Grid) -> Design:
        """The expanded query."""
        return self.expanded_design
