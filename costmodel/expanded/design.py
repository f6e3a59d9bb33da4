"""Guarantees that all expanded queries state alike."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from costmodel.design import Design, Floats, Flooding, Memory, RingUse
from costmodel.expanded.flooding import distance, reached_bits
from costmodel.expanded.memory import keys_bytes
from costmodel.expanded.parameters import Columns, Expanded
from costmodel.grid import Grid

K = TypeVar("K", bound=Columns)


class ExpandedDesign(Design, Generic[K]):
    """A design whose parameters stand in the grid, chosen before by :meth:`with_parameters`."""

    @abstractmethod
    def with_parameters(self, grid: Grid, log2_failure: float) -> Grid:
        """The grid with the cheapest parameters of every configuration that hold the target of all tokens together."""

    @abstractmethod
    def columns(self, grid: Grid) -> K:
        """The parameters that the grid holds.

        Raises
        ------
        ValueError
            If it holds none, or those of another design.
        """

    @abstractmethod
    def columns_of(self, parameters: Expanded) -> K:
        """Columns of one configuration's parameters.

        Raises
        ------
        ValueError
            If they are those of another design.
        """

    @abstractmethod
    def answer_noise(self, columns: K, mean_square: Floats) -> Floats:
        """Variance over Q^2 of an answer coefficient's error for tables of a mean square."""

    @abstractmethod
    def answer_failure(self, columns: K) -> Floats:
        """log2 of the probability that an answer decrypts wrongly."""

    @abstractmethod
    def hidden(self, columns: K) -> Floats:
        """Variance over Q^2 that the flooding hides, for the worst table."""

    @abstractmethod
    def besides_keys(self, columns: K) -> Memory:
        """Memory of a session besides the halves of its keys' rows, and of a prepared query."""

    def memory(self, grid: Grid) -> Memory:
        """Keys ready for use, and one prepared query a token."""
        p = self.columns(grid)
        besides = self.besides_keys(p)
        prepared = grid.tokens * besides.prepared_bytes * grid.prepared
        return Memory(p.held(keys_bytes(p) + besides.keys_bytes), p.held(prepared))

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2, flooding and rounding included."""
        p = self.columns(grid)
        return p.held(self.answer_noise(p, grid.element_mean_square) * np.exp2(2.0 * grid.log2_plaintext_modulus))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient of any token's answer decrypts wrongly.

        For the tables that the design's ``failure`` names: elements at their bound, products in the mean. The flooding
        is bounded: it comes off the limit and is no part of the Gaussian tail.
        """
        p = self.columns(grid)
        return p.held(np.minimum(self.answer_failure(p) + np.log2(grid.tokens), 0.0))

    def flooding(self, grid: Grid) -> Flooding:
        """Flooding over the worst table's noise, and the distance that it leaves in the answers."""
        p = self.columns(grid)
        hidden = self.hidden(p)
        of_run, planned = (
            p.held(distance(p, hidden, answers)) for answers in (grid.tokens, np.maximum(p.queries, grid.tokens))
        )
        return Flooding(p.held(reached_bits(p, hidden)), of_run, planned)

    def bits_of(self, parameters: Expanded) -> int:
        """Whole bits that the flooding of one configuration has over the noise that it hides."""
        columns = self.columns_of(parameters)
        return int(reached_bits(columns, self.hidden(columns)))

    def answers_distance(self, columns: K, answers: ArrayLike) -> Floats:
        """log2 of the statistical distance that the flooding leaves in so many answers, whatever the table."""
        return distance(columns, self.hidden(columns), answers)

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Rings of queries and keys, and of the secrets that answers come back under."""
        p = self.columns(grid)
        degree, bits = np.where(p.holds, p.degree, grid.degree), np.where(p.holds, p.log2_q, grid.log2_q)
        switched = p.holds & (p.switches_ring > 0)
        return (
            RingUse("queries and keys", degree, bits),
            RingUse(
                "answers and the ring switch's key",
                np.where(switched, p.answer_degree, degree),
                np.where(switched, p.answer_modulus_bits, bits),
            ),
        )
