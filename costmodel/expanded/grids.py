"""Searched parameters of every configuration of a grid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from costmodel.expanded.parameters import Columns
from costmodel.expanded.search import BYTE_S, RingChoice, Rings, Search, Task, refused
from costmodel.grid import Grid

LOG2_FAILURE = -40.0
"""Of the answers to all tokens together, unless told; the target of each is log2 of the tokens below."""
MOST_TASKS = 256
"""Tasks that are searched together, so that their shapes fit in memory."""

K = TypeVar("K", bound=Columns)


def searched(
    search: Search[K],
    grid: Grid,
    log2_failure: float,
    byte_s: float = BYTE_S,
) -> K:
    """The cheapest parameters of every configuration of a grid, in the grid's shape.

    Parameters
    ----------
    search
        The design's search.
    log2_failure
        Target of the answers to all tokens together.
    byte_s
        Cost of a byte of query and answer beside the server's seconds.

    Raises
    ------
    ValueError
        If a grid of one has no parameters that hold; in a larger grid they are flagged by ``holds``.
        If secrets are not ternary: no others are drawn, and the security of Gaussian ones is not theirs.
    """
    if grid.secret != "ternary":
        raise ValueError(f"ring.secret is {grid.secret!r}; keys are made for ternary ones")
    target = log2_failure - np.ceil(np.log2(grid.tokens))
    queries = np.maximum(grid.queries, grid.tokens)
    flooding = (grid.flooding_bits, grid.log2_distance, queries)
    asked = (grid.rows, grid.channels, grid.tokens, grid.plaintext_modulus, *flooding, target, grid.sigma, grid.degree)
    arrays = np.broadcast_arrays(*asked, *grid.limb_bits)
    shape = arrays[0].shape
    table = np.stack([array.reshape(-1).astype(np.float64) for array in arrays], axis=-1)
    distinct, place = np.unique(table, axis=0, return_inverse=True)
    rows, channels, tokens, modulus, flooding_bits, log2_distance, answers, failure, sigma, degree, *limb_bits = (
        distinct.T
    )
    task = Task.of(
        rows, channels, grid.widths, flooding_bits, failure, modulus, sigma, byte_s, log2_distance, answers, tokens
    )
    rings = Rings.each(degree.astype(np.int64), [bits.astype(np.int64) for bits in limb_bits])
    found: list[Any] = []
    held = np.zeros(len(distinct), dtype=bool)
    for start in range(0, len(distinct), MOST_TASKS):
        some = np.arange(start, min(start + MOST_TASKS, len(distinct)))
        columns, holding = search.run(task.taken(some), rings.taken(some))
        held[some[holding]] = True
        if holding.size:
            found.append(columns)
    if not found:
        raise refused(task, [RingChoice(int(degree[0]), tuple(int(bits[0]) for bits in limb_bits))])
    every = found[0]
    for more in found[1:]:
        every = every.joined(more)
    # Configurations that nothing holds stand at the first row, flagged.
    rows_of = np.where(held, np.cumsum(held) - 1, 0)[place.reshape(-1)]
    taken = every.taken(rows_of)
    taken = replace(taken, holds=held[place.reshape(-1)])
    shaped: K = taken.mapped(lambda array: array.reshape((*array.shape[:-1], *shape)))
    return shaped
