"""A design: one way to execute or to account for a lookup, from which a ledger and its guarantees follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.grid import Grid
from costmodel.ledger import Term

Floats = NDArray[np.float64]


class RingUse(NamedTuple):
    """A ring that something is encrypted in.

    Attributes
    ----------
    purpose
        The messages or keys that are encrypted in the ring.
    degree
        Ring degree N.
    log2_q
        Bits of the largest modulus, a special prime of keys included.
    """

    purpose: str
    degree: ArrayLike
    log2_q: ArrayLike


class Flooding(NamedTuple):
    """Noise that hides the table in the answers.

    Attributes
    ----------
    bits
        Width of the flooding over the noise that it hides, in bits; 0 without flooding.
    log2_distance
        log2 of the statistical distance that the flooding leaves in the answers to all tokens; 0 promises nothing.
    """

    bits: ArrayLike
    log2_distance: ArrayLike


class Design(ABC):
    """The formulas of one way to look rows up; every method takes a grid and returns arrays that broadcast with it.

    No method has a default: a design that forgets one would promise more than it keeps.
    """

    @abstractmethod
    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""

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
