"""The folded query as a system."""

from __future__ import annotations

import numpy as np

from costmodel import folded_search
from costmodel.design import Design, Floats, Flooding, RingUse
from costmodel.grid import Grid
from costmodel.ledger import Term
from costmodel.protocols import folded
from costmodel.systems import looks
from costmodel.systems.expanded import ExpandedSystem

FOLDED_WIDTHS = (4, 3)
"""Two channels in a plaintext of 9 bits: a row of 4096 channels is one polynomial of 2048 coefficients."""


class FoldedDesign(Design):
    name = "folded"

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        return folded.terms(grid)

    def noise(self, grid: Grid) -> Floats:
        return np.asarray(folded.noise(grid))

    def failure(self, grid: Grid) -> Floats:
        return np.asarray(folded.log2_failure(grid))

    def flooding(self, grid: Grid) -> Flooding:
        return Flooding(grid.flooding_bits, folded.log2_statistical_distance(grid))

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        return (RingUse("query and keys", grid.degree, grid.log2_q), RingUse("ring switch", *folded.answer_ring(grid)))


class Folded(ExpandedSystem):
    """The folded query."""

    name = "folded"
    legend = "Folded query"
    source = "this project"
    look = looks.FOLDED
    widths = FOLDED_WIDTHS
    search = folded_search

    def base_design(self, grid: Grid) -> Design:
        """The expanded query."""
        return FoldedDesign()
