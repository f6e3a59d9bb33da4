"""The bucketed query: every token of a prompt at the cost of a small part of the table.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018 (a batch of queries in buckets).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from costmodel.design import Floats, Flooding, Memory
from costmodel.expanded.bucketed.ledger import bucketed_ledger, bucketed_symbols
from costmodel.expanded.bucketed.parameters import BucketedColumns, BucketedParameters
from costmodel.expanded.bucketed.placement import log2_failure as log2_placement_failure
from costmodel.expanded.bucketed.search import BYTE_S, Buckets, StageSearch, answers_log2_failure, check_share, staged
from costmodel.expanded.design import ExpandedDesign
from costmodel.expanded.flooding import distance, reached_bits
from costmodel.expanded.folded.noise import failure, folded_noise
from costmodel.expanded.grids import searched
from costmodel.expanded.parameters import Expanded
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term


class BucketedDesign(ExpandedDesign[BucketedColumns]):
    """The bucketed query on parameters that the grid holds."""

    name = "bucketed"

    def with_parameters(self, grid: Grid, log2_failure: float) -> Grid:
        """The grid with the cheapest parameters of every configuration that hold the target of all tokens together.

        Raises
        ------
        ValueError
            If none hold for a grid of one, or a prompt or a share is too large.
        """
        check_share(grid.plaintext_modulus)
        buckets = Buckets.of(*np.broadcast_arrays(grid.rows, grid.tokens, grid.queries, log2_failure))
        stage = replace(grid, rows=buckets.rows, tokens=buckets.buckets, queries=buckets.queries)
        larger = searched(StageSearch(), stage, float(answers_log2_failure(log2_failure)), BYTE_S)
        wide = Buckets(*(np.broadcast_to(array, np.shape(larger.rows)) for array in buckets))
        return replace(grid, expanded=staged(larger, np.broadcast_to(grid.rows, np.shape(larger.rows)), wide))

    def columns(self, grid: Grid) -> BucketedColumns:
        """The parameters that the grid holds.

        Raises
        ------
        ValueError
            If it holds none, or its prompts are longer than its parameters are for.
        """
        p = grid.expanded
        if not isinstance(p, BucketedColumns):
            raise ValueError(
                "expanded is not chosen; complete the bucketed query's parameters by costmodel.systems.completed"
            )
        if np.any(grid.tokens > p.prompt):
            raise ValueError(
                f"tokens is {np.max(grid.tokens)}; the buckets are for prompts of up to {np.min(p.prompt)}"
            )
        return p

    def columns_of(self, parameters: Expanded) -> BucketedColumns:
        """Columns of one configuration's parameters."""
        if not isinstance(parameters, BucketedParameters):
            raise ValueError(f"parameters are {type(parameters).__name__}; the design is of BucketedParameters")
        return BucketedColumns.of(parameters)

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        return bucketed_ledger(grid, self.columns(grid))

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return bucketed_symbols(grid, self.columns(grid))

    def answer_noise(self, columns: BucketedColumns, mean_square: Floats) -> Floats:
        """Variance over Q^2 of an answer coefficient's error, in the mean of both stages.

        The second stage's table is uniform modulo t: the square of its elements about t/2 is t^2/12 in the mean.
        """
        shares = (np.square(columns.plaintext_modulus.astype(float)) + 2.0) / 12.0
        of_rows = folded_noise(columns.bucket, mean_square).total
        total: Floats = 0.5 * (of_rows + folded_noise(columns.relookup, shares).total)
        return total

    def answer_failure(self, columns: BucketedColumns) -> Floats:
        """log2 of the probability that an answer of either stage decrypts wrongly, the likelier one's."""
        return np.maximum(failure(columns.bucket), failure(columns.relookup))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that a prompt cannot be placed, or that any answer decrypts wrongly."""
        p = self.columns(grid)
        placing = np.vectorize(
            lambda *counts: log2_placement_failure(*(int(count) for count in counts)), otypes=[float]
        )
        placed = placing(p.prompt, p.hashes, p.group, p.bucket_rows)
        answers = np.logaddexp2(
            failure(p.bucket) + np.log2(p.buckets), failure(p.relookup) + np.log2(grid.tokens.astype(float))
        )
        return p.held(np.minimum(np.logaddexp2(placed, answers), 0.0))

    def flooding(self, grid: Grid) -> Flooding:
        """Flooding of both stages over the larger one's noise, and the distance that it leaves in all their answers."""
        p = self.columns(grid)
        hidden, of_run = self.hidden(p), p.buckets + grid.tokens
        return Flooding(
            p.held(reached_bits(p.larger, hidden)),
            p.held(self.answers_distance(p, of_run)),
            p.held(self.answers_distance(p, np.maximum(p.queries, of_run))),
        )

    def bits_of(self, parameters: Expanded) -> int:
        """Whole bits that the flooding of one configuration has over the noise that it hides."""
        columns = self.columns_of(parameters)
        return int(reached_bits(columns.larger, self.hidden(columns)))

    def answers_distance(self, columns: BucketedColumns, answers: ArrayLike) -> Floats:
        """log2 of the statistical distance that the flooding leaves in so many answers, whatever the table."""
        return distance(columns.larger, self.hidden(columns), answers)

    def besides_keys(self, columns: BucketedColumns) -> Memory:
        """The rows of every bucket, and the buckets of every row."""
        p = columns
        return Memory(8 * p.hashes * (p.group * p.bucket_rows + p.rows), 0)

    def hidden(self, columns: BucketedColumns) -> Floats:
        """What the flooding hides, of the larger stage: the smaller one has fewer selectors and folds no more often."""
        hidden: Floats = folded_noise(columns.larger, 0.0).hidden
        return hidden
