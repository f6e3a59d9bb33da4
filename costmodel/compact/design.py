"""The one-hot query on seeded ciphertexts as a design."""

from __future__ import annotations

import numpy as np

from costmodel.answers import share_limit
from costmodel.compact import ledger, noise
from costmodel.design import (
    RESIDUE_BYTES,
    Design,
    Floats,
    Flooding,
    Memory,
    RingUse,
    failure_of_answers,
    flooding_by_coefficients,
)
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term
from costmodel.noise import log2_failure


class CompactDesign(Design):
    """FastQuery's, Cheetah's and BumbleBee's products executed on residues, in this project's own format."""

    name = "compact"

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        return ledger.terms(grid)

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return ledger.symbols(grid)

    def noise(self, grid: Grid) -> Floats:
        """Variance of an answer coefficient's error over (q/t)^2."""
        return np.asarray(noise.noise(grid))

    def failure(self, grid: Grid) -> Floats:
        """log2 of the probability that any coefficient decrypts wrongly, for the worst table."""
        worst = grid.of_worst_table()
        if not ledger.sends_low_bits(grid):
            return failure_of_answers(self.noise(worst), grid)
        deviation, limit = np.sqrt(noise.noise_before_b(worst)), share_limit(grid.answer_b_bits)
        return np.asarray(log2_failure(deviation, limit, grid.tokens * grid.coefficients))

    def flooding(self, grid: Grid) -> Flooding:
        """Flooding of every answer coefficient; the distances of all tokens add up."""
        return flooding_by_coefficients(grid.flooding_bits, grid.flooding_bits, grid)

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """Query, keys and answer lie in one ring."""
        return (RingUse("query, keys and answer", grid.degree, grid.log2_q),)

    def memory(self, grid: Grid) -> Memory:
        """Both halves of every row of the switching keys with their quotients, and b of prepared answers."""
        residue = RESIDUE_BYTES * grid.limbs
        kept = 4 * residue * grid.degree * ledger.key_rows(grid)
        return Memory(kept, residue * grid.tokens * grid.coefficients * grid.prepared)
