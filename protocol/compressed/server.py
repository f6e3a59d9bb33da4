"""The server of the compressed query: a table, and for every client a session that answers its queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.compressed.answers import compress, masked
from protocol.compressed.client import LABELS, PACKING_LABEL, packing_gadget, packing_keys
from protocol.compressed.messages import Query, decode_query
from protocol.compressed.selection import hand_down, monomial
from protocol.compressed.table import encode_table
from protocol.errors import ProtocolError
from protocol.expanded.expansion import expand
from protocol.expanded.fold import Bit, bit_rows
from protocol.expanded.keys import QueryKeys, public_key
from protocol.expanded.messages import KeyHalves, encode_answer
from protocol.expanded.rounding import restore
from protocol.expanded.server import ExpandedServer, ServerAnswer
from protocol.meter import Meter
from protocol.randomness import sample_uniform
from protocol.residue.ciphertext import expand_many
from protocol.residue.keyswitch import SwitchingKeys
from protocol.residue.multiply_accumulate import Query as Factors
from protocol.residue.multiply_accumulate import multiply_accumulate
from protocol.residue.packlwes import Packer
from protocol.residue.rounding import drop_limbs, scale_up
from protocol.residue.sampling import expand as expand_seed

TOKENS_TOGETHER = 16
"""Queries that one pass over the table serves: their selectors take some 4 to 17 MB each."""

PRODUCT_BYTES = 1 << 23
"""Memory of the products that are made before they are packed."""


class CompressedServer(ExpandedServer[CompressedParameters, "CompressedSession"]):
    """A table ready for queries.

    Parameters
    ----------
    parameters : of the compressed query
    coefficients : packed coefficients of the table, integers (m, n')
    middle : the packed element all of whose channels are at the middle of their levels
    meter : counts what is done

    Raises
    ------
    ValueError
        If the table does not fit the parameters.
    """

    def __init__(
        self,
        parameters: CompressedParameters,
        coefficients: NDArray[np.integer],
        middle: int = 0,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(parameters, middle, meter)
        self.table_ring = self.ring.first(parameters.table_limbs)
        with self.meter.work("encode table", parameters.products * parameters.blocks):
            self.table = encode_table(parameters, self.table_ring, coefficients, middle)

    def _session(self, halves: KeyHalves, meter: Meter) -> CompressedSession:
        return CompressedSession(self, halves, meter)


class CompressedSession:
    """One client's keys, and its queries so far."""

    def __init__(self, server: CompressedServer, halves: KeyHalves, meter: Meter) -> None:
        self._server = server
        self.meter = meter
        self._seed = halves.seed
        self._next = 0
        p, ring = server.parameters, server.ring
        with meter.work("read keys", p.key_rows):
            rows, public, ring_switch = halves.groups
            self._keys = QueryKeys.of(p, ring, self._seed, LABELS, rows, ring_switch)
            self._packing, self._public_key = self._table_keys(public)

    def _table_keys(self, rows: NDArray[np.uint64]) -> tuple[SwitchingKeys, NDArray[np.uint64] | None]:
        """The packing keys, and with flooding the public key."""
        p, ring = self._server.parameters, self._server.table_ring
        a = expand_many(ring, self._seed, PACKING_LABEL, p.packing_rows)
        parts = [slice(k, k + p.packing_digits) for k in range(0, p.packing_rows, p.packing_digits)]
        gadgets = [packing_gadget(p)] * len(packing_keys(p))
        packing = SwitchingKeys(ring, gadgets, [rows[part] for part in parts], [a[part] for part in parts])
        if not p.flooding_bits:
            return packing, None
        return packing, public_key(ring, rows[-1], self._seed, LABELS)

    def answer(self, body: bytes) -> ServerAnswer:
        """Answer a query.

        Raises
        ------
        ProtocolError
            If the query is not of these parameters or its counter is not the next.
        """
        return next(self.answer_many([body]))

    def answer_many(self, bodies: Sequence[bytes]) -> Iterator[ServerAnswer]:
        """Answer several queries, up to 16 of them in one pass over the table.

        Raises
        ------
        ProtocolError
            If a query is not of these parameters or its counter is not the next.
        """
        queries = [self._next_query(body) for body in bodies]
        for first in range(0, len(queries), TOKENS_TOGETHER):
            selectors = [self._selectors(query) for query in queries[first : first + TOKENS_TOGETHER]]
            for packed in self._packed(np.stack(selectors)):
                yield self._finish(packed)

    def _next_query(self, body: bytes) -> Query:
        query = decode_query(self._server.parameters, body)
        if query.counter != self._next:
            raise ProtocolError(
                f"query has counter {query.counter} in place of {self._next}: two queries under one counter would "
                "show the difference of their tokens"
            )
        self._next += 1
        return query

    def selectors(self, body: bytes) -> NDArray[np.uint64]:
        """Return what a query becomes, X^-l in the row's block: (2, blocks, table limbs, N) in evaluation form."""
        return self._selectors(self._next_query(body))

    def masked(self, body: bytes, mask: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the un-switched answer less a given mask, (packed, 2, table limbs, N) of coefficients."""
        (packed,) = self._packed(self.selectors(body)[None])
        return masked(self._server.parameters, self._server.table_ring, packed, mask, self._public_key)

    def _selectors(self, query: Query) -> NDArray[np.uint64]:
        p, ring = self._server.parameters, self._server.ring
        with self.meter.work("expand", p.expansion_switches):
            a = expand_seed(self._seed, LABELS.query, query.counter, ring)
            leaves = expand(a, self._keys.expansion, p, ring)
            constants = restore(query.values, ring, p.sent_bits)[..., None]
            leaves[:, 0] = ring.add(leaves[:, 0], np.broadcast_to(constants, leaves[:, 0].shape))
        with self.meter.work("square", p.query_coefficients):
            shape = (p.bit_levels, p.bit.digits, 2, ring.limbs, ring.ring_degree)
            rows = bit_rows(leaves.reshape(shape), self._keys.square, ring)
        with self.meter.work("fold", p.external_products):
            bits = [Bit(ring, row, p.bit) for row in rows]
            one = np.zeros((2, ring.limbs, ring.ring_degree), dtype=np.uint64)
            one[0, :, :1] = scale_up(np.ones(1, dtype=np.uint64), ring, p.plaintext_modulus)
            node = monomial(one, bits[: p.position_levels])
            nodes = hand_down(node, bits[p.position_levels :], p.blocks, ring)
            kept = drop_limbs(nodes, ring, p.table_limbs)
            return np.moveaxis(self._server.table_ring.forward(kept), 0, 1)

    def _packed(self, selectors: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
        """The packed products of some tokens' selectors, each (packed, 2, table limbs, N) in evaluation form."""
        p, server = self._server.parameters, self._server
        tokens = len(selectors)
        packers = [Packer(self._packing, p.products, p.gap) for _ in range(tokens)]
        with self.meter.work("multiply-accumulate", 0):
            factors = Factors(server.table_ring, selectors)
        each = selectors[:, :, 0].nbytes
        together = max(1, PRODUCT_BYTES // each)
        for first in range(0, p.products, together):
            table = server.table[:, first : first + together]
            with self.meter.work("multiply-accumulate", 2 * tokens * table.shape[1] * p.blocks):
                products = multiply_accumulate(table, factors)
            with self.meter.work("merge", 0):
                for token, packer in enumerate(packers):
                    packer.push(products[:, token])
        with self.meter.work("merge", tokens * p.merges):
            return [packer.finish() for packer in packers]

    def _finish(self, packed: NDArray[np.uint64]) -> ServerAnswer:
        server, p = self._server, self._server.parameters
        with self.meter.work("mask", p.packed):
            mask = sample_uniform(p.plaintext_modulus, p.row_coefficients)
            ciphertext = masked(p, server.table_ring, packed, mask, self._public_key)
        with self.meter.work("compress", p.answers):
            answer = compress(p, server.table_ring, ciphertext, self._keys.ring_switch)
            share = (mask + np.uint64(server.middle % p.plaintext_modulus)) % np.uint64(p.plaintext_modulus)
            return ServerAnswer(encode_answer(p, answer), share)
