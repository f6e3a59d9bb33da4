"""CHAM: one column of the table a polynomial, answers packed by PackLWEs in the ring of its accelerator.

A query is the vector under the two primes of 35 bits and the special one of 39, both polynomials, since the paper says
nothing of seeds; a product is divided by the special prime, its constant coefficient extracted, and N of them packed
into one ciphertext under {35, 35}. Vectors longer than N are cut, their products added up before they are extracted.
The plaintext modulus is not stated; the 37 bits of the other fixed-point systems are taken.

Its seconds on an FPGA are not those of a processor: work is priced with the ``seal`` units.

References
----------
.. [1] Ren et al. CHAM: A Customized Homomorphic Encryption Accelerator for Fast Matrix-Vector Product. DAC 2023,
   section II (Algorithms 1 to 3; F: N = 4096, 109 bits) and III.A (augmented ciphertexts, rescale, reduction tree).
.. [2] Chen, Dai, Kim, Song. ePrint 2020/015: PackLWEs.
"""

from __future__ import annotations

import numpy as np

from costmodel import payloads
from costmodel.design import NO_FLOODING, UNKNOWN_MEMORY, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Term, Work
from costmodel.noise import packlwes_variance, plaintext_product_variance, secret_key_encryption_variance
from costmodel.packing import packlwes_automorphism_keys, packlwes_depth, packlwes_merges, packlwes_outputs
from costmodel.parameters import SIRNN_OPTIONS, Ring, Table
from costmodel.sizes import sent_symbol
from costmodel.symbols import grid_symbols, tree_symbols
from costmodel.systems import looks
from costmodel.systems.accounting import Counted, Objects, exchange_terms, key_terms
from costmodel.systems.priced import PricedSystem
from costmodel.tiles import column_tile

SOURCE = "CHAM, sections II and III.A"


def _object_bytes(grid: Grid) -> tuple[Number, Number, Number]:
    """Bytes of a switching key of one digit a prime, of a query's ciphertext and of an answer's."""
    query = payloads.whole_bytes(grid, grid.degree, grid.limb_bits)
    return (grid.limbs - 1) * query, query, payloads.whole_bytes(grid, grid.degree, grid.limb_bits[:-1])


class PublishedCham(Design):
    """CHAM's product; the last limb of a grid is the special prime."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        tile = column_tile(grid.rows, grid.coefficients, grid.degree)
        answers = packlwes_outputs(grid.coefficients, grid.degree)
        keys = packlwes_automorphism_keys(grid.coefficients, grid.degree)
        key, query, answer = _object_bytes(grid)
        size, answer_size = grid.degree * grid.limbs, grid.degree * (grid.limbs - 1)
        tokens = grid.tokens
        merges = tokens * packlwes_merges(grid.coefficients, grid.degree)
        return (
            *key_terms(SOURCE, size, Objects.alike(keys, key, "depth", "switching_key")),
            *exchange_terms(
                SOURCE,
                size,
                answer_size,
                Objects.alike(tokens * tile.inputs, query, "tokens*ceil(m/N)", "query"),
                Objects.alike(tokens * answers, answer, "tokens*ceil(n'/N)", "answer"),
                Counted(tokens * tile.multiplications, "tokens*ceil(m/N)*n'"),
                Counted(tile.multiplications, "ceil(m/N)*n'"),
            ),
            Work(
                "online",
                "server",
                "merge",
                merges,
                answer_size,
                "tokens*nodes",
                "CHAM, Algorithm 3",
                key_switches=merges,
            ),
        )

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        key, query, answer = _object_bytes(grid)
        special = f"q{grid.limbs}"
        return {
            **grid_symbols(grid),
            **tree_symbols(grid.coefficients, "n'", grid.degree, "N"),
            "switching_key": sent_symbol(
                grid, key, "a switching key, one digit a prime", "(limbs - 1)*2*ceil(N*log2_q/8)"
            ),
            "query": sent_symbol(grid, query, "a ciphertext under all primes", "2*ceil(N*log2_q/8)"),
            "answer": sent_symbol(
                grid, answer, "a ciphertext without the special prime", f"2*ceil(N*(log2_q - {special})/8)"
            ),
        }

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2: product and rescale, then the tree's rescales."""
        special = grid.limb_bits[-1]
        rounding = (1 + 2 * grid.degree / 3) / 12
        fresh = secret_key_encryption_variance(grid.sigma)
        variance = plaintext_product_variance(fresh, grid.rows, grid.element_mean_square) * np.exp2(-2.0 * special)
        tree = packlwes_variance(rounding, packlwes_depth(grid.coefficients, grid.degree))
        return np.asarray(
            (variance + rounding + tree) * np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q + special))
        )

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly, for a table of the grid's spread."""
        return failure_of_answers(self.noise(grid), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """None is described."""
        return NO_FLOODING

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Queries and keys under all primes, the special one included."""
        return (RingUse("query and keys", grid.degree, grid.log2_q),)

    def memory(self, grid: Grid) -> Memory:
        """Not known: the library keeps its keys in a form of its own."""
        return UNKNOWN_MEMORY


class Cham(PricedSystem):
    """CHAM, an accelerator of matrix-vector products."""

    name = "cham"
    legend = "CHAM"
    source = SOURCE
    look = looks.CHAM
    library = "seal"
    accepts = SIRNN_OPTIONS | {"delphi"}
    projects = True

    def ring(self, table: Table) -> Ring:
        """CHAM, section II.F; t is not stated."""
        return Ring(4096, (35, 35, 39), 2**37)

    def published_design(self, grid: Grid) -> Design:
        """One column a polynomial, packed."""
        return PublishedCham()
