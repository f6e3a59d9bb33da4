"""A design: one way to execute or to account for a lookup, from which a ledger and its guarantees follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Term
from costmodel.noise import log2_failure, log2_flooding_distance
from costmodel.security import RingUse

Floats = NDArray[np.float64]

__all__ = [
    "NO_FLOODING",
    "NO_MEMORY",
    "RESIDUE_BYTES",
    "UNKNOWN_MEMORY",
    "Design",
    "Floats",
    "Flooding",
    "Memory",
    "RingUse",
    "failure_of_answers",
    "flooding_by_coefficients",
]


class Flooding(NamedTuple):
    """Noise that hides the table in the answers.

    Attributes
    ----------
    bits
        Width of the flooding over the noise that it hides, in bits; 0 without flooding.
    log2_distance
        log2 of the statistical distance that the flooding leaves in the answers to all tokens; 0 promises nothing.
    log2_planned_distance
        The same after the planned number of queries.
    """

    bits: ArrayLike
    log2_distance: ArrayLike
    log2_planned_distance: ArrayLike


class Memory(NamedTuple):
    """Memory of a client's session at the server between lookups; NaN where a library's is not known.

    Attributes
    ----------
    keys_bytes
        The client's keys, ready for use.
    prepared_bytes
        A lookup of the grid's tokens that is prepared, until it comes; 0 where none is.
    """

    keys_bytes: Number
    prepared_bytes: Number


class Design(ABC):
    """The formulas of one way to look rows up; every method takes a grid and returns arrays that broadcast with it.

    No method has a default: a design that forgets one would promise more than it keeps.

    Attributes
    ----------
    name
        By which an engine that executes it is found; empty for a design that is priced alone.
    """

    name: ClassVar[str] = ""

    @abstractmethod
    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""

    @abstractmethod
    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas; no sweep asks for them."""

    @abstractmethod
    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2, for a table of the grid's spread."""

    @abstractmethod
    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient of any token's answer decrypts wrongly."""

    @abstractmethod
    def flooding(self, grid: Grid) -> Flooding:
        """Flooding of the answers, 0 bits where the table is not hidden."""

    @abstractmethod
    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Every ring that anything is encrypted in, with its largest modulus."""

    @abstractmethod
    def memory(self, grid: Grid) -> Memory:
        """Memory of a client's session at the server."""


RESIDUE_BYTES = 8
"""Of a residue in memory."""
NO_MEMORY = Memory(np.float64(0), np.float64(0))
"""Of a design without keys."""
UNKNOWN_MEMORY = Memory(np.float64(np.nan), np.float64(np.nan))
"""Of a published library, which keeps keys in a form of its own."""
NO_FLOODING = Flooding(np.int64(0), np.float64(0), np.float64(0))
"""Of a design that sends its answers as they are."""


def flooding_by_coefficients(bits: ArrayLike, over_noise: ArrayLike, grid: Grid) -> Flooding:
    """Uniform flooding, whose distances add up over the coefficients of all answers.

    Parameters
    ----------
    bits
        Width as it is said.
    over_noise
        Width over the bound of what it hides, in bits.
    grid
        Its tokens, and the planned queries where these are more.
    """
    answers = (grid.tokens, np.maximum(grid.tokens, grid.queries))
    return Flooding(bits, *(log2_flooding_distance(over_noise, each * grid.coefficients) for each in answers))


def failure_of_answers(variance: ArrayLike, grid: Grid) -> Floats:
    """log2 of the probability that any of the answers' coefficients has an error of half a plaintext step.

    The union bound over tokens times N' coefficients with a Gaussian error of the given variance over (q/t)^2.
    """
    return np.asarray(log2_failure(np.sqrt(variance), 0.5, grid.tokens * grid.coefficients))
