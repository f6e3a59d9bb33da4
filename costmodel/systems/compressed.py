"""The compressed query as a system."""

from __future__ import annotations

import numpy as np

from costmodel import compressed_search
from costmodel.design import Design, Floats, Flooding, RingUse
from costmodel.grid import Grid
from costmodel.ledger import Term
from costmodel.parameters import Configuration, Table
from costmodel.protocols import compressed
from costmodel.system import Wishes
from costmodel.systems import looks
from costmodel.systems.expanded import ExpandedSystem
from costmodel.systems.fastquery import PAPER_WIDTHS


class CompressedDesign(Design):
    name = "compressed"

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        return compressed.terms(grid)

    def noise(self, grid: Grid) -> Floats:
        return np.asarray(compressed.noise(grid))

    def failure(self, grid: Grid) -> Floats:
        return np.asarray(compressed.log2_failure(grid))

    def flooding(self, grid: Grid) -> Flooding:
        return Flooding(grid.flooding_bits, compressed.log2_statistical_distance(grid))

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        return (
            RingUse("query and keys", grid.degree, grid.log2_q),
            RingUse("ring switch", *compressed.answer_ring(grid)),
        )


class Compressed(ExpandedSystem):
    """The compressed query."""

    name = "compressed"
    legend = "Compressed query"
    source = "this project"
    look = looks.COMPRESSED
    widths = PAPER_WIDTHS
    search = compressed_search

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The compressed query; nothing of it can be prepared."""
        if wishes.prepared:
            raise ValueError("prepared is True; a compressed query's bits meet each other before the table does")
        return super().executed(table, wishes, engine)

    def base_design(self, grid: Grid) -> Design:
        """The expanded query."""
        return CompressedDesign()
