"""A projection of hidden states, tokens x d_in by d_in x d_out, priced by the systems that price a lookup.

A lookup is the product of a one-hot (tokens x m) matrix with the table; a projection is the same product with a dense
left side, so that a system's ledger for m = d_in and n = d_out is that of the projection, provided that its plaintext
holds sums of d_in products. The systems' own fixed-point rings do. What rests on the input being one-hot does not
carry over: FastQuery's modulus and its packed channels. CipherGPT's products run on vector oblivious linear
evaluation, whose parameters could not be found, and its embedding is no product.

References
----------
.. [1] FastQuery, DAC 2024, figure 1: the QKV projection of LLaMA-7B and 13B beside the embedding query.
"""

from __future__ import annotations

from costmodel.grid import Grid
from costmodel.ledger import Term
from costmodel.parameters import Configuration, Table
from costmodel.systems import SYSTEMS, design_of, system

PROJECTIONS = tuple(one.name for one in SYSTEMS if one.projects)
"""Systems that compute products with dense inputs."""


def projection(protocol: str, tokens: int, inner: int, columns: int) -> Configuration:
    """The configuration whose estimate is that of a projection.

    Parameters
    ----------
    protocol
        One of ``PROJECTIONS``.
    tokens, inner, columns
        Tokens, d_in and d_out; Q, K and V together have d_out = 3 d_in.

    Raises
    ------
    ValueError
        If the system computes no dense product, or a dimension is out of bounds.

    Examples
    --------
    >>> projection("cheetah", 1, 4096, 3 * 4096).table.rows
    4096
    """
    found = system(protocol)
    if not found.projects:
        raise ValueError(f"protocol is {protocol!r}; a projection is priced for {', '.join(PROJECTIONS)}")
    return found.published(Table(inner, columns, tokens))


def projection_terms(protocol: str, tokens: int, inner: int, columns: int) -> tuple[Term, ...]:
    """Predicted ledger of a projection; parameters as `projection`."""
    grid = Grid.of(projection(protocol, tokens, inner, columns))
    return design_of(grid).ledger(grid)
