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
from costmodel.design import Design, Floats, Flooding, RingUse, failure_of_answers
from costmodel.grid import Grid
from costmodel.ledger import Term
from costmodel.noise import flooding_variance, plaintext_product_variance, secret_key_encryption_variance
from costmodel.parameters import Ring, Table
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


class PublishedIron(Design):
    """Iron's product in the ring of BOLT's re-implementation."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        tile = product(grid)
        used = -(-grid.tokens * grid.coefficients // tile.outputs)
        size = grid.degree * grid.limbs
        encoded = -(-grid.rows // tile.inner) * (-(-grid.coefficients // tile.columns))
        public = payloads.public_key_bytes(grid, grid.degree, (*grid.limb_bits, grid.limb_bits[-1]))
        query = payloads.whole_bytes(grid, grid.degree, grid.limb_bits)
        answer = payloads.extracted_bytes(grid, grid.degree, grid.limb_bits, used)
        return (
            *key_terms(SOURCE, size, Objects.alike(np.int64(1), public, "public key")),
            *exchange_terms(
                SOURCE,
                size,
                size,
                Objects.alike(tile.inputs, query, "ceil(tokens/m_w) ceil(m/n_w)"),
                Objects.alike(tile.outputs, answer, "ceil(tokens/m_w) ceil(n'/k_w)"),
                Counted(tile.multiplications, "ceil(tokens/m_w) ceil(m/n_w) ceil(n'/k_w)"),
                Counted(encoded, "ceil(m/n_w) ceil(n'/k_w)"),
            ),
        )

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
    accepts = frozenset({"delphi", "sirnn-iknp", "sirnn-ferret"})
    projects = True

    def ring(self, table: Table) -> Ring:
        """N = 8192 and two primes of 60 bits; 37 bits of plaintext."""
        return Ring(8192, (60, 60), 2**37)

    def published_design(self, grid: Grid) -> Design:
        """Iron's windows."""
        return PublishedIron()
