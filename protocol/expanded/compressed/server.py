"""The server of the compressed query: selectors from encrypted bits, the table's pass, PackLWEs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.errors import ProtocolError
from protocol.expanded.compressed.client import LABELS, PACKING_LABEL, packing_gadget, packing_keys
from protocol.expanded.compressed.layout import CompressedLayout
from protocol.expanded.compressed.selection import hand_down, monomial
from protocol.expanded.compressed.table import encode_table
from protocol.expanded.expansion import expand
from protocol.expanded.fold import Bit, bit_rows
from protocol.expanded.keys import public_key
from protocol.expanded.messages import KeyHalves, Query
from protocol.expanded.rounding import restore
from protocol.expanded.server import ExpandedServer, ExpandedSession
from protocol.meter import Meter, Tally
from protocol.residue.ciphertext import expand_many
from protocol.residue.keyswitch import SwitchingKeys
from protocol.residue.multiply_accumulate import Query as Factors
from protocol.residue.multiply_accumulate import multiply_accumulate
from protocol.residue.packlwes import Packer
from protocol.residue.rounding import drop_limbs, scale_up
from protocol.residue.sampling import expand as expand_seed

SPARE_CIPHERTEXTS = 10
"""What the kernels and the flooding of a query keep besides, in ciphertexts."""

PRODUCT_BYTES = 1 << 23
"""Memory of the products that are made before they are packed."""


class CompressedServer(ExpandedServer[CompressedParameters, "CompressedSession"]):
    """A table ready for compressed queries; see :class:`protocol.expanded.server.ExpandedServer`."""

    table: NDArray[np.uint64]

    def __init__(
        self,
        parameters: CompressedParameters,
        coefficients: NDArray[np.integer],
        middle: int = 0,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(CompressedLayout(parameters), coefficients, middle, meter)

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory of queries of any number, of which some are answered together.

        At first of every query that is expanded its leaves, four times as rows of encrypted bits or on the way there,
        and the nodes of its selectors; later the selectors of all three times over, and their packers and products.
        """
        p, queries = self.parameters, min(tokens, self.tokens_together)
        at_once = min(queries, threads)
        ciphertext, result = (2 * 8 * limbs * p.degree for limbs in (p.limbs, p.table_limbs))
        expanding = at_once * ciphertext * (5 * p.query_coefficients + 3 * p.blocks + SPARE_CIPHERTEXTS)
        packer = p.packing_depth + 2 * p.packed + SPARE_CIPHERTEXTS
        packing = queries * result * (2 * p.blocks + packer) + 2 * max(PRODUCT_BYTES, queries * result)
        return queries * p.blocks * result + max(expanding, packing)

    def _encode(self, coefficients: NDArray[np.integer], tally: Tally) -> None:
        self.table = encode_table(self.parameters, self.result_ring, coefficients, self.middle, tally)

    def _session(self, halves: KeyHalves, meter: Meter) -> CompressedSession:
        return CompressedSession(self, halves, meter)


class CompressedSession(ExpandedSession):
    """One client's keys and compressed queries, whose counters only go up."""

    labels = LABELS

    def __init__(self, server: CompressedServer, halves: KeyHalves, meter: Meter) -> None:
        self._server = server
        self._next = 0
        super().__init__(server, halves, meter)

    def _read_keys(self, rows: NDArray[np.uint64], others: list[NDArray[np.uint64]], tally: Tally) -> None:
        """Take the packing keys, and with flooding the public key: none of them is modulo Q."""
        p, ring = self._server.parameters, self._server.result_ring
        (public,) = others
        a = expand_many(ring, self._seed, PACKING_LABEL, p.packing_rows)
        parts = [slice(k, k + p.packing_digits) for k in range(0, p.packing_rows, p.packing_digits)]
        gadgets = [packing_gadget(p)] * len(packing_keys(p))
        self._packing = SwitchingKeys(ring, gadgets, [public[part] for part in parts], [a[part] for part in parts])
        if p.flooded:
            self._public_key = public_key(ring, public[-1], self._seed, LABELS)

    def _use(self, counters: Sequence[int]) -> None:
        for counter in counters:
            if counter < self._next:
                raise ProtocolError(
                    f"query has counter {counter}, and {self._next} is next: two queries under one counter would "
                    "show the difference of their tokens"
                )
            self._next = counter + 1

    def _results(self, queries: Sequence[Query]) -> Iterator[NDArray[np.uint64]]:
        """Yield the packed products (packed, 2, table limbs, N) of coefficients, flooded."""
        step = self._server.tokens_together
        for first in range(0, len(queries), step):
            together = queries[first : first + step]
            selectors = self.meter.side_by_side(lambda meter, query: self.beside(meter).selectors(query), together)
            for packed in self._packed(np.stack(selectors)):
                with self.meter.counting("merge"):
                    coefficients = self._result_ring.inverse(packed)
                yield self._flood(coefficients)

    def selectors(self, query: Query) -> NDArray[np.uint64]:
        """Return what a query becomes, X^-l in the row's block: (2, blocks, table limbs, N) in evaluation form."""
        p, ring, threads = self._server.parameters, self._server.ring, self.meter.threads
        with self.meter.counting("expand") as switched:
            a = expand_seed(self._seed, LABELS.query, query.counter, ring)
            leaves = expand(a, self._keys.expansion, p, ring, tally=switched, threads=threads)
            constants = restore(query.values[0], ring, p.sent_bits)[..., None]
            leaves[:, 0] = ring.add(leaves[:, 0], np.broadcast_to(constants, leaves[:, 0].shape))
        with self.meter.counting("square") as squared:
            shape = (p.bit_levels, p.bit.digits, 2, ring.limbs, ring.ring_degree)
            rows = bit_rows(leaves.reshape(shape), self._keys.square, ring, squared, threads)
        with self.meter.counting("fold") as folds:
            bits = [Bit(ring, row, p.bit) for row in rows]
            one = np.zeros((2, ring.limbs, ring.ring_degree), dtype=np.uint64)
            one[0, :, :1] = scale_up(np.ones(1, dtype=np.uint64), ring, p.plaintext_modulus)
            node = monomial(one, bits[: p.position_levels])
            nodes = hand_down(node, bits[p.position_levels :], p.blocks, ring, threads)
            folds.add(sum(bit.folds for bit in bits))
            kept = drop_limbs(nodes, ring, p.table_limbs)
            return np.moveaxis(self._result_ring.forward(kept, threads=threads), 0, 1)

    def _packed(self, selectors: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
        """The packed products of some tokens' selectors, each (packed, 2, table limbs, N) in evaluation form."""
        p, server, threads = self._server.parameters, self._server, self.meter.threads
        packers = [Packer(self._packing, p.products, p.gap) for _ in selectors]
        with self.meter.counting("multiply-accumulate"):
            factors = Factors(server.result_ring, selectors)
        each = selectors[:, :, 0].nbytes
        together = max(1, PRODUCT_BYTES // each)
        for first in range(0, p.products, together):
            table = server.table[:, first : first + together]
            with self.meter.counting("multiply-accumulate") as made:
                products = multiply_accumulate(table, factors, made, threads)
            with self.meter.counting("merge"):
                threads.map(_push, [(packer, products[:, token]) for token, packer in enumerate(packers)])
        with self.meter.counting("merge") as merges:
            packed = threads.map(Packer.finish, packers)
            merges.add(sum(packer.merges for packer in packers))
            return packed


def _push(leaves: tuple[Packer, NDArray[np.uint64]]) -> None:
    packer, products = leaves
    packer.push(products)
