"""The predicted ledger of the folded query."""

from __future__ import annotations

import numpy as np

from costmodel.expanded.folded.parameters import FoldedColumns
from costmodel.expanded.ledger import (
    ExpandedLedger,
    expanded_symbols,
    expansion_symbols,
    flooding_size,
    node_size,
    product_size,
    square_size,
)
from costmodel.expanded.noise import Floats
from costmodel.expanded.parameters import COUNTER_BYTES
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Entries, Number, Phase, Term, Work
from costmodel.wire import FRAME_HEADER_BYTES

ENTRIES = Entries("costmodel.expanded.folded.parameters")

# In products of the pass over the table (`python -m benchmarks.folded`):
COLUMN_PRODUCTS = 30  # transforming the sum of a column back, of two campaigns
SELECTOR_PRODUCTS = 7  # putting a selector in its place, likewise
COLUMN_SCALARS = 15  # adding the sum of a column to the prepared sum, in products with a scalar

ARRANGED = 1.25
"""Residues that take as long as bringing a coefficient of the table into the order of the pass, at any primes."""


def folded_ledger(grid: Grid, columns: FoldedColumns) -> tuple[Term, ...]:
    """Predicted ledger of folded queries; sizes are those of an operation's polynomials."""
    shared = ExpandedLedger(grid, columns, ENTRIES)
    return shared.held(
        (
            *shared.keys("header + seed + N*key_rows*log2_q/8 + ceil(ring_switch_rows*outputs*N'*answer_q/8)"),
            *_setup(grid, columns, shared),
            *shared.query("tokens*(header + counter + ceil(d1*selector_bits/8) + ceil(l*h*fold_bits/8))"),
            *_before_the_token(grid, columns, shared.size),
            *_after_the_token(grid, columns, shared.size),
            shared.compress(columns.pass_limbs),
            *shared.answer(),
            *shared.overhead(),
        )
    )


def folded_symbols(grid: Grid, p: FoldedColumns) -> Symbols:
    """Symbols of the ledger's formulas."""
    return {
        **expanded_symbols(grid, p),
        **expansion_symbols(p),
        "K": Symbol(p.query_coefficients, "coefficients of a query that hold anything", "d1 + l*h"),
        "d1": Symbol(p.selectors, "polynomials of a column"),
        "slots": Symbol(p.slots, "rows of a polynomial"),
        "blocks": Symbol(p.blocks, "polynomials that a row takes", "ceil(n'/N)"),
        "C": Symbol(p.columns, "columns of a block", "ceil(ceil(m/slots)/d1)"),
        "l": Symbol(p.fold.digits, "digits of a fold's encrypted bits"),
        "drops": Symbol(p.drops_limbs, "1 where the pass over the table has fewer primes than Q, else 0"),
        "h": Symbol(p.fold_levels, "encrypted bits of a query", "ceil(log2(C)) + log2(slots)"),
        "selector_bits": Symbol(p.selector_bits, "bits sent of a selector's coefficient"),
        "fold_bits": Symbol(p.fold_bits, "bits sent of a fold's coefficient"),
    }


def _setup(grid: Grid, p: FoldedColumns, shared: ExpandedLedger) -> tuple[Term, ...]:
    rows, size, one = p.key_rows, shared.size, np.int64(1)
    announced = FRAME_HEADER_BYTES + COUNTER_BYTES
    announcement = ENTRIES.transfer("offline", "client", "announcement", one, one * announced, "header + counter")
    done = ENTRIES.transfer("offline", "server", "first halves", one, one * FRAME_HEADER_BYTES, "header")
    return (
        *((announcement, done) if grid.prepared else ()),
        ENTRIES.work("setup", "client", "generate expansion keys", rows, size, "key_rows"),
        shared.read_keys(rows),
        ENTRIES.work(
            "setup",
            "server",
            "encode table",
            p.table_products,
            encoded_size(p),
            "blocks*C*d1",
            kept=p.degree * p.pass_limbs,
        ),
    )


def encoded_size(p: FoldedColumns) -> Floats:
    """Residues of a polynomial of the table, its arranging with it."""
    found: Floats = p.degree * (p.pass_limbs + ARRANGED)
    return found


def part_left(p: FoldedColumns) -> Floats:
    """Primes of the pass and the folds, over all."""
    found: Floats = p.pass_limbs / p.limbs
    return found


def pass_size(p: FoldedColumns) -> Floats:
    """Polynomials of a product of the pass over the table, its share of the columns and of the selectors with it."""
    whole = 1 + COLUMN_PRODUCTS / p.selectors + SELECTOR_PRODUCTS / (p.blocks * p.columns)
    found: Floats = whole * part_left(p)
    return found


def dropping_size(p: FoldedColumns) -> Floats:
    """Polynomials of as many transforms as one that loses primes takes."""
    found: Floats = p.dropping_transforms / p.limbs
    return found


def _before_the_token(grid: Grid, p: FoldedColumns, size: Number) -> tuple[Work, ...]:
    """Operations that depend on the query's seed alone, offline if prepared."""
    phase: Phase = "offline" if grid.prepared else "online"
    return tuple(
        ENTRIES.work(
            phase,
            "server",
            operation,
            grid.tokens * count,
            size * each,
            formula,
            products=grid.tokens * count if operation == "table pass" else 0,
            key_switches=grid.tokens * count if operation in ("expand", "square") else 0,
            tasks=1 if operation == "table pass" else grid.tokens,
        )
        for operation, count, each, formula in (
            ("expand", p.expansion_switches, node_size(p), "tokens*nodes"),
            ("table pass", p.table_products, pass_size(p), "tokens*blocks*C*d1"),
            ("square", p.fold_coefficients, square_size(p), "tokens*l*h"),
            ("drop limbs", p.dropped_polynomials, dropping_size(p), "tokens*2*(d1 + 2*l*h)*drops"),
        )
    )


def _after_the_token(grid: Grid, p: FoldedColumns, size: Number) -> tuple[Work, ...]:
    """Operations that need the query itself."""
    added = p.fold_coefficients if grid.prepared else p.query_coefficients
    adding = 4.0 if grid.prepared else 4 * (p.fold_coefficients / p.query_coefficients)
    scalars = p.table_products if grid.prepared else 0 * p.table_products
    together = 1 if grid.prepared else grid.tokens  # queries that were prepared for are folded one by one
    flooded = flooding_size(size * part_left(p)) / size
    folding = product_size(p.fold, p.fold_levels / np.maximum(1, p.folds)) * part_left(p)
    return tuple(
        ENTRIES.work("online", "server", operation, grid.tokens * count, size * each, formula, tasks=tasks)
        for operation, count, each, formula, tasks in (
            (
                "scalar product",
                scalars,
                (1 + COLUMN_SCALARS / p.selectors) * part_left(p),
                "tokens*blocks*C*d1" if grid.prepared else "0",
                1,
            ),
            ("add query", added, adding, "tokens*l*h" if grid.prepared else "tokens*(l*h + d1)", 1),
            ("fold", p.folds, folding, "tokens*blocks*(C - 1 + log2(slots))", together),
            ("flood", p.flooded * p.blocks, flooded, "tokens*blocks*flooded", together),
        )
    )
