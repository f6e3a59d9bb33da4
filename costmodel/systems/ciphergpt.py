"""CipherGPT's embedding: the server encrypts its table once, the client returns the row that it needs.

The server encrypts every row of the table under its own key, one coefficient a channel, and sends all of them once.
For a token the client adds random values to the ciphertext of its row and returns it; the server decrypts its share.
Nothing is sent down for a query and the table is not touched; setup is m ceil(n/N) ciphertexts, and again after every
change of the table. As described, the client re-randomises nothing but the message: the returned polynomial a is that
of the row, and names it. An encryption of zero under the server's public key would be needed, and is not counted.

The paper itself could not be read: the steps are those of a public reader's account of it, which states neither ring
nor serialisation. Those of OpenCheetah are taken, whole ciphertexts, since the description says nothing of seeds. Its
product of matrices (vector oblivious linear evaluation) is not used for an embedding.

References
----------
.. [1] Hou, Liu, Li, Li, Lu, Hong, Ren. CipherGPT: Secure Two-Party GPT Inference. ePrint 2023/1147
   (its embedding, by a reader's account).
"""

from __future__ import annotations

import numpy as np

from costmodel import payloads
from costmodel.design import NO_FLOODING, UNKNOWN_MEMORY, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term, Transfer, Work
from costmodel.noise import secret_key_encryption_variance
from costmodel.packing import packlwes_outputs
from costmodel.parameters import SIRNN_OPTIONS, Ring, Table
from costmodel.sizes import sent_symbol
from costmodel.symbols import grid_symbols
from costmodel.systems import looks
from costmodel.systems.priced import PricedSystem

SOURCE = "CipherGPT's embedding, by a reader's account"


class PublishedCipherGPT(Design):
    """The encrypted table, and masked rows that come back."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        row = packlwes_outputs(grid.coefficients, grid.degree)
        table, returned = grid.rows * row, grid.tokens * row
        each = payloads.whole_bytes(grid, grid.degree, grid.limb_bits)
        size = grid.degree * grid.limbs
        formula = "tokens*ceil(n'/N)"
        return (
            Work("setup", "server", "generate keys", np.int64(1), size, "1", SOURCE),
            Work("setup", "server", "encrypt", table, size, "m*ceil(n'/N)", SOURCE),
            Transfer(
                "setup",
                "server",
                "encrypted table",
                table,
                table * each,
                "m*ceil(n'/N)*ciphertext",
                SOURCE,
                unit="ciphertexts",
            ),
            Work("online", "client", "subtract mask", returned, size, formula, SOURCE),
            Transfer(
                "online",
                "client",
                "masked row",
                returned,
                returned * each,
                f"{formula}*ciphertext",
                SOURCE,
                unit="ciphertexts",
            ),
            Work("online", "server", "decrypt", returned, size, formula, SOURCE),
        )

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        each = payloads.whole_bytes(grid, grid.degree, grid.limb_bits)
        ciphertext = sent_symbol(grid, each, "a ciphertext of two polynomials", "2*ceil(N*log2_q/8)")
        return {**grid_symbols(grid), "ciphertext": ciphertext}

    def noise(self, grid: Grid) -> Floats:
        """Variance of a returned coefficient's error over (q/t)^2: a fresh encryption's."""
        scale = np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
        return np.asarray(secret_key_encryption_variance(grid.sigma) * scale)

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly."""
        return failure_of_answers(self.noise(grid), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """None: the client returns ciphertexts of the server."""
        return NO_FLOODING

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Table and rows lie in one ring."""
        return (RingUse("table and rows", grid.degree, grid.log2_q),)

    def memory(self, grid: Grid) -> Memory:
        """Not known: the library keeps its keys in a form of its own."""
        return UNKNOWN_MEMORY


class CipherGPT(PricedSystem):
    """CipherGPT's embedding."""

    name = "ciphergpt"
    legend = "CipherGPT"
    source = SOURCE
    look = looks.CIPHERGPT
    library = "seal"
    accepts = SIRNN_OPTIONS

    def ring(self, table: Table) -> Ring:
        """The ring is not stated; OpenCheetah's is taken."""
        return Ring(4096, (60, 49), 2**37)

    def published_design(self, grid: Grid) -> Design:
        """An encrypted table."""
        return PublishedCipherGPT()
