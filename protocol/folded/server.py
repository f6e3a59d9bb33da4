"""The server of the folded query: a table, and for every client a session that answers its queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.errors import ProtocolError
from protocol.expanded.expansion import expand, new_leaves
from protocol.expanded.fold import Bit, add_bit_constants, bit_rows
from protocol.expanded.keys import QueryKeys, public_key
from protocol.expanded.messages import KeyHalves, encode_answer
from protocol.expanded.products import Factors
from protocol.expanded.rounding import restore
from protocol.expanded.server import ExpandedServer, ServerAnswer
from protocol.folded.answers import Masked, compress, mask
from protocol.folded.client import LABELS
from protocol.folded.messages import Query, decode_query
from protocol.folded.table import FoldedTable
from protocol.meter import Meter
from protocol.residue.sampling import expand as expand_seed

Item = TypeVar("Item")

TOKENS_TOGETHER = 16
"""Queries that one pass over the table serves: their selectors take some 8 to 30 MB each."""

MOST_PREPARED = 128
"""Queries of a session that are prepared and not yet answered."""


class Prepared(NamedTuple):
    """What a query's a makes of table and keys.

    Attributes
    ----------
    columns : (columns, 2, limbs, N) of coefficients
    rows : of the encrypted bits, (bits, 2 * digits, 2, limbs, N) in evaluation form
    """

    columns: NDArray[np.uint64]
    rows: NDArray[np.uint64]

    @property
    def size_bytes(self) -> int:
        """Memory kept until the query comes."""
        return self.columns.nbytes + self.rows.nbytes


class Room(NamedTuple):
    """Memory that a pass over the table fills for several queries, and the next one again: fresh pages cost as much.

    Attributes
    ----------
    leaves : of one expansion
    selectors : of all queries
    columns : (tokens, columns, 2, limbs, N)
    """

    leaves: NDArray[np.uint64]
    selectors: Factors
    columns: NDArray[np.uint64]

    @classmethod
    def of(cls, server: FoldedServer, tokens: int) -> Room:
        """Return room for so many queries."""
        p = server.parameters
        return cls(
            new_leaves(p),
            Factors(server.ring, tokens, p.selectors, 1),
            np.empty((tokens, p.blocks * p.columns, 2, p.limbs, p.degree), dtype=np.uint64),
        )


class FoldedServer(ExpandedServer[FoldedParameters, "FoldedSession"]):
    """A table ready for queries.

    Parameters
    ----------
    parameters : of the folded query
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
        parameters: FoldedParameters,
        coefficients: NDArray[np.integer],
        middle: int = 0,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(parameters, middle, meter)
        with self.meter.work("encode table", parameters.blocks * parameters.columns * parameters.selectors):
            self.table = FoldedTable(parameters, self.ring, coefficients, middle)

    def _session(self, halves: KeyHalves, meter: Meter) -> FoldedSession:
        return FoldedSession(self, halves, meter)


class FoldedSession:
    """One client's keys, and its queries so far."""

    def __init__(self, server: FoldedServer, halves: KeyHalves, meter: Meter) -> None:
        self._server = server
        self.meter = meter
        p, ring = server.parameters, server.ring
        self._seed = halves.seed
        self._seen: set[int] = set()
        self._prepared: dict[int, Prepared] = {}
        with meter.work("read keys", p.key_rows):
            rows, ring_switch = halves.groups
            self._keys = QueryKeys.of(p, ring, self._seed, LABELS, rows, ring_switch)
            self._public_key = public_key(ring, rows[-1], self._seed, LABELS) if p.flooding_bits else None

    def prepare(self, counter: int) -> Prepared:
        """Do everything that needs a query's a only, before the token is known; kept until that query comes.

        Raises
        ------
        ProtocolError
            If the counter was used, or too many queries are prepared already.
        """
        self.prepare_many([counter])
        return self._prepared[counter]

    def prepare_many(self, counters: Sequence[int]) -> None:
        """Prepare several queries, up to 16 of them in one pass over the table.

        Raises
        ------
        ProtocolError
            If a counter was used, or too many queries are prepared already.
        """
        p = self._server.parameters
        missing = [counter for counter in dict.fromkeys(counters) if counter not in self._prepared]
        self._check_fresh(missing)
        if len(self._prepared) + len(missing) > MOST_PREPARED:
            raise ProtocolError(f"{len(self._prepared)} queries are prepared already; {MOST_PREPARED} are kept")
        for together, room in self._rounds(missing):
            constants = np.zeros((len(together), p.selectors, p.limbs), dtype=np.uint64)
            for counter, columns, rows in zip(together, *self._multiply(together, constants, room), strict=True):
                self._prepared[counter] = Prepared(columns.copy(), rows)

    def answer(self, body: bytes) -> ServerAnswer:
        """Answer a query, from what was prepared for its counter if anything was.

        Raises
        ------
        ProtocolError
            If the query is not of these parameters or its counter was used before.
        """
        return self._finish(self._product(decode_query(self._server.parameters, body)))

    def answer_many(self, bodies: Sequence[bytes]) -> list[ServerAnswer]:
        """Answer several queries, up to 16 of them in one pass over the table.

        Raises
        ------
        ProtocolError
            If a query is not of these parameters, or a counter comes twice or was used before.
        """
        queries = [decode_query(self._server.parameters, body) for body in bodies]
        self._use([query.counter for query in queries])
        answers = []
        for together, room in self._rounds(queries):
            answers += [self._finish(product) for product in self._products(together, room)]
        return answers

    def masked(self, body: bytes) -> Masked:
        """Return the un-switched answer to a query, which any holder of the secret decrypts."""
        return self._mask(self._product(decode_query(self._server.parameters, body)))

    def _check_fresh(self, counters: Sequence[int]) -> None:
        if len(set(counters)) != len(counters) or self._seen.intersection(counters):
            raise ProtocolError(
                "query repeats a counter: two queries under one would show the difference of their tokens"
            )

    def _use(self, counters: Sequence[int]) -> None:
        self._check_fresh(counters)
        self._seen.update(counters)

    def _rounds(self, items: Sequence[Item]) -> Iterator[tuple[Sequence[Item], Room]]:
        """Yield what one pass over the table serves together, as evenly as may be, with room for it."""
        count = -(-len(items) // TOKENS_TOGETHER)
        room: Room | None = None
        for k in range(count):
            together = items[k * len(items) // count : (k + 1) * len(items) // count]
            if room is None or len(room.columns) != len(together):
                room = Room.of(self._server, len(together))
            yield together, room

    def _multiply(
        self, counters: Sequence[int], constants: NDArray[np.uint64], room: Room
    ) -> tuple[NDArray[np.uint64], list[NDArray[np.uint64]]]:
        """Return columns (tokens, columns, 2, limbs, N) of coefficients, in ``room``, and rows of encrypted bits.

        Parameters
        ----------
        constants : N*b of the selectors, (tokens, d1, limbs); the encrypted bits are still without theirs
        """
        server = self._server
        p, ring = server.parameters, server.ring
        rows = []
        for token, counter in enumerate(counters):
            with self.meter.work("expand", p.expansion_switches):
                a = expand_seed(self._seed, LABELS.query, counter, ring)
                leaves = expand(a, self._keys.expansion, p, ring, room.leaves)
            with self.meter.work("table pass", p.blocks * p.columns * p.selectors):
                room.selectors.put(token, leaves[: p.selectors], constants[token])
            with self.meter.work("square", p.fold_coefficients):
                bits = leaves[p.selectors :].reshape(p.fold_levels, p.fold.digits, 2, ring.limbs, ring.ring_degree)
                rows.append(bit_rows(bits, self._keys.square, ring))
        with self.meter.work("table pass", 0):
            ring.invert(server.table.products(room.selectors, room.columns))
        return room.columns, rows

    def _products(self, queries: Sequence[Query], room: Room) -> Iterator[NDArray[np.uint64]]:
        """Yield the folded ciphertexts (blocks, 2, limbs, N) of coefficients of queries not prepared for."""
        p, ring = self._server.parameters, self._server.ring
        with self.meter.work("add query", len(queries) * p.selectors):
            constants = np.stack([restore(query.selectors, ring, p.selector_bits) for query in queries])
        multiplied = self._multiply([query.counter for query in queries], constants, room)
        for query, columns, rows in zip(queries, *multiplied, strict=True):
            yield self._fold(columns, rows, query)

    def _product(self, query: Query) -> NDArray[np.uint64]:
        """Return the folded ciphertext of one query, (blocks, 2, limbs, N) of coefficients."""
        server = self._server
        p = server.parameters
        self._use([query.counter])
        prepared = self._prepared.pop(query.counter, None)
        if prepared is None:
            return next(self._products([query], Room.of(server, 1)))
        with self.meter.work("scalar product", p.blocks * p.columns * p.selectors):
            server.table.add_scalar_products(query.selectors, p.selector_bits, prepared.columns)
        return self._fold(prepared.columns, prepared.rows, query)

    def _fold(self, columns: NDArray[np.uint64], rows: NDArray[np.uint64], query: Query) -> NDArray[np.uint64]:
        """Return the folded ciphertext, (blocks, 2, limbs, N); columns and rows are used up."""
        p, ring = self._server.parameters, self._server.ring
        with self.meter.work("add query", p.fold_coefficients):
            constants = restore(query.folds, ring, p.fold_bits).reshape(p.fold_levels, p.fold.digits, ring.limbs)
            add_bit_constants(rows, constants, ring)
        with self.meter.work("fold", p.folds):
            bits = [Bit(ring, bit, p.fold) for bit in rows]
            folded = []
            for block in range(p.blocks):
                nodes = columns[block * p.columns : (block + 1) * p.columns]
                for bit in bits[: p.column_levels]:
                    nodes = bit.fold_pairs(nodes)
                for level, bit in enumerate(bits[p.column_levels :]):
                    nodes = bit.fold_slots(nodes, 1 << level)
                folded.append(nodes[0])
            return np.stack(folded)

    def _mask(self, product: NDArray[np.uint64]) -> Masked:
        server = self._server
        with self.meter.work("mask", server.parameters.blocks):
            return mask(server.parameters, server.ring, product, server.middle, self._public_key)

    def _finish(self, product: NDArray[np.uint64]) -> ServerAnswer:
        server = self._server
        masked = self._mask(product)
        with self.meter.work("compress", server.parameters.answers):
            answer = compress(server.parameters, server.ring, masked, self._keys.ring_switch)
            return ServerAnswer(encode_answer(server.parameters, answer), masked.share)
