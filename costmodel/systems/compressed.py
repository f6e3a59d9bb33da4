"""The compressed query as a system."""

from __future__ import annotations

from costmodel.errors import Incompatible
from costmodel.expanded.compressed.design import CompressedDesign
from costmodel.expanded.compressed.search import RINGS, choose_parameters
from costmodel.parameters import Configuration, Table
from costmodel.system import Wishes
from costmodel.systems import looks
from costmodel.systems.expanded import ExpandedSystem


class Compressed(ExpandedSystem):
    """The compressed query: the bits of the row's number, of which the server makes the one-hot vector."""

    name = "compressed"
    legend = "Compressed query"
    source = "this project"
    look = looks.COMPRESSED
    widths = (4, 3)  # with t = 2^9 answers come back under secrets of degree 1024, with three channels of 2048
    expanded_design = CompressedDesign()
    rings = RINGS
    search = staticmethod(choose_parameters)

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The compressed query; nothing of it can be prepared."""
        if wishes.prepared:
            raise Incompatible("prepared is True; a compressed query's bits meet each other before the table does")
        return super().executed(table, wishes, engine)
