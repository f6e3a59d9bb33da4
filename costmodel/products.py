"""The encrypted one-hot vector times the table in whole ciphertexts: Cheetah's product, and all that build on it.

A tile multiplies d1 vocabulary entries by d0 columns; a query is ceil(m/d1) fresh ciphertexts, an answer ceil(n'/d0),
and every pair is one product.

References
----------
.. [1] Huang, Lu, Hong, Ding. Cheetah: Lean and Fast Secure Two-Party Deep Neural Network Inference. USENIX Security
   2022, section 3.1 (coefficient packing).
.. [2] OpenCheetah, ``hom_fc_ss.cc``: ``getSplit`` and the ciphertexts sent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from costmodel.design import NO_FLOODING, NO_MEMORY, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Term, Work
from costmodel.noise import plaintext_product_variance, secret_key_encryption_variance
from costmodel.openfhe.work import coefficient_residues
from costmodel.session import ciphertexts_sent, overhead_terms, residues, ring_bytes, setup_terms
from costmodel.sizes import answer_symbol, query_symbol, size_format
from costmodel.symbols import grid_symbols
from costmodel.tiles import Tile, cheetah_tile, column_tile, spu_tile

TILE_SOURCE = {
    "cheetah": "OpenCheetah getSplit",
    "column": "FastQuery, section 2.3: ceil(m/N) inputs, n' outputs",
    "spu": "OpenBumbleBee, matmat_prot.cc",
}


FRAME_WORDS = 12000
"""Words of a message that take as long as a frame of a ciphertext's own: conversions, arrays and calls in Python."""


class Product(NamedTuple):
    """Counts of the encrypted vector times the table, a token."""

    tile: Tile
    answers: Number  # ciphertexts sent back
    used: Number  # coefficients that the client reads of each
    answers_formula: str = "ceil(n'/d0)"
    used_formula: str = "d0"


def product(grid: Grid) -> Product:
    """Tile the table of m rows by n' packed columns.

    The client reads d0 coefficients of each answer on average, ``n' / ceil(n'/d0)``.
    """
    rule = {"cheetah": cheetah_tile, "column": column_tile, "spu": spu_tile}[grid.tile]
    tile = rule(grid.rows, grid.coefficients, grid.degree)
    return Product(tile, tile.outputs, tile.d0)


def product_terms(grid: Grid, counts: Product) -> tuple[Term, ...]:
    """Ledger of encrypt, send, multiply-accumulate, mask, answer and decrypt."""
    sizes, tile, tokens = size_format(grid), counts.tile, grid.tokens
    source = TILE_SOURCE[grid.tile]
    inputs, answers = tokens * tile.inputs, tokens * counts.answers
    up = inputs * sizes.query(grid)
    down = answers * sizes.answer(grid, counts.used)
    size = residues(grid)
    # OpenFHE does not multiply by signed plaintexts: the table's middle value is multiplied and subtracted apart.
    constants, centred = (1, answers) if grid.engine == "openfhe" else (0, 0 * answers)
    products = tokens * tile.inputs * (tile.outputs + constants)
    encoded = tile.multiplications + constants
    columns, middle = ("(ceil(n'/d0) + 1)", " + 1") if constants else ("ceil(n'/d0)", "")
    asked, answered = "tokens*ceil(m/d1)", f"tokens*{counts.answers_formula}"
    handled = up + down + 8 * FRAME_WORDS * (inputs + answers)
    written = coefficient_residues(size, grid.degree) if grid.engine == "openfhe" else size
    return (
        *setup_terms(grid),
        Work(
            "setup",
            "server",
            "encode table",
            encoded,
            written,
            f"ceil(m/d1)*ceil(n'/d0){middle}",
            source,
            kept=size,
        ),
        ciphertexts_sent(grid, "client", "query", inputs, up, f"{asked}*query", source),
        ciphertexts_sent(grid, "server", "answer", answers, down, f"{answered}*answer", source),
        Work("online", "client", "encrypt", inputs, size, asked, source),
        Work("online", "client", "write ciphertext", inputs, size, asked, source),
        Work("online", "server", "read ciphertext", inputs, size, asked, source),
        Work(
            "online",
            "server",
            "multiply-accumulate",
            products,
            size,
            f"{asked}*{columns}",
            source,
            products=tokens * tile.inputs * tile.outputs,
        ),
        Work("online", "server", "draw mask", tokens * tile.outputs, grid.degree, "tokens*ceil(n'/d0)", source),
        Work("online", "server", "subtract mask", answers, size, answered, source),
        Work("online", "server", "write ciphertext", answers, size, answered, source),
        Work("online", "client", "read ciphertext", answers, size, answered, source, 1),
        Work("online", "client", "decrypt", answers, size, answered, source, 1),
        Work("online", "server", "centre", centred, size, answered if constants else "0", "the table's middle value"),
        *overhead_terms(grid, "setup", {"client": ring_bytes(grid), "server": np.int64(0)}),
        *overhead_terms(grid, "online", {"client": handled, "server": handled}),
    )


def product_symbols(grid: Grid, counts: Product) -> Symbols:
    """Symbols of the ledger's formulas."""
    return {
        **grid_symbols(grid),
        "d0": Symbol(counts.tile.d0, "columns of a tile"),
        "d1": Symbol(counts.tile.d1, "rows of a tile"),
        "used": Symbol(counts.used, "coefficients of an answer that the client reads", counts.used_formula),
        "query": query_symbol(grid),
        "answer": answer_symbol(grid, counts.used),
    }


def product_noise(grid: Grid, counts: Product) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2: every entry of a column of tiles adds its share.

    The entries of the d0 columns of a tile share a polynomial, so the noise is that of min(d0 d1, N) ceil(m/d1) table
    entries, not of m.
    """
    tile = counts.tile
    entries = np.minimum(tile.d0 * tile.d1, grid.degree) * grid.rows / tile.d1
    fresh = secret_key_encryption_variance(grid.sigma)
    return plaintext_product_variance(fresh, entries, grid.element_mean_square) * np.exp2(
        2.0 * (grid.log2_plaintext_modulus - grid.log2_q)
    )


class ProductDesign(Design):
    """The product executed on whole ciphertexts; nothing floods."""

    name = "openfhe products"

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        return product_terms(grid, product(grid))

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return product_symbols(grid, product(grid))

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2."""
        return np.asarray(product_noise(grid, product(grid)))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly, for the worst table."""
        return failure_of_answers(self.noise(grid.of_worst_table()), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """None."""
        return NO_FLOODING

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Queries and answers lie in one ring; no key switches."""
        return (RingUse("query and answer", grid.degree, grid.log2_q),)

    def memory(self, grid: Grid) -> Memory:
        """None: there are no keys."""
        return NO_MEMORY


class PublishedProduct(ProductDesign):
    """The product as published, with its library's sizes."""

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly, for a table of the grid's spread."""
        return failure_of_answers(self.noise(grid), grid)
