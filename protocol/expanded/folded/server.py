"""The server of the folded query: one pass over the table for all columns of a query, then folds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import cycle, islice
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.errors import ProtocolError
from protocol.expanded.expansion import expand, new_leaves
from protocol.expanded.fold import Bit, add_bit_constants, bit_rows
from protocol.expanded.folded.client import LABELS
from protocol.expanded.folded.layout import FoldedLayout
from protocol.expanded.folded.table import FoldedTable
from protocol.expanded.keys import public_key
from protocol.expanded.messages import KeyHalves, Query
from protocol.expanded.products import Factors
from protocol.expanded.rounding import restore
from protocol.expanded.server import ExpandedServer, ExpandedSession, ServerAnswer
from protocol.meter import Meter, Tally
from protocol.residue.rounding import drop_limbs_of_values
from protocol.residue.sampling import expand as expand_seed
from protocol.threads import Threads

Item = TypeVar("Item")

FOLDING_CIPHERTEXTS = 12
"""Memory of a fold besides its rows, in ciphertexts: of every block, and of what the kernels keep."""

WINDOW = 1 << 13
"""Counters below the highest one that may still come: those of all lookups that are prepared at once."""

MOST_PREPARED = 128
"""Queries of a lookup that are prepared and not yet answered."""


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


class Table(Protocol):
    """What selectors of queries are multiplied by."""

    def products(
        self, selectors: Factors, out: NDArray[np.uint64], tally: Tally, threads: Threads
    ) -> NDArray[np.uint64]:
        """Return every column's sum of selectors times polynomials, (tokens, columns, 2, limbs, N), in ``out``."""


class Room(NamedTuple):
    """Memory that a pass over the table fills for several queries, and the next one again: fresh pages cost as much.

    Attributes
    ----------
    leaves : of as many expansions as are made side by side
    selectors : of all queries
    bits : leaves of the encrypted bits of all queries, (tokens, bits, digits, 2, limbs, N)
    columns : (tokens, columns, 2, limbs, N)
    """

    leaves: list[NDArray[np.uint64]]
    selectors: Factors
    bits: NDArray[np.uint64]
    columns: NDArray[np.uint64]

    @classmethod
    def of(cls, server: FoldedServer, tokens: int, at_once: int = 1) -> Room:
        """Return room for so many queries, of which so many are expanded side by side."""
        p = server.parameters
        return cls(
            [new_leaves(p) for _ in range(min(tokens, at_once))],
            Factors(server.result_ring, tokens, p.selectors, 1),
            np.empty((tokens, p.fold_levels, p.fold.digits, 2, p.limbs, p.degree), dtype=np.uint64),
            np.empty((tokens, p.blocks * p.columns, 2, p.pass_limbs, p.degree), dtype=np.uint64),
        )


def queries_at_once(threads: int) -> int:
    """Queries that so many threads have in work at the same time: none waits long for the last of them."""
    return 2 * threads if threads > 1 else 1


def working_bytes(parameters: FoldedParameters, tokens: int, threads: int) -> int:
    """Memory in which so many queries are answered together.

    The room of a pass over the table, and of every query that is folded at the same time its rows of encrypted bits,
    once more as factors, and some ciphertexts. Where limbs are dropped, rows or selectors are there before and after.
    """
    p, at_once = parameters, min(tokens, queries_at_once(threads))
    bits = p.fold_levels * p.fold.digits
    whole, rounded = (2 * 8 * limbs * p.degree for limbs in (p.limbs, p.pass_limbs))
    leaves = whole * (at_once * p.query_coefficients + tokens * bits)
    room = leaves + rounded * tokens * (1 + p.selectors + p.blocks * p.columns)
    folding = whole * (4 * bits + FOLDING_CIPHERTEXTS * (1 + p.blocks))
    if p.drops_limbs:
        folding = max(folding + whole * 2 * bits, 2 * whole * p.selectors)
    return room + min(tokens, threads) * folding


class FoldedServer(ExpandedServer[FoldedParameters, "FoldedSession"]):
    """A table ready for folded queries; see :class:`protocol.expanded.server.ExpandedServer`."""

    table: FoldedTable

    def __init__(
        self,
        parameters: FoldedParameters,
        coefficients: NDArray[np.integer],
        middle: int = 0,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(FoldedLayout(parameters), coefficients, middle, meter)

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory of queries of any number, of which some are answered together."""
        return working_bytes(self.parameters, min(tokens, self.tokens_together), threads)

    def _encode(self, coefficients: NDArray[np.integer], tally: Tally) -> None:
        self.table = FoldedTable(self.parameters, self.result_ring, coefficients, self.middle, tally)

    def _session(self, halves: KeyHalves, meter: Meter) -> FoldedSession:
        return FoldedSession(self, halves, meter)


class FreshCounters:
    """Counters that no query had: all above the highest, and of the last ones below it those that were passed over.

    Examples
    --------
    >>> fresh = FreshCounters()
    >>> fresh.use([2])
    >>> [counter in fresh for counter in range(4)]
    [True, True, False, True]
    """

    def __init__(self) -> None:
        self._next = 0
        self._passed: set[int] = set()

    def __contains__(self, counter: int) -> bool:
        """Whether a counter may be used."""
        return counter >= self._next or counter in self._passed

    def use(self, counters: Sequence[int]) -> None:
        """Take counters that are fresh."""
        for counter in counters:
            self._passed.discard(counter)
            if counter >= self._next:
                self._passed.update(range(max(self._next, counter - WINDOW), counter))
                self._next = counter + 1
                if len(self._passed) > WINDOW:
                    self._passed = {passed for passed in self._passed if passed >= self._next - WINDOW}


class FoldedSession(ExpandedSession):
    """One client's keys and folded queries, of which some may be prepared."""

    labels = LABELS

    def __init__(self, server: FoldedServer, halves: KeyHalves, meter: Meter) -> None:
        self._server = server
        self._fresh = FreshCounters()
        self._prepared: dict[int, Prepared] = {}
        super().__init__(server, halves, meter)

    def _read_keys(self, rows: NDArray[np.uint64], others: list[NDArray[np.uint64]], tally: Tally) -> None:
        if self._server.parameters.flooded:
            key = public_key(self._ring, rows[-1], self._seed, LABELS)
            self._public_key = key[:, : self._server.parameters.pass_limbs]
            tally.add()

    def lookup(self) -> FoldedSession:
        """Return the same session for one lookup; see :meth:`protocol.expanded.server.ExpandedSession.lookup`."""
        other = copy(self)
        other._prepared = {}
        return other

    def prepare(self, counter: int) -> Prepared:
        """Prepare one query; see :meth:`prepare_many`."""
        self.prepare_many([counter])
        return self._prepared[counter]

    def prepare_many(self, counters: Sequence[int]) -> None:
        """Do everything that needs the a of queries only, up to 16 of them in one pass over the table.

        What is made is kept until the queries come.

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
        self._fresh.use(missing)
        for together, room in self._rounds(missing):
            constants = np.zeros((len(together), p.selectors, p.pass_limbs), dtype=np.uint64)
            self._multiply(together, constants, room, self._server.table)
            for counter, columns, bits in zip(together, room.columns, room.bits, strict=True):
                self._prepared[counter] = Prepared(columns.copy(), self._rows(bits))

    def for_table(self, server: FoldedServer) -> FoldedSession:
        """Return the same session, its counters and keys, for queries of another table."""
        other = copy(self)
        other._server, other._layout, other._middle = server, server.layout, server.middle
        return other

    def answer_each(self, bodies: Sequence[bytes], tables: Iterable[Table]) -> Iterator[ServerAnswer]:
        """Answer queries of which each is for a table of its own, as many in an answer as share one a.

        Raises
        ------
        ProtocolError
            If a query is not of these parameters, or its counter is not to be used.
        """
        return self._answers(self._results_of_each(self._read(bodies), tables))

    @property
    def at_once(self) -> int:
        """Queries that are in work at the same time."""
        return queries_at_once(self.meter.threads.count)

    def _check_fresh(self, counters: Sequence[int]) -> None:
        fresh = [counter for counter in counters if counter not in self._prepared]
        if len(set(counters)) != len(counters) or not all(counter in self._fresh for counter in fresh):
            raise ProtocolError(
                "query repeats a counter: two queries under one would show the difference of their tokens"
            )

    def _use(self, counters: Sequence[int]) -> None:
        self._check_fresh(counters)
        self._fresh.use([counter for counter in counters if counter not in self._prepared])

    def _results_of_each(self, queries: Sequence[Query], tables: Iterable[Table]) -> Iterator[NDArray[np.uint64]]:
        """Yield the folded ciphertexts of queries of which each is for a table of its own, flooded."""
        rooms = [Room.of(self._server, 1) for _ in range(min(self.at_once, len(queries)))]

        def result(meter: Meter, item: tuple[Query, Table, Room]) -> NDArray[np.uint64]:
            query, table, room = item
            return next(self.beside(meter)._folded([query], room, table))

        pairs = zip(queries, tables, strict=True)
        items = ((query, table, room) for (query, table), room in zip(pairs, cycle(rooms), strict=False))
        while together := list(islice(items, self.at_once)):
            yield from self.meter.side_by_side(result, together)

    def _results(self, queries: Sequence[Query]) -> Iterator[NDArray[np.uint64]]:
        """Yield the folded ciphertexts (blocks, 2, limbs, N), from what was prepared for a query if anything was."""
        unprepared = self._unprepared([query for query in queries if query.counter not in self._prepared])
        for query in queries:
            prepared = self._prepared.pop(query.counter, None)
            yield next(unprepared) if prepared is None else self._flood(self._prepared_product(query, prepared))

    def _rounds(self, items: Sequence[Item]) -> Iterator[tuple[Sequence[Item], Room]]:
        """Yield what one pass over the table serves together, as evenly as may be, with room for it."""
        count = -(-len(items) // self._server.tokens_together)
        room: Room | None = None
        for k in range(count):
            together = items[k * len(items) // count : (k + 1) * len(items) // count]
            if room is None or len(room.columns) != len(together):
                room = Room.of(self._server, len(together), self.at_once)
            yield together, room

    def _multiply(self, counters: Sequence[int], constants: NDArray[np.uint64], room: Room, table: Table) -> None:
        """Fill room with columns of coefficients, and with leaves of the encrypted bits, which lack their constants.

        Parameters
        ----------
        constants : N*b of the selectors, (tokens, d1, limbs)
        """
        server = self._server
        p, ring, threads = server.parameters, server.ring, self.meter.threads

        def expanded(meter: Meter, item: tuple[int, int, NDArray[np.uint64]]) -> None:
            token, counter, leaves = item
            with meter.counting("expand") as switched:
                a = expand_seed(self._seed, LABELS.query, counter, ring)
                expand(a, self._keys.expansion, p, ring, leaves, switched, meter.threads)
            selectors = self._dropped(leaves[: p.selectors], meter)
            with meter.counting("table pass"):
                room.selectors.put(token, selectors, constants[token], meter.threads)
            with meter.counting("square"):
                room.bits[token] = leaves[p.selectors :].reshape(room.bits.shape[1:])

        items = zip(range(len(counters)), counters, cycle(room.leaves), strict=False)
        while together := list(islice(items, len(room.leaves))):
            self.meter.side_by_side(expanded, together)
        with self.meter.counting("table pass") as products:
            server.result_ring.invert(table.products(room.selectors, room.columns, products, threads), threads)

    def _rows(self, bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the rows of encrypted bits, (bits, 2 * digits, 2, limbs, N), of leaves (bits, digits, 2, limbs, N).

        Rows have the limbs of the pass, leaves all of them.
        """
        with self.meter.counting("square") as squared:
            rows = bit_rows(bits, self._keys.square, self._server.ring, squared, self.meter.threads)
        return self._dropped(rows, self.meter)

    def _dropped(self, values: NDArray[np.uint64], meter: Meter) -> NDArray[np.uint64]:
        """Return polynomials in evaluation form rounded to the limbs of the pass, if they have more."""
        server = self._server
        if not server.parameters.drops_limbs:
            return values
        with meter.counting("drop limbs") as dropped:
            return drop_limbs_of_values(values, server.ring, server.parameters.pass_limbs, dropped, meter.threads)

    def _unprepared(self, queries: Sequence[Query]) -> Iterator[NDArray[np.uint64]]:
        """Yield the folded ciphertexts (blocks, 2, limbs, N) of coefficients of queries not prepared for, flooded."""
        for together, room in self._rounds(queries):
            yield from self._folded(together, room, self._server.table)

    def _folded(self, queries: Sequence[Query], room: Room, table: Table) -> Iterator[NDArray[np.uint64]]:
        """Yield the folded ciphertexts of queries that one pass over a table serves together, flooded."""
        (selectors, _), ring = self._server.layout.query_parts, self._server.result_ring
        with self.meter.counting("add query") as added:
            restored = [restore(query.values[0], ring, selectors.bits, added) for query in queries]
        self._multiply([query.counter for query in queries], np.stack(restored), room, table)

        def fold(meter: Meter, item: tuple[NDArray[np.uint64], NDArray[np.uint64], Query]) -> NDArray[np.uint64]:
            session, (columns, bits, query) = self.beside(meter), item
            return session._flood(session._fold(columns, session._rows(bits), query))

        items = zip(room.columns, room.bits, queries, strict=True)
        while together := list(islice(items, self.at_once)):
            yield from self.meter.side_by_side(fold, together)

    def _prepared_product(self, query: Query, prepared: Prepared) -> NDArray[np.uint64]:
        """Return the folded ciphertext of a query that was prepared for, which is used up."""
        (selectors, _), table = self._server.layout.query_parts, self._server.table
        with self.meter.counting("scalar product") as products:
            table.add_scalar_products(query.values[0], selectors.bits, prepared.columns, products, self.meter.threads)
        return self._fold(prepared.columns, prepared.rows, query)

    def _fold(self, columns: NDArray[np.uint64], rows: NDArray[np.uint64], query: Query) -> NDArray[np.uint64]:
        """Return the folded ciphertext, (blocks, 2, limbs, N); columns and rows are used up."""
        p, ring, threads = self._server.parameters, self._server.result_ring, self.meter.threads
        with self.meter.counting("add query") as added:
            constants = restore(query.values[1], ring, p.fold_bits, added)
            add_bit_constants(rows, constants.reshape(p.fold_levels, p.fold.digits, ring.limbs), ring)
        with self.meter.counting("fold") as folds:
            bits = [Bit(ring, bit, p.fold) for bit in rows]
            folded = []
            for block in range(p.blocks):
                nodes = columns[block * p.columns : (block + 1) * p.columns]
                for level, bit in enumerate(bits[: p.column_levels]):
                    bit.fold_pairs(nodes, 1 << level, threads)
                node = nodes[:1]
                for level, bit in enumerate(bits[p.column_levels :]):
                    node = bit.fold_slots(node, 1 << level)
                folded.append(node[0])
            folds.add(sum(bit.folds for bit in bits))
            return np.stack(folded)
