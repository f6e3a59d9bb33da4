"""The folded query: one small ciphertext expanded to selectors and bits, one pass over the table, folds.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018 (expansion).
.. [2] M. H. Mughees, H. Chen, L. Ren, "OnionPIR", CCS 2021 (one dimension of selectors, the others folded by external
   products).
.. [3] S. J. Menon, D. J. Wu, "Spiral", IEEE S&P 2022 (both from one expanded ciphertext).
"""

from __future__ import annotations

from dataclasses import replace

from costmodel.design import RESIDUE_BYTES, Floats, Memory
from costmodel.expanded.design import ExpandedDesign
from costmodel.expanded.folded.ledger import folded_ledger, folded_symbols
from costmodel.expanded.folded.noise import failure, folded_noise
from costmodel.expanded.folded.parameters import FoldedColumns, FoldedParameters
from costmodel.expanded.folded.search import FoldedSearch
from costmodel.expanded.grids import searched
from costmodel.expanded.parameters import Expanded
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term


class FoldedDesign(ExpandedDesign[FoldedColumns]):
    """The folded query on parameters that the grid holds."""

    name = "folded"

    def with_parameters(self, grid: Grid, log2_failure: float) -> Grid:
        """The grid with the cheapest parameters of every configuration that hold the target of all tokens together.

        Raises
        ------
        ValueError
            If none hold for a grid of one; a larger grid has NaN figures there.
        """
        return replace(grid, expanded=searched(FoldedSearch(), grid, log2_failure))

    def columns(self, grid: Grid) -> FoldedColumns:
        """The parameters that the grid holds."""
        if not isinstance(grid.expanded, FoldedColumns):
            raise ValueError(
                "expanded is not chosen; complete the folded query's parameters by costmodel.systems.completed"
            )
        return grid.expanded

    def columns_of(self, parameters: Expanded) -> FoldedColumns:
        """Columns of one configuration's parameters."""
        if not isinstance(parameters, FoldedParameters):
            raise ValueError(f"parameters are {type(parameters).__name__}; the design is of FoldedParameters")
        return FoldedColumns.of(parameters)

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        return folded_ledger(grid, self.columns(grid))

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return folded_symbols(grid, self.columns(grid))

    def answer_noise(self, columns: FoldedColumns, mean_square: Floats) -> Floats:
        """Variance over Q^2 of an answer coefficient's error for tables of a mean square."""
        total: Floats = folded_noise(columns, mean_square).total
        return total

    def answer_failure(self, columns: FoldedColumns) -> Floats:
        """log2 of the probability that an answer decrypts wrongly."""
        return failure(columns)

    def besides_keys(self, columns: FoldedColumns) -> Memory:
        """Nothing; a prepared query has its blocks' columns and the ciphertexts of its folds."""
        p = columns
        ciphertexts = p.blocks * p.columns + 2 * p.fold_levels * p.fold.digits
        return Memory(0, 2 * RESIDUE_BYTES * p.pass_limbs * p.degree * ciphertexts)

    def hidden(self, columns: FoldedColumns) -> Floats:
        """Variance over Q^2 that the flooding hides, for the worst table."""
        hidden: Floats = folded_noise(columns, 0.0).hidden
        return hidden
