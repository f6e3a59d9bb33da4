"""The symbols that the formulas of every ledger share: the table, the ring, what is sent with everything."""

from __future__ import annotations

from costmodel.formulas import Symbol
from costmodel.grid import Grid
from costmodel.ledger import Number
from costmodel.packing import packlwes_depth, packlwes_merges
from costmodel.wire import FRAME_HEADER_BYTES, SEED_BYTES


def grid_symbols(grid: Grid) -> dict[str, Symbol]:
    """Symbols of a grid's table, packing and ring, and of this project's frames.

    Examples
    --------
    >>> from costmodel.parameters import Configuration, Ring, Table
    >>> int(grid_symbols(Grid.of(Configuration("fastquery", Table(1000, 96), Ring(4096, (53,), 2**13))))["n'"].value)
    32
    """
    limbs = {f"q{k}": Symbol(bits, f"bits of limb {k} of q") for k, bits in enumerate(grid.limb_bits, 1)}
    return {
        "tokens": Symbol(grid.tokens, "rows looked up together"),
        "m": Symbol(grid.rows, "rows of the table"),
        "n": Symbol(grid.channels, "channels of a row"),
        "fields": Symbol(grid.fields, "channels of a coefficient"),
        "n'": Symbol(grid.coefficients, "packed coefficients of a row", "ceil(n/fields)"),
        "N": Symbol(grid.degree, "ring degree"),
        "limbs": Symbol(grid.limbs, "limbs of q"),
        "log2_q": Symbol(grid.log2_q, "bits of q", " + ".join(limbs)),
        **limbs,
        "share_bits": Symbol(grid.plaintext_bits, "bits of a share, ceil(log2 t)"),
        "flooding_bits": Symbol(grid.flooding_bits, "bits of the flooding"),
        "header": Symbol(FRAME_HEADER_BYTES, "bytes of a frame's header"),
        "seed": Symbol(SEED_BYTES, "bytes of a seed"),
    }


def tree_symbols(leaves: Number, leaves_symbol: str, gap: Number, gap_symbol: str) -> dict[str, Symbol]:
    """Symbols of the trees of PackLWEs over leaves that are used at multiples of a gap, both symbols themselves."""
    return {
        "depth": Symbol(
            packlwes_depth(leaves, gap),
            "levels of a packing tree, an automorphism key each",
            f"ceil(log2(min({leaves_symbol}, {gap_symbol})))",
        ),
        "nodes": Symbol(packlwes_merges(leaves, gap), "nodes of the packing trees of a token, one key switch each"),
    }
