"""The compressed query: a row's number in encrypted bits, turned into selectors, the table's pass and PackLWEs.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018 (expansion).
.. [2] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421 (external products).
.. [3] H. Chen, W. Dai, M. Kim, Y. Song, ePrint 2020/015 (PackLWEs).
"""

from __future__ import annotations

import numpy as np

from costmodel.expanded import ledger as searched
from costmodel.expanded.compressed.noise import compressed_noise, failure, flooding_distance
from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.expanded.compressed.search import choose_parameters, ring_choices
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
from costmodel.ledger import Number, Term, Transfer, Work
from costmodel.parameters import Configuration
from costmodel.protocols.compact import SUM_PRODUCTS
from costmodel.protocols.session import overhead_terms, residues, setup_terms
from costmodel.wire import FRAME_HEADER_BYTES

FORMULAS = "costmodel.expanded.compressed.parameters"


class GridParameters(SearchedParameters[CompressedParameters]):
    """The chosen parameters of every configuration of a grid."""

    def __init__(self, grid: Grid) -> None:
        if grid.prepared:
            raise ValueError("prepared is True; encrypted bits meet each other in products, so nothing can be prepared")
        super().__init__(grid, choose_parameters, ring_choices)


def parameters_of(configuration: Configuration) -> CompressedParameters:
    """The parameters that a configuration is executed with; both parties derive the same.

    Raises
    ------
    ValueError
        If none hold on its ring.
    """
    return GridParameters(Grid.of(configuration)).only


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of the compressed query.

    The size of an operation that switches keys or multiplies externally is that of the polynomials it transforms: the
    digits of its gadget, and what they are digits of.

    Raises
    ------
    ValueError
        If the grid is prepared: what follows the expansion is not linear in the query.
    """
    p, tokens = GridParameters(grid), grid.tokens
    up, down = tokens * p.array(lambda q: q.up_bytes), tokens * p.array(lambda q: q.down_bytes)
    size, in_table = residues(grid), grid.degree * p.array(lambda q: q.table_limbs)
    polynomials = p.array(lambda q: q.products * q.blocks)
    summed = in_table * (1 + SUM_PRODUCTS / p.array(lambda q: q.blocks))
    one, words = np.int64(1), query_words(tokens)

    def online(operation: str, count: Number, size: Number, formula: str) -> Work:
        return Work("online", "server", operation, tokens * count, size, f"tokens {formula}", FORMULAS)

    return (
        *setup_terms(grid),
        Transfer(
            "setup",
            "client",
            "keys",
            one,
            FRAME_HEADER_BYTES + p.array(lambda q: q.key_bytes),
            "header + seed + rows of automorphism keys, the key from s^2, packing keys, ring switch and public key",
            FORMULAS,
        ),
        Work(
            "setup",
            "client",
            "generate expansion keys",
            p.array(lambda q: q.key_rows + q.public_rows),
            size,
            "rows of the keys",
            FORMULAS,
        ),
        Work("setup", "server", "read keys", p.array(lambda q: q.key_rows), size, "rows modulo Q", FORMULAS),
        Work("setup", "server", "encode table", polynomials, in_table, "ceil(n'/s) B", FORMULAS),
        Transfer(
            "online",
            "client",
            "query",
            tokens,
            up,
            "tokens (header + counter + K sent_bits/8)",
            FORMULAS,
            pieces=tokens,
        ),
        Work("online", "client", "encrypt selectors", tokens, p.array(residues_of_a_query), "one a token", FORMULAS),
        online(
            "expand",
            p.array(lambda q: q.expansion_switches),
            size * p.array(polynomials_of_a_node),
            "(nodes of the expansion)",
        ),
        online(
            "square",
            p.array(lambda q: q.query_coefficients),
            size * p.array(lambda q: SWITCH_ENDS + q.square.digits),
            "K",
        ),
        online(
            "fold",
            p.array(lambda q: q.external_products),
            size * p.array(lambda q: polynomials_of_a_product(q.bit)),
            "(log2 G + B - 1)",
        ),
        online("multiply-accumulate", 2 * polynomials, summed, "2 ceil(n'/s) B"),
        online(
            "merge",
            p.array(lambda q: q.merges),
            in_table * p.array(lambda q: q.packing_digits),
            "(nodes of the packing trees)",
        ),
        online(
            "mask",
            p.array(lambda q: q.packed),
            in_table * p.array(polynomials_of_a_mask),
            "packed",
        ),
        online("compress", p.array(lambda q: q.answers), grid.degree * p.array(limbs_of_an_answer), "answers"),
        Transfer("online", "server", "answer", tokens, down, "tokens (header + N' a + n' b)", FORMULAS),
        Work("online", "client", "decrypt row", tokens, size, "one a token", FORMULAS, 1),
        *overhead_terms(grid, "setup", {"client": np.int64(0), "server": np.int64(0)}),
        *overhead_terms(grid, "online", {party: up + down + 8 * each for party, each in words.items()}),
    )


def answer_ring(grid: Grid) -> tuple[Number, Number]:
    """Degree of the ring that answers come back in, and bits of the modulus of the key to it."""
    return searched.answer_ring(grid, GridParameters(grid))


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2, flooding and rounding included."""
    parameters = GridParameters(grid)
    fixed = parameters.array(lambda q: compressed_noise(q, 0.0).total)
    of_table = parameters.array(lambda q: compressed_noise(q, 1.0).product)
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
