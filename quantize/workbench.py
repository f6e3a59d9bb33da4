"""What recipes take and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quantize.frequencies import table_frequencies
from quantize.metric import Matrix, projection_metric
from quantize.packing import AnyIntegers
from quantize.public import PublicTable
from quantize.quantizers import Progress, silent
from quantize.scales import Floats
from quantize.tables import TableSource


class QuantizedTable(Protocol):
    """A quantised table that can be read in the clear."""

    @property
    def public(self) -> PublicTable:
        """Description of the packed coefficients."""

    def embeddings(self, tokens: AnyIntegers | None = None) -> Matrix:
        """Dequantised embeddings of tokens (all by default), shape (tokens, n)."""


@dataclass(frozen=True, eq=False)
class Workbench:
    """What recipes work on.

    Attributes
    ----------
    source : TableSource
    frequencies : array, shape (rows,)
    projection : array, shape (n, k), optional
        Query, key and value projections of the first layer side by side; some recipes need them.
    progress : callable
    """

    source: TableSource
    frequencies: Floats
    projection: Matrix | None = None
    progress: Progress = silent

    @classmethod
    def of(
        cls,
        source: TableSource,
        frequencies: Floats | None = None,
        projection: Matrix | None = None,
        progress: Progress = silent,
    ) -> Workbench:
        """With the frequencies that go with the source's name where none are given."""
        known = table_frequencies(source.name, source.rows) if frequencies is None else frequencies
        return cls(source, known, projection, progress)

    def metric(self, recipe: str) -> Matrix:
        """The projections' metric.

        Raises
        ------
        ValueError
            If there are no projections, naming the recipe that needs them.
        """
        if self.projection is None:
            raise ValueError(f"recipe {recipe!r} needs the query, key and value projections of the first layer")
        if len(self.projection) != self.source.channels:
            raise ValueError(
                f"projection: it takes {len(self.projection)} channels, the table has {self.source.channels}"
            )
        return projection_metric(self.projection)
