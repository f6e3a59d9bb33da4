"""Systems that exist here only as published: priced with their library's sizes, executed by nothing."""

from __future__ import annotations

from abc import abstractmethod

from costmodel.design import Design
from costmodel.grid import Grid
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.system import System, Wishes
from costmodel.systems.cheetah import CHANNEL_BITS


class PricedSystem(System):
    """A system with a published ring, channels of 16 bits and a packing of its own."""

    @abstractmethod
    def ring(self, table: Table) -> Ring:
        """The published ring for a table."""

    @abstractmethod
    def published_design(self, grid: Grid) -> Design:
        """The formulas of the published system."""

    def published(self, table: Table, ablation: str | None = None) -> Configuration:
        """The published ring, and the system's own packing of channels of 16 bits."""
        assert self.library is not None
        packing = Packing((CHANNEL_BITS,), "system", "system")
        return Configuration(self.name, table, self.ring(table), packing, engine=self.library)

    def executed(self, table: Table, wishes: Wishes, engine: str) -> Configuration:
        """No engine executes the system.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(f"protocol is {self.name!r}, which is priced and not executed")

    def base_design(self, grid: Grid) -> Design:
        """The formulas of the published system."""
        return self.published_design(grid)
