"""The folded query as a system."""

from __future__ import annotations

from costmodel.expanded.folded.design import FoldedDesign
from costmodel.expanded.folded.search import RINGS, choose_parameters
from costmodel.systems import looks
from costmodel.systems.expanded import ExpandedSystem


class Folded(ExpandedSystem):
    """The folded query: a row lies along a polynomial, columns of rows are folded by encrypted bits."""

    name = "folded"
    legend = "Folded query"
    source = "this project"
    look = looks.FOLDED
    widths = (4, 3)  # a row of 4096 channels is then one polynomial of 2048 coefficients
    expanded_design = FoldedDesign()
    rings = RINGS
    search = staticmethod(choose_parameters)
