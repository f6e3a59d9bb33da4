"""Where a row stands: in what a query encrypts, and in the polynomials and answers that it comes back in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded, packed_bytes

IntArray = NDArray[np.int64]
Parameters = TypeVar("Parameters", bound=Expanded)


class Positions(NamedTuple):
    """Polynomial and coefficient of every packed coefficient of a row, each (n',), or of several rows, (rows, n')."""

    polynomial: IntArray
    coefficient: IntArray


class QueryPart(NamedTuple):
    """Used coefficients of a query, and the bits that are sent of N*b at each."""

    coefficients: int
    bits: int

    @property
    def size_bytes(self) -> int:
        """Bytes that the part travels in."""
        return packed_bytes(self.coefficients, self.bits)


@dataclass(frozen=True)
class ExpandedLayout(ABC, Generic[Parameters]):
    """Places of rows and results of an expanded query."""

    parameters: Parameters

    @property
    @abstractmethod
    def query_parts(self) -> tuple[QueryPart, ...]:
        """Parts of a query in the order that they are sent."""

    @property
    @abstractmethod
    def result_limbs(self) -> int:
        """Limbs of Q that a row comes back modulo."""

    @abstractmethod
    def message(self, token: int, modulus: int) -> list[int]:
        """Return what a query encrypts modulo Q at its used coefficients.

        Raises
        ------
        ValueError
            If the token is outside the vocabulary; its value is not in the message.
        """

    @abstractmethod
    def row_positions(self) -> Positions:
        """Return where a row stands in polynomials of degree N."""

    def check_token(self, token: int) -> None:
        """Hold a token to the vocabulary.

        Raises
        ------
        ValueError
            If it is outside; its value is not in the message.
        """
        if not 0 <= token < self.parameters.rows:
            raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {self.parameters.rows - 1}")

    def answer_positions(self) -> Positions:
        """Return where the rows of an answer stand, secret and coefficient in the ring of degree N', (rows, n')."""
        p = self.parameters
        polynomial, coefficient = self.row_positions()
        stride = p.answer_parts // p.used_parts
        first = np.arange(p.answer_tokens, dtype=np.int64)[:, None] * p.results
        output = (first + polynomial) * p.used_parts + coefficient % p.answer_parts // stride
        return Positions(output, np.broadcast_to(coefficient // p.answer_parts, output.shape))
