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

from costmodel.compact import ledger as compact
from costmodel.grid import Grid
from costmodel.ledger import Number, Term, Transfer, Work
from costmodel.noise import packlwes_variance
from costmodel.openfhe import packed as openfhe_packed
from costmodel.packing import packlwes_automorphism_keys, packlwes_depth, packlwes_merges, packlwes_outputs
from costmodel.session import residues
from costmodel.sizes import SPECIAL_LIMB_BITS, size_format
from costmodel.systems.cheetah import Product, product, product_noise, product_terms

PACKED_OUTPUTS = ("packlwes", "packlwes-one-polynomial")


def answers(grid: Grid) -> Product:
    """Counts of the product, its answers packed where the configuration says so."""
    counts = product(grid)
    if grid.output not in PACKED_OUTPUTS:
        return counts
    packed = packlwes_outputs(grid.coefficients, grid.degree)
    return counts._replace(answers=packed, used=-(-grid.coefficients // packed))


def terms(grid: Grid) -> tuple[Term, ...]:
    """Predicted ledger of FastQuery's private lookup."""
    if compact.applies(grid):
        return compact.terms(grid)
    if openfhe_packed.applies(grid):
        return openfhe_packed.terms(grid)
    ledger = product_terms(grid, answers(grid))
    if grid.output not in PACKED_OUTPUTS:
        return ledger
    merges = packlwes_merges(grid.coefficients, grid.degree)
    keys = packlwes_automorphism_keys(grid.coefficients, grid.degree)
    return (
        *ledger,
        Transfer(
            "setup", "client", "keys", keys, keys * size_format(grid).switching_key(grid), "log2 of the leaves", "[2]"
        ),
        Work("online", "server", "merge", grid.tokens * merges, residues(grid), "tokens (nodes of the tree)", "[2]"),
    )


def key_log2_q(grid: Grid) -> Number:
    """Bits of the largest modulus that is encrypted under: with PackLWEs as published, q and the keys' special prime.

    The paper's q is one prime, but it is built on SEAL, which switches keys with a prime of their own only [3]_. With
    the 60 bits that the keys' size counts, q of 39 bits and N = 4096 keep 128 bits of security.
    """
    if compact.applies(grid) or openfhe_packed.applies(grid) or grid.output not in PACKED_OUTPUTS:
        return grid.log2_q
    return grid.log2_q + SPECIAL_LIMB_BITS


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2, the tree's key switches included.

    The published system switches keys with a special prime of more bits than q; what a switch leaves is the rounding
    by that prime, (1 + 2N/3)/12.
    """
    if compact.applies(grid):
        return compact.noise(grid)
    if openfhe_packed.applies(grid):
        return openfhe_packed.noise(grid)
    variance = product_noise(grid, answers(grid))
    if grid.output not in PACKED_OUTPUTS:
        return variance
    depth = packlwes_depth(grid.coefficients, grid.degree)
    tree = packlwes_variance((1 + 2 * grid.degree / 3) / 12, depth)
    return variance + tree * np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
