"""The server of the residue engine."""

from __future__ import annotations

from functools import lru_cache, partial

from costmodel.parameters import Configuration
from protocol.compact.plan import Plan
from protocol.compact.products import products_together
from protocol.compact.session import ResidueSession
from protocol.compact.table import EncodedTable
from protocol.engine import Progress
from protocol.meter import Meter
from protocol.openfhe.context import residue_context
from protocol.packing_tree import packing_depth
from protocol.residue.context import read_ring
from protocol.seeds import RecentSeeds
from quantize.packing import UnsignedArray

TOKENS_TOGETHER = 32
"""Rows of a batch that share a pass over the table: more would take memory and save little."""

SPARE_POLYNOMIALS = 8
"""What the kernels keep besides."""
SPARE_PACKING = 18
"""What those that pack keep besides."""

KEPT_PLANS = 16
"""Numbers of tokens whose plans are kept."""


class ResidueServer:
    """The server's kernels; the table lives here, and no secret key ever does.

    Parameters
    ----------
    configuration
        What is served.
    coefficients
        The packed table, shape (m, n').
    meter
        Counts and times its encoding.
    progress
        Called with what is being done, how much is done, and of how much.
    allow_insecure
        Let OpenFHE make a ring below its security table.
    """

    def __init__(
        self,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> None:
        self.configuration = configuration
        self.ring = read_ring(residue_context(configuration.ring, allow_insecure))
        self.table = EncodedTable(Plan(configuration, self.ring, 1), coefficients, meter, progress)
        self.middle = self.table.middle
        self.seeds = RecentSeeds()
        self.tokens_together = TOKENS_TOGETHER
        # Whoever greets has a plan made, which takes longer than the rest of a greeting.
        self._plan = lru_cache(maxsize=KEPT_PLANS)(partial(Plan, configuration, self.ring))

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory of a batch while it is computed; see :class:`protocol.engine.ServerEngine`.

        Of the tokens that are computed on at once, whichever is most: the query in three and a half forms; the query,
        the products of a chunk of columns, and the answers with the nodes of their packing; or three times the answers.
        Besides, of all tokens the query in words, and three times what is sent.
        """
        plan = self._plan(tokens)
        queries, halves = min(tokens, self.tokens_together), 1 if plan.scalar_products else 2
        polynomial = 8 * self.ring.limbs * self.ring.ring_degree
        query, columns = halves * plan.layout.inputs, products_together(plan, queries, halves)
        nodes = 2 * (plan.answers + packing_depth(plan.leaves, plan.gap) + 1) if plan.packs else 0
        most = max(7 * query // 2, query + halves * columns + 2 * plan.answers + nodes, 6 * plan.answers)
        # A token's products lie among those of the others, or lack their b, and are copied to be packed.
        copies = SPARE_POLYNOMIALS + plan.packs * (SPARE_PACKING + 2 * columns * min(queries, threads))
        sent = self.ring.ring_degree * plan.answers + self.ring.limbs * plan.layout.columns
        words = self.ring.limbs * plan.query_places[0].size + 3 * sent
        return polynomial * (queries * most + copies) + 8 * tokens * words

    def session(self, tokens: int, meter: Meter) -> ResidueSession:
        """Kernels for one client that looks so many rows up together."""
        return ResidueSession(self._plan(tokens), self.table, self.tokens_together, self.seeds, meter)
