"""The folded query: one small ciphertext expanded to selectors and bits, one pass over the table, folds.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018 (expansion).
.. [2] M. H. Mughees, H. Chen, L. Ren, "OnionPIR", CCS 2021 (one dimension of selectors, the others folded by external
   products).
.. [3] S. J. Menon, D. J. Wu, "Spiral", IEEE S&P 2022 (both from one expanded ciphertext).
"""

from __future__ import annotations

import numpy as np

from costmodel.expanded import ledger as searched
from costmodel.expanded.folded.noise import failure, flooding_distance, folded_noise
from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.folded.search import choose_parameters, ring_choices
from costmodel.expanded.ledger import (
    SWITCH_ENDS,
    SearchedParameters,
    limbs_of_an_answer,
    polynomials_of_a_mask,
    polynomials_of_a_node,
    polynomials_of_a_product,
    query_words,
    residues_of_a_query,
)
from costmodel.grid import Grid
from costmodel.ledger import Number, Phase, Term, Transfer, Work
from costmodel.parameters import Configuration
from costmodel.protocols.session import overhead_terms, residues, setup_terms
from costmodel.wire import FRAME_HEADER_BYTES

FORMULAS = "costmodel.expanded.folded.parameters"


COLUMN_PRODUCTS = 10
"""Products of the pass over the table that take as long as transforming the sum of a column back."""
SELECTOR_PRODUCTS = 2
"""Products that take as long as putting a selector in its place."""
COLUMN_SCALARS = 15
"""Products with a scalar that take as long as adding the sum of a column to what was prepared."""


class GridParameters(SearchedParameters[FoldedParameters]):
    """The chosen parameters of every configuration of a grid."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid, choose_parameters, ring_choices)


def parameters_of(configuration: Configuration) -> FoldedParameters:
    """The parameters that a configuration is executed with; both parties derive the same.

    Raises
    ------
    ValueError
        If none hold on its ring.
    """
    return GridParameters(Grid.of(configuration)).only


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of the folded query.

    Sizes are those of what an operation repeats and of what it does besides (:mod:`costmodel.expanded.ledger`).
    """
    p, tokens = GridParameters(grid), grid.tokens
    polynomials = p.array(lambda q: q.blocks * q.columns * q.selectors)
    up, down = tokens * p.array(lambda q: q.up_bytes), tokens * p.array(lambda q: q.down_bytes)
    size, words = residues(grid), query_words(tokens)
    one = np.int64(1)
    before: Phase = "offline" if grid.prepared else "online"

    def server(phase: Phase, operation: str, count: Number, formula: str, polynomials_each: Number = one) -> Work:
        return Work(phase, "server", operation, count, size * polynomials_each, formula, FORMULAS)

    # Nothing is announced, since the keys carry the seed; the server says that it is done.
    done = (Transfer("offline", "server", "first halves", one, one * FRAME_HEADER_BYTES, "header", FORMULAS),)
    prepared: tuple[Term, ...] = done if grid.prepared else ()

    return (
        *setup_terms(grid),
        Transfer(
            "setup",
            "client",
            "keys",
            one,
            FRAME_HEADER_BYTES + p.array(lambda q: q.key_bytes),
            "header + seed + rows of automorphism keys, the key from s^2, ring switch and public key",
            FORMULAS,
        ),
        *prepared,
        Work(
            "setup",
            "client",
            "generate expansion keys",
            p.array(lambda q: q.key_rows),
            size,
            "rows of the keys modulo Q",
            FORMULAS,
        ),
        server("setup", "read keys", p.array(lambda q: q.key_rows), "rows of the keys modulo Q"),
        server("setup", "encode table", polynomials, "blocks C d1"),
        Transfer(
            "online",
            "client",
            "query",
            tokens,
            up,
            "tokens (header + counter + d1 and l h coefficients)",
            FORMULAS,
            pieces=tokens,
        ),
        Work("online", "client", "encrypt selectors", tokens, p.array(residues_of_a_query), "one a token", FORMULAS),
        server(
            before,
            "expand",
            tokens * p.array(lambda q: q.expansion_switches),
            "tokens (nodes of the expansion)",
            p.array(polynomials_of_a_node),
        ),
        server(
            before,
            "table pass",
            tokens * polynomials,
            "tokens blocks C d1",
            p.array(lambda q: 1 + COLUMN_PRODUCTS / q.selectors + SELECTOR_PRODUCTS / (q.blocks * q.columns)),
        ),
        server(
            before,
            "square",
            tokens * p.array(lambda q: q.fold_coefficients),
            "tokens l h",
            p.array(lambda q: SWITCH_ENDS + q.square.digits),
        ),
        server(
            "online",
            "scalar product",
            (tokens if grid.prepared else 0) * polynomials,
            "tokens blocks C d1, if prepared",
            p.array(lambda q: 1 + COLUMN_SCALARS / q.selectors),
        ),
        server(
            "online",
            "add query",
            tokens * p.array(lambda q: q.fold_coefficients if grid.prepared else q.query_coefficients),
            "tokens (l h, and d1 if not prepared)",
            4 * p.array(lambda q: 1.0 if grid.prepared else q.fold_coefficients / q.query_coefficients),
        ),
        server(
            "online",
            "fold",
            tokens * p.array(lambda q: q.folds),
            "tokens blocks (C - 1 + log2 slots)",
            p.array(lambda q: polynomials_of_a_product(q.fold, q.fold_levels / max(1, q.folds))),
        ),
        server(
            "online",
            "mask",
            tokens * p.array(lambda q: q.blocks),
            "tokens blocks",
            p.array(polynomials_of_a_mask),
        ),
        server(
            "online",
            "compress",
            tokens * p.array(lambda q: q.answers),
            "tokens ceil(n'/N') or blocks",
            p.array(lambda q: limbs_of_an_answer(q) / q.limbs),
        ),
        Transfer("online", "server", "answer", tokens, down, "tokens (header + N' a + n' b)", FORMULAS),
        Work("online", "client", "decrypt row", tokens, size, "one a token", FORMULAS, 1),
        *overhead_terms(grid, "setup", {"client": np.int64(0), "server": np.int64(0)}),
        *overhead_terms(grid, before, {"client": np.int64(0), "server": 8 * words["client"]} if grid.prepared else {}),
        *overhead_terms(grid, "online", {party: up + down + 8 * each for party, each in words.items()}),
    )


def answer_ring(grid: Grid) -> tuple[Number, Number]:
    """Degree of the ring that answers come back in, and bits of the modulus of the key to it."""
    return searched.answer_ring(grid, GridParameters(grid))


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2, flooding and rounding included."""
    parameters = GridParameters(grid)
    fixed = parameters.array(lambda q: folded_noise(q, 0.0).total)
    of_table = parameters.array(lambda q: folded_noise(q, 1.0).product - folded_noise(q, 0.0).product)
    return (fixed + of_table * grid.element_mean_square) * np.exp2(2.0 * grid.log2_plaintext_modulus)


def log2_failure(grid: Grid) -> Number:
    """log2 of the probability that any coefficient of any token's answer decrypts wrongly, elements at their bound.

    The flooding is bounded: it comes off the limit and is no part of the Gaussian tail.
    """
    return np.minimum(GridParameters(grid).array(failure) + np.log2(grid.tokens), 0.0)


def log2_statistical_distance(grid: Grid) -> Number:
    """log2 of the statistical distance that the flooding leaves in the answers to all tokens, 0 without flooding."""
    distance = GridParameters(grid).array(flooding_distance)
    return np.where(distance < 0, np.minimum(distance + np.log2(grid.tokens), 0.0), 0.0)
