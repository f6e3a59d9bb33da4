"""One column a polynomial and PackLWEs, executed on OpenFHE: whole ciphertexts, and keys in OpenFHE's serialisation.

The tree's factor 2^l cannot be taken back by 2^-l modulo q through OpenFHE, whose plaintexts are small integers.
Instead they have the modulus t 2^l: the tree leaves 2^l times a result in it, which is the result modulo t at the scale
of t, so that decryption has all the room that t leaves. The products' noise grows by 2^l with the results.

References
----------
.. [1] Lin et al. FastQuery. DAC 2024, section 4.2.
.. [2] Chen, Dai, Kim, Song. ePrint 2020/015: PackLWEs.
"""

from __future__ import annotations

import numpy as np

from costmodel.design import NO_FLOODING, RESIDUE_BYTES, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Term, Work
from costmodel.noise import (
    key_switch_variance,
    packlwes_variance,
    plaintext_product_variance,
    secret_key_encryption_variance,
)
from costmodel.openfhe.sizes import bv_digits
from costmodel.openfhe.work import coefficient_residues, merge_residues, overhead_bytes
from costmodel.packing import packlwes_automorphism_keys, packlwes_depth, packlwes_merges, packlwes_outputs
from costmodel.session import ciphertexts_sent, keys_sent, overhead_terms, residues, ring_bytes, setup_terms
from costmodel.sizes import query_symbol, size_format, switching_key_symbol
from costmodel.symbols import grid_symbols, tree_symbols
from costmodel.tiles import column_tile

_SOURCE = "FastQuery, section 2.3: ceil(m/N) inputs, n' outputs"


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of the lookup."""
    tile = column_tile(grid.rows, grid.coefficients, grid.degree)
    sizes, size, tokens = size_format(grid), residues(grid), grid.tokens
    digits = bv_digits(grid.limb_bits, grid.digit_bits)
    keys = packlwes_automorphism_keys(grid.coefficients, grid.degree)
    sent = keys * sizes.switching_key(grid)
    inputs, leaves = tokens * tile.inputs, tokens * tile.outputs
    answers = tokens * packlwes_outputs(grid.coefficients, grid.degree)
    merges = tokens * packlwes_merges(grid.coefficients, grid.degree)
    up, down = inputs * sizes.query(grid), answers * sizes.query(grid)
    products = tokens * tile.inputs * (tile.outputs + 1)
    # Sums of products with the columns and the middle value, centrings, merges; reading; mask, difference and writing.
    operations = tokens + 2 * leaves + merges + inputs + 3 * answers
    return (
        *setup_terms(grid),
        keys_sent(keys, sent, "depth*switching_key", "[2]"),
        Work("setup", "client", "generate switching key", keys, size * digits, "depth", "[2]"),
        Work("setup", "server", "read keys", keys, size * digits, "depth", "[2]"),
        Work(
            "setup",
            "server",
            "encode table",
            tile.multiplications + 1,
            coefficient_residues(size, grid.degree),
            "ceil(m/N)*n' + 1",
            _SOURCE,
            kept=size,
        ),
        ciphertexts_sent(grid, "client", "query", inputs, up, "tokens*ceil(m/N)*ciphertext", _SOURCE),
        ciphertexts_sent(grid, "server", "answer", answers, down, "tokens*ceil(n'/N)*ciphertext", "[2]"),
        Work("online", "client", "encrypt", inputs, size, "tokens*ceil(m/N)", _SOURCE),
        Work("online", "client", "write ciphertext", inputs, size, "tokens*ceil(m/N)", _SOURCE),
        Work("online", "server", "read ciphertext", inputs, size, "tokens*ceil(m/N)", _SOURCE),
        Work(
            "online",
            "server",
            "multiply-accumulate",
            products,
            size,
            "tokens*ceil(m/N)*(n' + 1)",
            _SOURCE,
            products=tokens * tile.multiplications,
        ),
        Work("online", "server", "centre", leaves, size, "tokens*n'", "the table's middle value"),
        Work(
            "online",
            "server",
            "merge",
            merges,
            merge_residues(size, digits),
            "tokens*nodes",
            "[2]",
            key_switches=merges,
        ),
        Work("online", "server", "draw mask", answers, grid.degree, "tokens*ceil(n'/N)", _SOURCE),
        Work("online", "server", "subtract mask", answers, size, "tokens*ceil(n'/N)", _SOURCE),
        Work("online", "server", "write ciphertext", answers, size, "tokens*ceil(n'/N)", _SOURCE),
        Work("online", "client", "read ciphertext", answers, size, "tokens*ceil(n'/N)", _SOURCE, 1),
        Work("online", "client", "decrypt", answers, size, "tokens*ceil(n'/N)", _SOURCE, 1),
        *overhead_terms(grid, "setup", {"client": ring_bytes(grid) + sent, "server": sent}),
        *overhead_terms(
            grid,
            "online",
            {
                "client": overhead_bytes(up + down, inputs, answers, 2 * inputs + 2 * answers),
                "server": overhead_bytes(up + down, answers, inputs, operations, merges * size),
            },
        ),
    )


def symbols(grid: Grid) -> Symbols:
    """Symbols of the ledger's formulas."""
    return {
        **grid_symbols(grid),
        **tree_symbols(grid.coefficients, "n'", grid.degree, "N"),
        "ciphertext": query_symbol(grid),
        "switching_key": switching_key_symbol(grid),
    }


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2: the products' 4^l times, and the tree's key switches."""
    depth = packlwes_depth(grid.coefficients, grid.degree)
    fresh = secret_key_encryption_variance(grid.sigma)
    product = plaintext_product_variance(fresh, grid.rows, grid.element_mean_square) * np.exp2(2.0 * depth)
    switch = sum(
        key_switch_variance(grid.degree, bits, np.maximum(grid.digit_bits, 1), grid.sigma) for bits in grid.limb_bits
    )
    scale = np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
    return (product + packlwes_variance(switch, depth)) * scale


class PackedDesign(Design):
    """One column a polynomial and PackLWEs, through OpenFHE's API alone."""

    name = "openfhe packed"

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        return terms(grid)

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return symbols(grid)

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2."""
        return np.asarray(noise(grid))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly, for the worst table."""
        return failure_of_answers(self.noise(grid.of_worst_table()), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """None: OpenFHE's API draws no flooding."""
        return NO_FLOODING

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Keys switch by digits and have no special prime."""
        return (RingUse("query, keys and answer", grid.degree, grid.log2_q),)

    def memory(self, grid: Grid) -> Memory:
        """Both halves of every digit of the automorphism keys."""
        keys = packlwes_automorphism_keys(grid.coefficients, grid.degree)
        digits = bv_digits(grid.limb_bits, grid.digit_bits)
        return Memory(2 * RESIDUE_BYTES * keys * digits * residues(grid), np.float64(0))
