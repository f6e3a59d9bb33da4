"""The bucketed query as a system."""

from __future__ import annotations

from costmodel.errors import Incompatible
from costmodel.expanded.bucketed.design import BucketedDesign
from costmodel.expanded.bucketed.search import choose_parameters
from costmodel.expanded.folded.search import RINGS
from costmodel.parameters import Configuration, Table
from costmodel.system import Wishes
from costmodel.systems import looks
from costmodel.systems.expanded import ExpandedSystem


class Bucketed(ExpandedSystem):
    """The bucketed query: the rows of a prompt in buckets, a folded query each, then their shares by position."""

    name = "bucketed"
    legend = "Bucketed query"
    source = "this project"
    look = looks.BUCKETED
    widths = (4, 3)  # as the folded query
    expanded_design = BucketedDesign()
    rings = RINGS
    search = staticmethod(choose_parameters)

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """The bucketed query; its second stage looks up what the first one makes."""
        if wishes.prepared:
            raise Incompatible(
                "prepared is True; the shares that a bucketed query looks up exist only after its queries"
            )
        return super().executed(table, wishes, engine)
