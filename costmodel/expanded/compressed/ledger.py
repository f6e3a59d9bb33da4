"""The predicted ledger of the compressed query."""

from __future__ import annotations

import numpy as np

from costmodel.compact.ledger import MERGE_ENDS, SUM_PRODUCTS
from costmodel.expanded.compressed.parameters import CompressedColumns
from costmodel.expanded.ledger import (
    ExpandedLedger,
    expanded_symbols,
    expansion_symbols,
    flooding_size,
    node_size,
    product_size,
    square_size,
)
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Entries, Number, Term, Work

ENTRIES = Entries("costmodel.expanded.compressed.parameters")

SELECTOR_PRODUCTS = 9
"""Products that take as long as a selector's quotients, which all packed columns share."""
ARRANGED = 0.4
"""Residues that take as long as bringing a coefficient of the table into its block, at any primes."""
PACKED_ENDS = 3
"""Digits of a merge that take as long as a tree's part of its result: room for nodes, and the inverse transform."""


def compressed_ledger(grid: Grid, columns: CompressedColumns) -> tuple[Term, ...]:
    """Predicted ledger of compressed queries; sizes are those of an operation's polynomials."""
    shared = ExpandedLedger(grid, columns, ENTRIES)
    keys = "N*(key_rows*log2_q + table_rows*table_log2_q)/8 + ceil(ring_switch_rows*outputs*N'*answer_q/8)"
    return shared.held(
        (
            *shared.keys(f"header + seed + {keys}"),
            *_setup(columns, shared),
            *shared.query("tokens*(header + counter + ceil(K*sent_bits/8))"),
            *_online(grid, columns, shared.size),
            shared.compress(columns.table_limbs),
            *shared.answer(),
            *shared.overhead(),
        )
    )


def compressed_symbols(grid: Grid, p: CompressedColumns) -> Symbols:
    """Symbols of the ledger's formulas."""
    bits = "(place_bits + ceil(log2(ceil(m/G))))"
    return {
        **expanded_symbols(grid, p),
        **expansion_symbols(p),
        "K": Symbol(p.query_coefficients, "coefficients of a query that hold anything", f"{bits}*digits"),
        "digits": Symbol(p.bit.digits, "digits of an encrypted bit"),
        "s": Symbol(p.segments, "columns of a table polynomial"),
        "G": Symbol(p.gap, "rows of a block", "N/s"),
        "place_bits": Symbol(p.position_levels, "bits of a row's place in its block", "max(1, ceil(log2(min(m, G))))"),
        "table_rows": Symbol(p.public_rows, "rows of the packing keys, and of the public key that flooding needs"),
        "table_log2_q": Symbol(p.table_log2_q, "bits of the modulus of table and packing"),
        "merges": Symbol(p.merges, "nodes of the packing trees, one key switch each"),
        "sent_bits": Symbol(p.sent_bits, "bits sent of a coefficient of a query"),
    }


def _setup(p: CompressedColumns, shared: ExpandedLedger) -> tuple[Work, ...]:
    rows, table = p.key_rows + p.public_rows, p.degree * p.table_limbs
    return (
        ENTRIES.work("setup", "client", "generate expansion keys", rows, shared.size, "key_rows + table_rows"),
        shared.read_keys(p.key_rows, p.public_rows * table),
        ENTRIES.work(
            "setup",
            "server",
            "encode table",
            p.products * p.blocks,
            table + ARRANGED * p.degree,
            "ceil(n'/s)*ceil(m/G)",
            kept=table,
        ),
    )


def _online(grid: Grid, p: CompressedColumns, size: Number) -> tuple[Work, ...]:
    in_table = p.degree * p.table_limbs
    summed = in_table * (1 + SUM_PRODUCTS / p.blocks + SELECTOR_PRODUCTS / p.products)
    packed = PACKED_ENDS * p.packed / np.maximum(p.merges, 1)
    return tuple(
        ENTRIES.work(
            "online",
            "server",
            operation,
            grid.tokens * count,
            each,
            f"tokens*{formula}",
            products=grid.tokens * p.products * p.blocks if operation == "multiply-accumulate" else 0,
            key_switches=grid.tokens * count if operation in ("expand", "square", "merge") else 0,
            tasks=grid.tokens if operation in ("expand", "square", "fold", "merge") else 1,
        )
        for operation, count, each, formula in (
            ("expand", p.expansion_switches, size * node_size(p), "nodes"),
            ("square", p.query_coefficients, size * square_size(p), "K"),
            ("fold", p.external_products, size * product_size(p.bit), "(place_bits + ceil(m/G) - 1)"),
            ("multiply-accumulate", 2 * p.products * p.blocks, summed, "2*ceil(n'/s)*ceil(m/G)"),
            ("merge", p.merges, in_table * (p.packing_digits + MERGE_ENDS + packed), "merges"),
            ("flood", p.flooded * p.packed, flooding_size(in_table), "ceil(ceil(n'/s)/G)*flooded"),
        )
    )
