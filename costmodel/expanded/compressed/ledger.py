"""The predicted ledger of the compressed query."""

from __future__ import annotations

from costmodel.compact.ledger import SUM_PRODUCTS
from costmodel.expanded.compressed.parameters import CompressedColumns
from costmodel.expanded.ledger import FLOODING, ExpandedLedger, node_size, product_size, square_size
from costmodel.grid import Grid
from costmodel.ledger import Entries, Number, Term, Work

ENTRIES = Entries("costmodel.expanded.compressed.parameters")


def compressed_ledger(grid: Grid, columns: CompressedColumns) -> tuple[Term, ...]:
    """Predicted ledger of compressed queries; sizes are those of an operation's polynomials."""
    shared = ExpandedLedger(grid, columns, ENTRIES)
    keys = "rows of automorphism keys, the key from s^2, packing keys, ring switch and public key"
    return shared.held(
        (
            *shared.keys(f"header + seed + {keys}"),
            *_setup(columns, shared.size),
            *shared.query("tokens (header + counter + K sent_bits/8)"),
            *_online(grid, columns, shared.size),
            shared.compress(),
            *shared.answer(),
            *shared.overhead(),
        )
    )


def _setup(p: CompressedColumns, size: Number) -> tuple[Work, ...]:
    rows, table = p.key_rows + p.public_rows, p.degree * p.table_limbs
    return (
        ENTRIES.work("setup", "client", "generate expansion keys", rows, size, "rows of the keys"),
        ENTRIES.work("setup", "server", "read keys", p.key_rows, size, "rows modulo Q"),
        ENTRIES.work("setup", "server", "encode table", p.products * p.blocks, table, "ceil(n'/s) B"),
    )


def _online(grid: Grid, p: CompressedColumns, size: Number) -> tuple[Work, ...]:
    in_table = p.degree * p.table_limbs
    summed = in_table * (1 + SUM_PRODUCTS / p.blocks)
    return tuple(
        ENTRIES.work(
            "online",
            "server",
            operation,
            grid.tokens * count,
            each,
            f"tokens {formula}",
            products=grid.tokens * p.products * p.blocks if operation == "multiply-accumulate" else 0,
            key_switches=grid.tokens * count if operation in ("expand", "square", "merge") else 0,
        )
        for operation, count, each, formula in (
            ("expand", p.expansion_switches, size * node_size(p), "(nodes of the expansion)"),
            ("square", p.query_coefficients, size * square_size(p), "K"),
            ("fold", p.external_products, size * product_size(p.bit), "(log2 G + B - 1)"),
            ("multiply-accumulate", 2 * p.products * p.blocks, summed, "2 ceil(n'/s) B"),
            ("merge", p.merges, in_table * p.packing_digits, "(nodes of the packing trees)"),
            ("flood", p.flooded * p.packed, in_table * FLOODING, "packed, if flooded"),
        )
    )
