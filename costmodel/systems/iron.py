"""Iron: Cheetah's packing for matrices, a window of rows by inner by columns in one polynomial.

The client's (tokens x m) matrix is cut into windows of m_w n_w entries and the table into n_w k_w, with m_w n_w k_w
<= N; an answer holds m_w k_w results. For one token this is Cheetah's tile. Of the paper only the abstract and
readers' accounts of its encoding were at hand (the window bound m_w n_w k_w <= N and the places of the coefficients),
and its authors' code holds no homomorphic part, so that ring, seeding and answers are those of the re-implementation
in BOLT's repository: N = 8192, primes {60, 60, 60} of which SEAL keeps the last for keys that are never made, t =
2^37, secret-key encryptions without seeds, answers under both limbs with zeros for what is not read of b. That code
fixes its windows by hand; here they minimise the ciphertexts of both directions, an assumption that gives three of
its windows back.

References
----------
.. [1] Hao, Li, Chen, Xing, Xu, Zhang. Iron: Private Inference on Transformers. NeurIPS 2022 (abstract).
.. [2] Pang, Zhu, Moellering, Zheng, Schneider. BOLT, repository ``Clive2312/EzPC``, branch ``bert``,
   ``SCI/tests/bert_iron/linear.cpp``: ``Linear``, ``preprocess_vec``, ``linear_1``.
"""

from __future__ import annotations

import numpy as np

from costmodel import payloads
from costmodel.design import UNKNOWN_MEMORY, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbol, Symbols
from costmodel.grid import Grid
from costmodel.ledger import Number, Term
from costmodel.noise import flooding_variance, plaintext_product_variance, secret_key_encryption_variance
from costmodel.parameters import SIRNN_OPTIONS, Ring, Table
from costmodel.sizes import sent_symbol
from costmodel.symbols import grid_symbols
from costmodel.systems import looks
from costmodel.systems.accounting import Counted, Objects, exchange_terms, hiding, key_terms
from costmodel.systems.priced import PricedSystem
from costmodel.tiles import MatrixTile, iron_matrix_tile

SOURCE = "BOLT's bert_iron/linear.cpp"
FLOODING_BITS = 100 - 37
"""Bits of the uniform noise that [2]_ adds to both polynomials of an answer."""


def product(grid: Grid) -> MatrixTile:
    """Windows of the (tokens x m) by (m x n') product."""
    return iron_matrix_tile(grid.tokens, grid.rows, grid.coefficients, grid.degree)


def _used(grid: Grid, tile: MatrixTile) -> Number:
    """Coefficients of an answer that the client reads, on average."""
    return -(-grid.tokens * grid.coefficients // tile.outputs)


def _object_bytes(grid: Grid, tile: MatrixTile) -> tuple[Number, Number, Number]:
    """Bytes of the public key, of a query's ciphertext and of an answer's."""
    return (
        payloads.public_key_bytes(grid, grid.degree, (*grid.limb_bits, grid.limb_bits[-1])),
        payloads.whole_bytes(grid, grid.degree, grid.limb_bits),
        payloads.extracted_bytes(grid, grid.degree, grid.limb_bits, _used(grid, tile)),
    )


class PublishedIron(Design):
    """Iron's product in the ring of BOLT's re-implementation."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        tile = product(grid)
        size = grid.degree * grid.limbs
        encoded = -(-grid.rows // tile.inner) * (-(-grid.coefficients // tile.columns))
        public, query, answer = _object_bytes(grid, tile)
        windows = "ceil(tokens/m_w)"
        return (
            *key_terms(SOURCE, size, Objects.alike(np.int64(1), public, "1", "public_key")),
            *exchange_terms(
                SOURCE,
                size,
                size,
                Objects.alike(tile.inputs, query, f"{windows}*ceil(m/n_w)", "query"),
                Objects.alike(tile.outputs, answer, f"{windows}*ceil(n'/k_w)", "answer"),
                Counted(tile.multiplications, f"{windows}*ceil(m/n_w)*ceil(n'/k_w)"),
                Counted(encoded, "ceil(m/n_w)*ceil(n'/k_w)"),
            ),
        )

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        tile = product(grid)
        public, query, answer = _object_bytes(grid, tile)
        used = "ceil(tokens*n'/(ceil(tokens/m_w)*ceil(n'/k_w)))"
        return {
            **grid_symbols(grid),
            "m_w": Symbol(tile.rows, "tokens of a window"),
            "n_w": Symbol(tile.inner, "rows of the table of a window"),
            "k_w": Symbol(tile.columns, "columns of the table of a window"),
            "used": Symbol(_used(grid, tile), "coefficients of an answer that the client reads", used),
            "public_key": sent_symbol(
                grid, public, "a public key under one prime more", f"ceil(N*(log2_q + q{grid.limbs})/8)"
            ),
            "query": sent_symbol(grid, query, "a ciphertext of two polynomials", "2*ceil(N*log2_q/8)"),
            "answer": sent_symbol(grid, answer, "an answer", "ceil((N + used)*log2_q/8)"),
        }

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2: product and flooding of both polynomials."""
        flooding = flooding_variance(1.0, FLOODING_BITS - 1) * (1 + 2 * grid.degree / 3)
        scale = np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
        return np.asarray((self._product_variance(grid) + flooding) * scale)

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly, for a table of the grid's spread."""
        return failure_of_answers(self.noise(grid), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """Uniform noise of 63 bits, and the distance that it leaves over the worst table's product noise."""
        return hiding(FLOODING_BITS, self._product_variance(grid.of_worst_table()), grid)

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Queries and answers under q, the public key under one prime more."""
        return (
            RingUse("query and answer", grid.degree, grid.log2_q),
            RingUse("public key", grid.degree, grid.log2_q + grid.limb_bits[-1]),
        )

    def memory(self, grid: Grid) -> Memory:
        """Not known: the library keeps its keys in a form of its own."""
        return UNKNOWN_MEMORY

    def _product_variance(self, grid: Grid) -> Floats:
        entries = grid.rows * product(grid).columns
        fresh = secret_key_encryption_variance(grid.sigma)
        return np.asarray(plaintext_product_variance(fresh, entries, grid.element_mean_square))


class Iron(PricedSystem):
    """Iron as BOLT's repository re-implements it."""

    name = "iron"
    legend = "Iron"
    source = SOURCE
    look = looks.IRON
    library = "seal"
    accepts = SIRNN_OPTIONS | {"delphi"}
    projects = True

    def ring(self, table: Table) -> Ring:
        """N = 8192 and two primes of 60 bits; 37 bits of plaintext."""
        return Ring(8192, (60, 60), 2**37)

    def published_design(self, grid: Grid) -> Design:
        """Iron's windows."""
        return PublishedIron()
