"""Guarantees that all expanded queries state alike."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

import numpy as np

from costmodel.design import Design, Floats, Flooding, RingUse
from costmodel.expanded.parameters import Columns
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
    def answer_noise(self, columns: K, mean_square: Floats) -> Floats:
        """Variance over Q^2 of an answer coefficient's error for tables of a mean square."""

    @abstractmethod
    def answer_failure(self, columns: K) -> Floats:
        """log2 of the probability that an answer decrypts wrongly."""

    @abstractmethod
    def answer_distance(self, columns: K) -> Floats:
        """log2 of the statistical distance that the flooding leaves in an answer."""

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
        """Flooding over the worst table's noise, and the distance that it leaves in the answers to all tokens."""
        p = self.columns(grid)
        distance = self.answer_distance(p)
        of_all = np.where(distance < 0, np.minimum(distance + np.log2(grid.tokens), 0.0), 0.0)
        return Flooding(p.held(p.flooding_bits), p.held(of_all))

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Rings of queries and keys, and of the ring switch's key, which answers come back under."""
        p = self.columns(grid)
        degree, bits = np.where(p.holds, p.degree, grid.degree), np.where(p.holds, p.log2_q, grid.log2_q)
        return (
            RingUse("queries and keys", degree, bits),
            RingUse(
                "answers and the ring switch's key",
                np.where(p.holds, p.answer_degree, degree),
                np.where(p.holds, p.answer_log2_q, bits),
            ),
        )
