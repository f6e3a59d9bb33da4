"""FastQuery: Cheetah's product on a low-bit table, several channels a coefficient, answers packed by PackLWEs.

The ablation of the paper's Table 6 is a path of configurations from Cheetah to this: the plaintext modulus shrinks to
the bits that a one-hot product needs, n channels become n' = ceil(n / fields) packed columns, and the used
coefficients of all answers are packed into ceil(n'/N) ciphertexts.

References
----------
.. [1] Lin, Xu, Yang, Wang, Huang, Li. FastQuery. DAC 2024, section 4.2 and Table 6.
.. [2] Chen, Dai, Kim, Song. Efficient Homomorphic Conversion Between (Ring) LWE Ciphertexts. ePrint 2020/015:
   PackLWEs.
.. [3] Microsoft SEAL 3.7.2, ``native/examples/3_levels.cpp``: the special prime, which every key includes and no other
   ciphertext, and which should be as large as the largest of the others.
"""

from __future__ import annotations

import numpy as np

from costmodel.design import UNKNOWN_MEMORY, Design, Floats, Memory, RingUse
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term, Transfer, Work
from costmodel.noise import packlwes_variance
from costmodel.packing import packlwes_automorphism_keys, packlwes_depth, packlwes_merges, packlwes_outputs
from costmodel.parameters import LOW_BITS_OPTIONS, SIRNN_OPTIONS, Configuration, Packing, Ring, Table
from costmodel.products import Product, PublishedProduct, product, product_noise, product_symbols, product_terms
from costmodel.session import residues
from costmodel.sizes import SPECIAL_LIMB_BITS, size_format, switching_key_symbol
from costmodel.symbols import tree_symbols
from costmodel.system import Wishes
from costmodel.systems import looks
from costmodel.systems.cheetah import Cheetah, execution_of_baseline
from costmodel.systems.onehot import OneHotSystem

ABLATIONS = ("baseline", "quant", "accumulation", "packing", "packlwes")
"""Rows of FastQuery's Table 6, each with everything that the rows before it have."""

PAPER_WIDTHS = (4, 3, 3)
"""FastQuery, section 4.3: three channels of 4, 3 and 3 bits in a coefficient of 13."""

PLAINTEXT_BITS = 13

RING = Ring(4096, (39,), 2**PLAINTEXT_BITS)
"""FastQuery's Table 6 after accumulation reduction: N and p from sections 5.1 and 4.2. The paper does not state its
single prime; 39 bits gives its bytes."""

PACKED_OUTPUTS = ("packlwes", "packlwes-one-polynomial")


class PublishedPacking(PublishedProduct):
    """The paper's product with answers packed by PackLWEs, in SEAL's format."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        merges = grid.tokens * packlwes_merges(grid.coefficients, grid.degree)
        keys = packlwes_automorphism_keys(grid.coefficients, grid.degree)
        sent = keys * size_format(grid).switching_key(grid)
        return (
            *product_terms(grid, packed_answers(grid)),
            Transfer("setup", "client", "keys", keys, sent, "depth*switching_key", "[2]", unit="keys"),
            Work(
                "online",
                "server",
                "merge",
                merges,
                residues(grid),
                "tokens*nodes",
                "[2]",
                key_switches=merges,
            ),
        )

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return {
            **product_symbols(grid, packed_answers(grid)),
            **tree_symbols(grid.coefficients, "n'", grid.degree, "N"),
            "switching_key": switching_key_symbol(grid),
        }

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2, the tree's key switches included.

        The published system switches keys with a special prime of more bits than q; a switch leaves the rounding by
        that prime, (1 + 2N/3)/12.
        """
        depth = packlwes_depth(grid.coefficients, grid.degree)
        tree = packlwes_variance((1 + 2 * grid.degree / 3) / 12, depth)
        scale = np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
        return np.asarray(product_noise(grid, packed_answers(grid)) + tree * scale)

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Queries and answers under q, switching keys under q and a special prime.

        The paper's q is one prime, but it is built on SEAL, which switches keys with a prime of their own only [3]_.
        With the 60 bits that the keys' size counts, q of 39 bits and N = 4096 keep 128 bits of security.
        """
        return (
            RingUse("query and answer", grid.degree, grid.log2_q),
            RingUse("switching keys", grid.degree, grid.log2_q + SPECIAL_LIMB_BITS),
        )

    def memory(self, grid: Grid) -> Memory:
        """Not known: the library keeps its keys in a form of its own."""
        return UNKNOWN_MEMORY


def packed_answers(grid: Grid) -> Product:
    """Counts of the product with its answers packed."""
    packed = packlwes_outputs(grid.coefficients, grid.degree)
    return product(grid)._replace(
        answers=packed,
        used=-(-grid.coefficients // packed),
        answers_formula="ceil(n'/N)",
        used_formula="ceil(n'/ceil(n'/N))",
    )


class FastQuery(OneHotSystem):
    """The paper's system: as published by the rows of its Table 6, and this project's own design of it."""

    name = "fastquery"
    legend = "FastQuery"
    source = "FastQuery, DAC 2024"
    look = looks.FASTQUERY
    library = "seal"
    accepts = SIRNN_OPTIONS | LOW_BITS_OPTIONS | {"delphi"}

    def published(self, table: Table, ablation: str | None = None) -> Configuration:
        """A row of Table 6, the last one where none is named."""
        row = ablation or ABLATIONS[-1]
        if row in ("baseline", "quant"):
            widths = (16,) if row == "baseline" else (4,)
            return Cheetah().published(table).updated(packing=Packing(widths, "cheetah", "extracted"))
        packing = {
            "accumulation": Packing((4,), "cheetah", "extracted"),
            "packing": Packing(PAPER_WIDTHS, "cheetah", "extracted"),
            "packlwes": Packing(PAPER_WIDTHS, "column", "packlwes-one-polynomial"),
        }[row]
        return Configuration(self.name, table, RING, packing, engine="seal")

    def default_engine(self, wishes: Wishes) -> str:
        """The residue engine for the project's own design, or the library of a published row."""
        return "residue" if wishes.ablation is None else "seal"

    def _check_ablation(self, wishes: Wishes) -> None:
        if wishes.ablation not in (None, *ABLATIONS):
            raise ValueError(f"ablation is {wishes.ablation!r}; it must be one of {', '.join(ABLATIONS)}")

    def execution(self, wishes: Wishes, engine: str) -> tuple[Packing, int | None]:
        """Packing of a row of Table 6, or of the whole of FastQuery."""
        row, whole = wishes.ablation, "extracted" if engine == "residue" else "ciphertexts"
        if row in ("baseline", "quant"):
            return execution_of_baseline(16 if row == "baseline" else 4, engine)
        if row == "accumulation":
            return Packing((4,), "cheetah", whole), PLAINTEXT_BITS
        if row == "packing":
            return Packing(PAPER_WIDTHS, "cheetah", whole), None
        return Packing(PAPER_WIDTHS, "column", "packlwes"), None

    def published_design(self, grid: Grid) -> Design:
        """Whole ciphertexts, packed in the last row."""
        return PublishedPacking() if grid.output in PACKED_OUTPUTS else PublishedProduct()
