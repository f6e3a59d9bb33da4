"""Protocols whose parameters are found by search: once for every configuration of a grid that differs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded import Expanded
from costmodel.folded_search import RingChoice
from costmodel.grid import Grid

LOG2_FAILURE = -40
"""Of the answers to all tokens together; each token's is smaller."""

P = TypeVar("P", bound=Expanded)


class SearchedParameters(Generic[P]):
    """The chosen parameters of every configuration of a grid.

    Parameters
    ----------
    grid : of the protocol
    choose : parameters of rows, channels, widths, flooding bits, a failure probability, and by name a plaintext
        modulus, rings and sigma; ValueError if none hold
    ring_choices : the rings of a degree and limbs

    Raises
    ------
    ValueError
        If a grid of one has no parameters that hold; in a larger one, such a configuration's figures are all NaN.
    """

    def __init__(
        self,
        grid: Grid,
        choose: Callable[..., P],
        ring_choices: Callable[[int, tuple[int, ...]], tuple[RingChoice, ...]],
    ) -> None:
        doublings = np.ceil(np.log2(grid.tokens)).astype(np.int64)
        columns = (
            grid.rows, grid.channels, grid.degree, grid.plaintext_modulus, grid.flooding_bits, grid.sigma, doublings,
        )  # fmt: skip
        arrays = np.broadcast_arrays(*columns, *grid.limb_bits)
        self.shape = arrays[0].shape
        keys = list(zip(*(array.reshape(-1).tolist() for array in arrays), strict=True))
        self._distinct = {key: position for position, key in enumerate(dict.fromkeys(keys))}
        self._index = np.array([self._distinct[key] for key in keys], dtype=np.int64).reshape(self.shape)
        self.chosen: list[P | None] = []
        for rows, channels, degree, modulus, flooding_bits, sigma, doubled, *limb_bits in self._distinct:
            try:
                found: P | None = choose(
                    rows,
                    channels,
                    tuple(grid.widths),
                    flooding_bits,
                    LOG2_FAILURE - doubled,
                    plaintext_modulus=modulus,
                    rings=ring_choices(degree, tuple(limb_bits)),
                    sigma=sigma,
                )
            except ValueError:
                if len(keys) == 1:
                    raise
                found = None
            self.chosen.append(found)

    @property
    def only(self) -> P:
        """The parameters of a grid of one."""
        (chosen,) = self.chosen
        assert chosen is not None
        return chosen

    def array(self, figure: Callable[[P], float]) -> NDArray[Any]:
        """One figure of every configuration, in the grid's shape."""
        values = [math.nan if parameters is None else figure(parameters) for parameters in self.chosen]
        return np.array(values)[self._index]


def answer_ring(grid: Grid, parameters: SearchedParameters[P]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Degree of the ring that answers come back in and bits of its keys' modulus; the grid's where none hold."""
    degree = parameters.array(lambda p: p.answer_degree)
    bits = parameters.array(lambda p: p.limb_bits[0] if p.switches_ring else p.log2_q)
    missing = np.isnan(degree)
    return np.where(missing, grid.degree, degree), np.where(missing, grid.log2_q, bits)


def polynomials_of_a_node(parameters: Expanded) -> float:
    """Polynomials that a key switch of the expansion transforms on average: its digits and what is switched."""
    levels = zip(parameters.expansion_nodes, parameters.expansion, strict=True)
    return sum(nodes * (1 + gadget.digits) for nodes, gadget in levels) / parameters.expansion_switches
