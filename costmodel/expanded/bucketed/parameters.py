"""Parameters of the bucketed query of a prompt, and every count and size that follows from them.

A prompt of up to T tokens takes two stages of folded queries under the same keys. In the first, the table's rows stand
in B = h G buckets of n = ceil(m/G) rows (:mod:`costmodel.expanded.bucketed.placement`), and there is one query a
bucket. In the second, the server's shares of the B rows are a table, and there is one query a token, for the bucket of
its row. Both stages have ring, keys, digits and answers in common, chosen for the larger table and for elements up to
t/2 in magnitude, which shares have.
"""

# mypy: disable-error-code="no-any-return"
# Arithmetic on arrays of any kind of number has no type of its own in numpy.
from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from costmodel.expanded.folded.parameters import FoldedColumns, FoldedFormulas, FoldedParameters
from costmodel.expanded.parameters import (
    Array,
    Columns,
    Count,
    Expanded,
    ExpandedFormulas,
    Gadget,
    GadgetColumns,
    GadgetOf,
    at_least,
    plain_values,
)

MOST_PROMPT = 1024
"""Tokens of a prompt."""
MOST_SHARE = 1 << 16
"""Largest plaintext modulus whose shares are a table of elements of 16 bits."""


class BucketedFormulas(ExpandedFormulas[Count]):
    """Counts and sizes of a prompt, of one configuration or of columns."""

    prompt: Count  # T, tokens of a prompt at most
    hashes: Count  # h, buckets of a row
    group: Count  # G, buckets of a hash function
    selectors: Count  # d1 of a bucket
    relookup_selectors: Count  # d1' of the shares
    pass_limbs: Count  # primes that are left for the passes over the tables and the folds
    fold: GadgetOf[Count]
    selector_bits: Count
    fold_bits: Count

    def stage(self, rows: Count, selectors: Count) -> FoldedFormulas[Count]:
        """A folded query of so many rows under the same keys."""
        raise NotImplementedError

    @cached_property
    def buckets(self) -> Count:
        """B, queries of the first stage."""
        return self.hashes * self.group

    @cached_property
    def bucket_rows(self) -> Count:
        """n, rows of a bucket."""
        return -(-self.rows // self.group)

    @cached_property
    def bucket(self) -> FoldedFormulas[Count]:
        """The query of a bucket."""
        return self.stage(self.bucket_rows, self.selectors)

    @cached_property
    def relookup(self) -> FoldedFormulas[Count]:
        """The query of the shares."""
        return self.stage(self.buckets, self.relookup_selectors)

    @cached_property
    def key_groups(self) -> tuple[tuple[Count, Count], ...]:
        """Those of either stage."""
        return self.bucket.key_groups

    @cached_property
    def results(self) -> Count:
        """Ciphertexts that a row comes in, one a block."""
        return self.bucket.results

    @cached_property
    def spacing(self) -> Count:
        """A row in slot 0 has every so many coefficients."""
        return self.bucket.spacing

    @cached_property
    def result_log2_q(self) -> Count:
        """Bits of the modulus of the passes and the folds."""
        return self.bucket.result_log2_q

    def queries_bytes(self, tokens: Count) -> Count:
        """Body of the queries of a prompt of so many tokens."""
        return self.buckets * self.bucket.query_bytes + tokens * self.relookup.query_bytes

    def messages(self, tokens: Count) -> Count:
        """Answers to a prompt of so many tokens: those of either stage share no a with the other's."""
        return -(-self.buckets // self.answer_tokens) + -(-tokens // self.answer_tokens)


@dataclass(frozen=True, kw_only=True)
class BucketedParameters(BucketedFormulas[int], Expanded):
    """Two stages of one prompt: table, buckets, ring, gadgets and the widths of everything that travels.

    Raises
    ------
    ValueError
        If a field is out of its bounds; the message names field, value and bound.
    """

    prompt: int
    hashes: int
    group: int
    selectors: int
    relookup_selectors: int
    pass_limbs: int
    fold: Gadget
    selector_bits: int
    fold_bits: int

    def __post_init__(self) -> None:
        self.check_table()
        self.require("prompt", 1, MOST_PROMPT)
        self.require("hashes", 1, self.prompt)
        self.require("group", 1, 16 * self.prompt)
        self.require("plaintext_modulus", 2, MOST_SHARE)
        self.require("element_bound", self.plaintext_modulus // 2, (1 << 15) - 1)
        _ = self.bucket, self.relookup  # checked as they are made

    def as_columns(self) -> BucketedColumns:
        """Columns of this one configuration."""
        return BucketedColumns.of(self)

    def stage(self, rows: int, selectors: int) -> FoldedParameters:
        """A folded query of so many rows under the same keys."""
        return FoldedParameters(**_folded_values(self, rows, selectors))

    @cached_property
    def bucket(self) -> FoldedParameters:
        """The query of a bucket."""
        return self.stage(self.bucket_rows, self.selectors)

    @cached_property
    def relookup(self) -> FoldedParameters:
        """The query of the shares."""
        return self.stage(self.buckets, self.relookup_selectors)


@dataclass(frozen=True, eq=False, kw_only=True)
class BucketedColumns(BucketedFormulas[Array], Columns):
    """Many prompts, a column a field."""

    prompt: Array
    hashes: Array
    group: Array
    selectors: Array
    relookup_selectors: Array
    pass_limbs: Array
    fold: GadgetColumns
    selector_bits: Array
    fold_bits: Array

    def one(self) -> BucketedParameters:
        """The parameters of columns of one configuration, checked."""
        return BucketedParameters(**plain_values(self))

    def stage(self, rows: Array, selectors: Array) -> FoldedColumns:
        """Folded queries of so many rows under the same keys."""
        return FoldedColumns(**_folded_values(self, rows, selectors))

    @cached_property
    def bucket(self) -> FoldedColumns:
        """The queries of a bucket."""
        return self.stage(self.bucket_rows, self.selectors)

    @cached_property
    def relookup(self) -> FoldedColumns:
        """The queries of the shares."""
        return self.stage(self.buckets, self.relookup_selectors)

    @cached_property
    def larger(self) -> FoldedColumns:
        """The queries of the larger table, whose noise is at least that of the other's."""
        selectors = np.where(self.bucket_rows >= self.buckets, self.selectors, self.relookup_selectors)
        return self.stage(at_least(self.bucket_rows, self.buckets), selectors)


def _folded_values(parameters: Any, rows: Any, selectors: Any) -> dict[str, Any]:
    """Fields of the folded query of a stage."""
    shared = {field.name: getattr(parameters, field.name, None) for field in fields(FoldedColumns)}
    if isinstance(parameters, BucketedParameters):
        del shared["holds"]
    return {**shared, "rows": rows, "selectors": selectors}
