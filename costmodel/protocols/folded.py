"""The folded query of :mod:`costmodel.expanded.folded` as the registry of systems asks for it."""

from __future__ import annotations

from functools import lru_cache

from costmodel.expanded.folded.design import FoldedDesign
from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.grids import LOG2_FAILURE
from costmodel.grid import Grid
from costmodel.ledger import Number, Term
from costmodel.parameters import Configuration

DESIGN = FoldedDesign()


@lru_cache(maxsize=16)
def filled(grid: Grid) -> Grid:
    """The grid with parameters, searched where it has none."""
    return grid if grid.expanded is not None else DESIGN.with_parameters(grid, LOG2_FAILURE)


def parameters_of(configuration: Configuration) -> FoldedParameters:
    """The parameters that a configuration is executed with; both parties derive the same.

    Raises
    ------
    ValueError
        If none hold on its ring.
    """
    if isinstance(configuration.expanded, FoldedParameters):
        return configuration.expanded
    columns = DESIGN.with_parameters(Grid.of(configuration), configuration.log2_failure)
    return DESIGN.columns(columns).one()


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger."""
    return DESIGN.ledger(filled(grid))


def answer_ring(grid: Grid) -> tuple[Number, Number]:
    """Degree of the ring that answers come back in, and bits of the modulus of the key to it."""
    answers = DESIGN.rings(filled(grid))[-1]
    return answers.degree, answers.log2_q


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2."""
    return DESIGN.noise(filled(grid))


def log2_failure(grid: Grid) -> Number:
    """log2 of the probability that any coefficient of any token's answer decrypts wrongly."""
    return DESIGN.failure(filled(grid))


def log2_statistical_distance(grid: Grid) -> Number:
    """log2 of the statistical distance that the flooding leaves in the answers to all tokens."""
    return DESIGN.flooding(filled(grid)).log2_distance
