"""The predicted ledger of a prompt: a query a bucket, then a query a token in the server's shares of the buckets."""

from __future__ import annotations

from typing import Any

import numpy as np

from costmodel.expanded.bucketed.parameters import BucketedColumns
from costmodel.expanded.folded.ledger import dropping_size, encoded_size, part_left, pass_size
from costmodel.expanded.folded.parameters import FoldedColumns
from costmodel.expanded.ledger import (
    LONG_INTEGER,
    ExpandedLedger,
    expanded_symbols,
    flooding_size,
    node_size,
    product_size,
    square_size,
)
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Entries, Number, Term
from costmodel.wire import FRAME_HEADER_BYTES

ENTRIES = Entries("costmodel.expanded.bucketed.parameters")

GATHERED = 15.0
"""Bringing a polynomial of a bucket into its place, in products of the pass.

Of two campaigns. Rows of a bucket lie apart in the table: no cache holds the next one.
"""


def bucketed_ledger(grid: Grid, columns: BucketedColumns) -> tuple[Term, ...]:
    """Predicted ledger of a prompt; sizes are those of an operation's polynomials, in the mean of both stages."""
    p = columns
    sent = FRAME_HEADER_BYTES + p.queries_bytes(grid.tokens)
    shared = ExpandedLedger(
        grid,
        p,
        ENTRIES,
        queries=p.buckets + grid.tokens,
        sent=sent,
        messages=p.messages(grid.tokens),
        counted="(ceil(B/T) + ceil(tokens/T))",
    )
    stages = _Stages(grid, p)
    size, rows, one = shared.size, p.bucket.key_rows, np.int64(1)
    encrypted = stages.mean(one, lambda stage: stage.degree * stage.limbs + LONG_INTEGER * stage.query_coefficients)
    return shared.held(
        (
            *shared.keys("header + seed + N*key_rows*log2_q/8 + ceil(ring_switch_rows*outputs*N'*answer_q/8)"),
            ENTRIES.work("setup", "client", "generate expansion keys", rows, size, "key_rows"),
            shared.read_keys(rows),
            # Of a row that shares its polynomial with others one residue of as many is kept.
            ENTRIES.work(
                "setup",
                "server",
                "encode table",
                p.rows * p.bucket.blocks,
                p.bucket.degree * p.bucket.pass_limbs,
                "m*blocks",
                kept=p.bucket.degree * p.bucket.pass_limbs / p.bucket.slots,
            ),
            ENTRIES.transfer(
                "online",
                "client",
                "query",
                stages.count(one),
                sent,
                "header + B*(counter + ceil(d1*selector_bits/8) + ceil(l*h*fold_bits/8))"
                " + tokens*(counter + ceil(d1'*selector_bits/8) + ceil(l*h'*fold_bits/8))",
                unit="ciphertexts",
            ),
            ENTRIES.work("online", "client", "encrypt selectors", stages.count(one), encrypted, "B + tokens"),
            *_answering(stages, size),
            # The table of the shares lasts no longer than the prompt.
            ENTRIES.work(
                "online",
                "server",
                "encode table",
                p.relookup.table_products,
                encoded_size(p.relookup),
                "blocks*C'*d1'",
            ),
            shared.compress(p.bucket.pass_limbs),
            *shared.answer(),
            *shared.overhead(),
        )
    )


class _Stages:
    """Sums and means over the queries of both stages."""

    def __init__(self, grid: Grid, columns: BucketedColumns) -> None:
        self.times = (columns.buckets, grid.tokens)
        self.stages = (columns.bucket, columns.relookup)

    def count(self, each: Any) -> Number:
        """Repetitions of all queries: ``each`` is a number, or gives that of a stage."""
        return sum(times * _of(each, stage) for times, stage in zip(self.times, self.stages, strict=True))

    def mean(self, each: Any, size: Any) -> Number:
        """Size of a repetition in the mean."""
        pairs = zip(self.times, self.stages, strict=True)
        total = sum(times * _of(each, stage) * _of(size, stage) for times, stage in pairs)
        return total / np.maximum(self.count(each), 1)


def _of(value: Any, stage: FoldedColumns) -> Any:
    return value(stage) if callable(value) else value


def _answering(stages: _Stages, size: Number) -> tuple[Term, ...]:
    """Operations of the server that both stages have."""
    bucket = stages.stages[0]

    def passing(stage: FoldedColumns) -> Any:
        gathered = GATHERED if stage is bucket else 0.0
        return pass_size(stage) + gathered * part_left(stage)

    def folding(stage: FoldedColumns) -> Any:
        return product_size(stage.fold, stage.fold_levels / np.maximum(1, stage.folds)) * part_left(stage)

    def flooding(stage: FoldedColumns) -> Any:
        return flooding_size(size * part_left(stage)) / size

    found: list[Term] = []
    for operation, each, one, formula in (
        ("expand", lambda stage: stage.expansion_switches, node_size, "B*nodes + tokens*nodes'"),
        ("table pass", lambda stage: stage.table_products, passing, "blocks*(B*C*d1 + tokens*C'*d1')"),
        ("square", lambda stage: stage.fold_coefficients, square_size, "l*(B*h + tokens*h')"),
        (
            "drop limbs",
            lambda stage: stage.dropped_polynomials,
            dropping_size,
            "2*(B*(d1 + 2*l*h) + tokens*(d1' + 2*l*h'))*drops",
        ),
        ("add query", lambda stage: stage.query_coefficients, 4.0, "B*(d1 + l*h) + tokens*(d1' + l*h')"),
        (
            "fold",
            lambda stage: stage.folds,
            folding,
            "blocks*(B*(C - 1 + log2(slots)) + tokens*(C' - 1 + log2(slots)))",
        ),
        ("flood", lambda stage: stage.flooded * stage.blocks, flooding, "(B + tokens)*blocks*flooded"),
    ):
        count = stages.count(each)
        found.append(
            ENTRIES.work(
                "online",
                "server",
                operation,
                count,
                size * stages.mean(each, one),
                formula,
                products=count if operation == "table pass" else 0,
                key_switches=count if operation in ("expand", "square") else 0,
            )
        )
    return tuple(found)


def bucketed_symbols(grid: Grid, p: BucketedColumns) -> Symbols:
    """Symbols of the ledger's formulas."""
    bucket, relookup = p.bucket, p.relookup
    return {
        **expanded_symbols(grid, p),
        "B": Symbol(p.buckets, "buckets of the table, each of ceil(m/(B/hashes)) rows"),
        "nodes": Symbol(
            bucket.expansion_switches, "key switches of the expansion for a bucket, repeated ones included"
        ),
        "nodes'": Symbol(relookup.expansion_switches, "key switches of the expansion for a token's share"),
        "d1": Symbol(bucket.selectors, "polynomials of a column of a bucket"),
        "d1'": Symbol(relookup.selectors, "polynomials of a column of the shares"),
        "slots": Symbol(bucket.slots, "rows of a polynomial"),
        "blocks": Symbol(bucket.blocks, "polynomials that a row takes", "ceil(n'/N)"),
        "C": Symbol(bucket.columns, "columns of a block of a bucket"),
        "C'": Symbol(relookup.columns, "columns of a block of the shares", "ceil(ceil(B/slots)/d1')"),
        "l": Symbol(bucket.fold.digits, "digits of a fold's encrypted bits"),
        "drops": Symbol(bucket.drops_limbs, "1 where the passes over the tables have fewer primes than Q, else 0"),
        "h": Symbol(bucket.fold_levels, "encrypted bits of a bucket's query", "ceil(log2(C)) + log2(slots)"),
        "h'": Symbol(relookup.fold_levels, "encrypted bits of a token's query", "ceil(log2(C')) + log2(slots)"),
        "selector_bits": Symbol(p.selector_bits, "bits sent of a selector's coefficient"),
        "fold_bits": Symbol(p.fold_bits, "bits sent of a fold's coefficient"),
    }
