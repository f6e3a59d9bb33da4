"""Protocols whose parameters are found by search: once for every configuration of a grid that differs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.search import RingChoice
from costmodel.expanded.parameters import Expanded, Gadget
from costmodel.grid import Grid
from costmodel.ledger import Number, Party

LOG2_FAILURE = -40
"""Of the answers to all tokens together; each token's is smaller."""

P = TypeVar("P", bound=Expanded)


@lru_cache(maxsize=4096)
def _search(
    choose: Callable[..., P],
    rows: int,
    channels: int,
    widths: tuple[int, ...],
    flooding_bits: int,
    log2_failure: int,
    plaintext_modulus: int,
    rings: tuple[RingChoice, ...],
    sigma: float,
) -> P | str:
    """What was found, or why nothing holds: a search in vain takes longest, and every figure of a grid asks again."""
    try:
        return choose(
            rows,
            channels,
            widths,
            flooding_bits,
            log2_failure,
            plaintext_modulus=plaintext_modulus,
            rings=rings,
            sigma=sigma,
        )
    except ValueError as error:
        return str(error)


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
        If secrets are not ternary: no others are drawn, and the security of Gaussian ones is not theirs.
    """

    def __init__(
        self,
        grid: Grid,
        choose: Callable[..., P],
        ring_choices: Callable[[int, tuple[int, ...]], tuple[RingChoice, ...]],
    ) -> None:
        if grid.secret != "ternary":
            raise ValueError(f"ring.secret is {grid.secret!r}; keys are made for ternary ones")
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
            found = _search(
                choose,
                rows,
                channels,
                tuple(grid.widths),
                flooding_bits,
                LOG2_FAILURE - doubled,
                modulus,
                ring_choices(degree, tuple(limb_bits)),
                sigma,
            )
            if isinstance(found, str):
                if len(keys) == 1:
                    raise ValueError(found)
                self.chosen.append(None)
            else:
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


# Sizes of operations count polynomials that are transformed, or what takes as long, as measured: reading what is
# switched and adding what comes out takes as long as three digits, the ends of an external product as ten, and each row
# of an encrypted bit as five before it is multiplied by.
SWITCH_ENDS = 4
PRODUCT_ENDS = 12
BIT_ROW = 10
MASK_ELEMENT = 17
ENCRYPTION_OF_ZERO = 18
RING_SWITCH = 12
LONG_INTEGER = 100
QUERY_WORDS = 60000


def polynomials_of_a_node(parameters: Expanded) -> float:
    """Polynomials of a key switch of the expansion, on average."""
    levels = zip(parameters.expansion_nodes, parameters.expansion, strict=True)
    return sum(nodes * (SWITCH_ENDS + gadget.digits) for nodes, gadget in levels) / parameters.expansion_switches


def polynomials_of_a_product(gadget: Gadget, bits_each: float = 1.0) -> float:
    """Polynomials of an external product by a bit, and of the part of a bit that has to be prepared for it."""
    return PRODUCT_ENDS + 2 * gadget.digits + BIT_ROW * gadget.digits * bits_each


def polynomials_of_a_mask(parameters: Expanded) -> float:
    """Polynomials of masking an answer: a copy, an element a coefficient of the row, and the encryption of zero."""
    drawn = MASK_ELEMENT * parameters.row_coefficients / (parameters.degree * parameters.answers)
    return 1 + drawn + (ENCRYPTION_OF_ZERO if parameters.flooding_bits else 0)


def limbs_of_an_answer(parameters: Expanded) -> float:
    """Polynomials of one limb of rounding an answer, and of switching rings before."""
    return 1 + RING_SWITCH * parameters.ring_switch.digits


def residues_of_a_query(parameters: Expanded) -> float:
    """Residues of encrypting a query: its polynomial, and its used coefficients as long integers."""
    return parameters.degree * parameters.limbs + LONG_INTEGER * parameters.query_coefficients


def query_words(tokens: Number) -> dict[Party, Number]:
    """Words of a message that take as long as what a party does about each query outside of its operations."""
    return {"client": QUERY_WORDS * tokens, "server": 2 * QUERY_WORDS * tokens}
