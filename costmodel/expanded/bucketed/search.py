"""Parameters of the bucketed query: buckets by the bound of their failure, the rest by the folded query's search.

Half of the failures that are allowed go to the placement, the others to the answers of both stages.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.expanded.bucketed.parameters import MOST_PROMPT, MOST_SHARE, BucketedColumns, BucketedParameters
from costmodel.expanded.bucketed.placement import choose_group, hashes_of
from costmodel.expanded.folded.parameters import FoldedColumns
from costmodel.expanded.folded.search import RINGS, FoldedSearch, expansion_transforms, server_s
from costmodel.expanded.noise import Floats
from costmodel.expanded.parameters import Array
from costmodel.expanded.search import RingChoice, Rings, Shapes, Task

BYTE_S = 3e-6
"""Of a byte on the link, unless told: a fifth of a single row's, since a prompt's seconds are what it is chosen for."""


class StageSearch(FoldedSearch):
    """The folded query's search for tables whose elements may be shares, up to t/2 in magnitude."""

    def shapes(self, task: Task, rings: Rings) -> Shapes[FoldedColumns]:
        """Those of the folded query."""
        return super().shapes(replace(task, element_bound=task.plaintext_modulus // 2), rings)


class Buckets(NamedTuple):
    """Buckets of prompts, as arrays.

    Attributes
    ----------
    prompt, hashes, group : T, h and G
    rows : of the larger stage's table
    queries : of both stages, for all planned tokens
    """

    prompt: Array
    hashes: Array
    group: Array
    rows: Array
    queries: Array

    @property
    def buckets(self) -> Array:
        """B."""
        found: Array = self.hashes * self.group
        return found

    @classmethod
    def of(cls, rows: ArrayLike, tokens: ArrayLike, queries: ArrayLike, log2_failure: ArrayLike) -> Buckets:
        """The buckets that prompts of so many tokens need.

        Parameters
        ----------
        rows, tokens
            Of the table, and of the prompt.
        queries
            Planned number of tokens.
        log2_failure
            Target of the prompt.

        Raises
        ------
        ValueError
            If a prompt is too long or too short.
        """
        m, prompt, planned = (np.asarray(value, dtype=np.int64) for value in (rows, tokens, queries))
        if np.any(prompt > MOST_PROMPT):
            raise ValueError(f"tokens is {prompt.max()}; a bucketed query is of up to {MOST_PROMPT}")
        chosen = np.vectorize(lambda m, t, target: choose_group(int(m), int(t), float(target)), otypes=[np.int64])(
            m, prompt, np.asarray(log2_failure, dtype=float) - 1.0
        )
        group = np.asarray(chosen, dtype=np.int64)
        hashes = np.asarray(np.vectorize(lambda t: hashes_of(int(t)), otypes=[np.int64])(prompt), dtype=np.int64)
        buckets = hashes * group
        prompts = -(-np.maximum(planned, prompt) // prompt)
        return cls(prompt, hashes, group, np.maximum(-(-m // group), buckets), prompts * (buckets + prompt))


def answers_log2_failure(log2_failure: ArrayLike) -> Floats:
    """Target of the answers to as many rows as there are buckets, so that those to both stages keep to a half."""
    return np.asarray(log2_failure, dtype=float) - 2.0  # tokens are no more than buckets


def staged(larger: FoldedColumns, rows: Array, buckets: Buckets) -> BucketedColumns:
    """Both stages of prompts in tables of so many rows, of the columns of their larger stages."""
    shared = {field.name: getattr(larger, field.name) for field in fields(FoldedColumns)}
    bucket_rows = -(-rows // buckets.group)
    return BucketedColumns(
        **{
            **shared,
            "rows": rows,
            "prompt": buckets.prompt,
            "hashes": buckets.hashes,
            "group": buckets.group,
            "selectors": cheapest_selectors(larger, bucket_rows),
            "relookup_selectors": cheapest_selectors(larger, buckets.buckets),
        }
    )


def cheapest_selectors(larger: FoldedColumns, rows: Array) -> Array:
    """d1 of a table of no more rows, under the same keys: that of the least cost with no more noise.

    Columns are as many as a number of levels folds, no more levels and selectors than the larger table has.
    """
    best = np.full(np.shape(larger.degree), np.inf)
    found: Array = larger.selectors
    polynomials = -(-rows // larger.slots)
    for level in range(int(np.max(larger.column_levels)) + 1):
        selectors = -(-polynomials // (1 << level))
        fits = (selectors <= larger.selectors) & (level <= larger.column_levels)
        one = replace(larger, rows=rows, selectors=np.where(fits, selectors, larger.selectors))
        cost = server_s(one, expansion_transforms(one, one.expansion.digits), one.square.digits)
        cost = np.where(fits, cost + BYTE_S * one.query_bytes, np.inf)
        found = np.where(cost < best, selectors, found)
        best = np.minimum(cost, best)
    return np.where(rows >= larger.rows, larger.selectors, found)


@lru_cache(maxsize=1024)
def choose_parameters(
    rows: int,
    channels: int,
    widths: tuple[int, ...],
    flooding_bits: int = 0,
    log2_failure: float = -40,
    *,
    plaintext_modulus: int | None = None,
    rings: tuple[RingChoice, ...] = RINGS,
    sigma: float = 3.19,
    byte_s: float = BYTE_S,
    log2_distance: float = 0.0,
    queries: int = 1,
    tokens: int = 1,
) -> BucketedParameters:
    """Return the cheapest parameters of a bucketed query that hold the target for every table and every prompt.

    Parameters are those of :func:`costmodel.expanded.folded.search.choose_parameters`; ``tokens`` are the prompt's, and
    ``log2_failure`` is a token's share of the prompt's target.

    Raises
    ------
    ValueError
        If no ring holds the target.

    Examples
    --------
    >>> chosen = choose_parameters(3000, 40, (4, 3), log2_failure=-44, tokens=16)
    >>> chosen.buckets, chosen.bucket_rows, chosen.relookup.rows
    (44, 273, 44)
    """
    target = log2_failure + (tokens - 1).bit_length()
    buckets = Buckets.of(rows, tokens, queries, target)
    each = answers_log2_failure(target) - np.ceil(np.log2(buckets.buckets))
    task = Task.of(
        buckets.rows,
        channels,
        widths,
        flooding_bits,
        each,
        plaintext_modulus,
        sigma,
        byte_s,
        log2_distance,
        buckets.queries,
        buckets.buckets,
    )
    check_share(task.plaintext_modulus)
    larger = StageSearch().single(task, rings)
    return staged(larger, np.asarray(rows), buckets).one()


def check_share(plaintext_modulus: ArrayLike) -> None:
    """Hold plaintext moduli to those whose shares are a table.

    Raises
    ------
    ValueError
        If one is larger.
    """
    largest = int(np.max(plaintext_modulus))
    if largest > MOST_SHARE:
        raise ValueError(
            f"plaintext_modulus is {largest}; a bucketed query looks shares up, which takes one of up to {MOST_SHARE}"
        )
