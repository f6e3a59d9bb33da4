"""The compressed query: a row's number in encrypted bits, turned into selectors, the table's pass and PackLWEs.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018 (expansion).
.. [2] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421 (external products).
.. [3] H. Chen, W. Dai, M. Kim, Y. Song, ePrint 2020/015 (PackLWEs).
"""

from __future__ import annotations

from dataclasses import replace

from costmodel.design import RESIDUE_BYTES, Floats, Memory
from costmodel.errors import Incompatible
from costmodel.expanded.compressed.ledger import compressed_ledger, compressed_symbols
from costmodel.expanded.compressed.noise import compressed_noise, failure
from costmodel.expanded.compressed.parameters import CompressedColumns, CompressedParameters
from costmodel.expanded.compressed.search import CompressedSearch
from costmodel.expanded.design import ExpandedDesign
from costmodel.expanded.grids import searched
from costmodel.expanded.parameters import Expanded
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term


class CompressedDesign(ExpandedDesign[CompressedColumns]):
    """The compressed query on parameters that the grid holds."""

    name = "compressed"

    def with_parameters(self, grid: Grid, log2_failure: float) -> Grid:
        """The grid with the cheapest parameters of every configuration that hold the target of all tokens together.

        Raises
        ------
        ValueError
            If the grid is prepared: the work after the expansion is not linear in the query. If none hold for a grid
            of one; a larger grid has NaN figures there.
        """
        _check(grid)
        return replace(grid, expanded=searched(CompressedSearch(), grid, log2_failure))

    def columns(self, grid: Grid) -> CompressedColumns:
        """The parameters that the grid holds."""
        _check(grid)
        if not isinstance(grid.expanded, CompressedColumns):
            raise ValueError(
                "expanded is not chosen; complete the compressed query's parameters by costmodel.systems.completed"
            )
        return grid.expanded

    def columns_of(self, parameters: Expanded) -> CompressedColumns:
        """Columns of one configuration's parameters."""
        if not isinstance(parameters, CompressedParameters):
            raise ValueError(f"parameters are {type(parameters).__name__}; the design is of CompressedParameters")
        return CompressedColumns.of(parameters)

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        return compressed_ledger(grid, self.columns(grid))

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return compressed_symbols(grid, self.columns(grid))

    def answer_noise(self, columns: CompressedColumns, mean_square: Floats) -> Floats:
        """Variance over Q^2 of an answer coefficient's error for tables of a mean square."""
        total: Floats = compressed_noise(columns, mean_square).total
        return total

    def answer_failure(self, columns: CompressedColumns) -> Floats:
        """log2 of the probability that an answer decrypts wrongly."""
        return failure(columns)

    def besides_keys(self, columns: CompressedColumns) -> Memory:
        """Shoup's quotients of the packing keys; nothing of a prepared query is kept."""
        p = columns
        return Memory(2 * RESIDUE_BYTES * p.degree * p.packing_rows * p.table_limbs, 0)

    def hidden(self, columns: CompressedColumns) -> Floats:
        """Variance over Q^2 that the flooding hides, for the worst table."""
        hidden: Floats = compressed_noise(columns, 0.0).hidden
        return hidden


def _check(grid: Grid) -> None:
    if grid.prepared:
        raise Incompatible("prepared is True; encrypted bits meet each other in products, so nothing can be prepared")
