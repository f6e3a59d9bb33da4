"""The server of an expanded query: a table, and for every client a session that answers its queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import islice
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from protocol.engine import Frame
from protocol.errors import ProtocolError
from protocol.expanded.answers import compress, flood
from protocol.expanded.context import query_ring
from protocol.expanded.keys import Labels, QueryKeys
from protocol.expanded.layout import ExpandedLayout, Parameters
from protocol.expanded.messages import KeyHalves, Query, decode_keys, decode_query, encode_answer
from protocol.meter import Meter, Tally
from protocol.seeds import RecentSeeds, SeedReused

TOKENS_TOGETHER = 16
"""Queries that one pass over the table serves at most: their selectors take some 4 to 30 MB each."""

Own = TypeVar("Own", bound="ExpandedSession")
Session = TypeVar("Session", bound="ExpandedSession", covariant=True)


class ServerAnswer(NamedTuple):
    """The body of an answer with its polynomials a, and the server's shares modulo t of its rows, (rows, n')."""

    body: Frame
    shares: NDArray[np.uint64]

    @property
    def share(self) -> NDArray[np.uint64]:
        """Of the first row, (n',)."""
        first: NDArray[np.uint64] = self.shares[0]
        return first


class ExpandedServer(ABC, Generic[Parameters, Session]):
    """A table ready for queries.

    Parameters
    ----------
    layout : of the query
    coefficients : packed coefficients of the table, integers (m, n')
    middle : the packed element all of whose channels are at the middle of their levels
    meter : counts what is done

    Attributes
    ----------
    ring : of queries and keys
    result_ring : of the limbs that rows come back modulo
    tokens_together : queries that one pass over the table serves

    Raises
    ------
    ValueError
        If the table does not fit the parameters.
    """

    tokens_together = TOKENS_TOGETHER

    def __init__(
        self,
        layout: ExpandedLayout[Parameters],
        coefficients: NDArray[np.integer],
        middle: int,
        meter: Meter | None,
    ) -> None:
        self.parameters = layout.parameters
        self.layout = layout
        self.middle = middle
        self.meter = meter or Meter("server")
        self.seeds = RecentSeeds()
        self.ring = query_ring(self.parameters)
        self.result_ring = self.ring.first(layout.result_limbs)
        with self.meter.counting("encode table") as encoded:
            self._encode(coefficients, encoded)

    def open(self, keys: bytes, meter: Meter | None = None) -> Session:
        """Return a session for a client's keys.

        Raises
        ------
        ProtocolError
            If the keys are not of these parameters, or their seed was used before.
        """
        halves = decode_keys(self.parameters, self.ring, keys)
        try:
            self.seeds.claim(halves.seed)
        except SeedReused:
            raise ProtocolError("keys repeat a seed: its queries would repeat the a of earlier ones") from None
        return self._session(halves, meter or self.meter)

    @abstractmethod
    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory that so many queries take while they are answered; see :class:`protocol.engine.ServerEngine`."""

    @abstractmethod
    def _encode(self, coefficients: NDArray[np.integer], tally: Tally) -> None:
        """Bring the table into the form that queries meet, every polynomial told to the tally."""

    @abstractmethod
    def _session(self, halves: KeyHalves, meter: Meter) -> Session:
        """Return a session for keys."""


class ExpandedSession(ABC):
    """One client's keys, and its queries so far.

    Parameters
    ----------
    layout : of the query
    ring, result_ring : of queries and keys, and of results
    middle : what the table is short of in every entry
    halves : of the client's keys
    meter : counts what is done
    """

    labels: ClassVar[Labels]

    def __init__(self, server: ExpandedServer[Parameters, Session], halves: KeyHalves, meter: Meter) -> None:
        self.meter = meter
        self._layout: ExpandedLayout[Any] = server.layout
        self._ring, self._result_ring, self._middle = server.ring, server.result_ring, server.middle
        self._seed = halves.seed
        self._public_key: NDArray[np.uint64] | None = None
        with meter.counting("read keys") as read:
            rows, *others = halves.groups
            p: Expanded = server.parameters
            self._keys = QueryKeys.of(p, self._ring, self._seed, self.labels, rows, halves.ring_switch, read)
            self._read_keys(rows, others, read)

    @property
    def seed(self) -> bytes:
        """Of all a of the client's keys and queries; public."""
        return self._seed

    def beside(self: Own, meter: Meter) -> Own:
        """Return the same session, its counters and keys, that counts into another meter."""
        other = copy(self)
        other.meter = meter
        return other

    def lookup(self: Own) -> Own:
        """Return the same session, its counters and keys, for one lookup: what is prepared for it goes with it."""
        return self

    def prepare_many(self, counters: Sequence[int]) -> None:
        """Do everything that needs the a of queries only, before their tokens are known.

        Raises
        ------
        ProtocolError
            If nothing of this query can be prepared.
        """
        raise ProtocolError("encrypted bits meet each other in products; nothing can be prepared")

    def answer(self, body: bytes) -> ServerAnswer:
        """Answer a query; see :meth:`answer_many`."""
        return next(self.answer_many([body]))

    def answer_many(self, bodies: Sequence[bytes]) -> Iterator[ServerAnswer]:
        """Answer several queries, up to 16 of them in one pass over the table, as many in an answer as share one a.

        Raises
        ------
        ProtocolError
            If a query is not of these parameters, or its counter is not to be used.
        """
        return self._answers(self._results(self._read(bodies)))

    def result(self, body: bytes) -> NDArray[np.uint64]:
        """Return the un-switched answer to a query, (count, 2, limbs, N), which any holder of the secret decrypts."""
        return next(self._results(self._read([body])))

    @abstractmethod
    def _read_keys(self, rows: NDArray[np.uint64], others: list[NDArray[np.uint64]], tally: Tally) -> None:
        """Take what keys hold besides those of expansion, square and ring switch; rows modulo Q are tallied."""

    @abstractmethod
    def _use(self, counters: Sequence[int]) -> None:
        """Mark counters as used, or refuse them."""

    @abstractmethod
    def _results(self, queries: Sequence[Query]) -> Iterator[NDArray[np.uint64]]:
        """Yield the ciphertexts (count, 2, limbs, N) of coefficients of every query's row, flooded."""

    def _read(self, bodies: Sequence[bytes]) -> list[Query]:
        queries = [decode_query(self._layout.query_parts, body) for body in bodies]
        self._use([query.counter for query in queries])
        return queries

    def _flood(self, ciphertexts: NDArray[np.uint64]) -> NDArray[np.uint64]:
        if self._public_key is None:
            return ciphertexts
        with self.meter.counting("flood") as flooded:
            flooded.add(len(ciphertexts))
            return flood(self._layout, self._result_ring, ciphertexts, self._public_key)

    def _answers(self, results: Iterator[NDArray[np.uint64]]) -> Iterator[ServerAnswer]:
        while together := list(islice(results, self._layout.parameters.answer_tokens)):
            yield self._finish(np.stack(together))

    def _finish(self, results: NDArray[np.uint64]) -> ServerAnswer:
        with self.meter.counting("compress") as compressed:
            answer, shares = compress(self._layout, self._result_ring, results, self._middle, self._keys.ring_switch)
            compressed.add(len(answer.a))
            body = Frame.of(encode_answer(self._layout.parameters, answer), "ciphertexts", len(answer.a))
            return ServerAnswer(body, shares)


def check_table(parameters: Expanded, coefficients: NDArray[np.integer], middle: int) -> None:
    """Hold a table's packed coefficients to their parameters.

    Raises
    ------
    ValueError
        If the shape is another or a centred coefficient exceeds the parameters' bound.
    """
    p = parameters
    if coefficients.shape != (p.rows, p.row_coefficients):
        raise ValueError(f"table of shape {coefficients.shape}: need {(p.rows, p.row_coefficients)}")
    low, high = int(coefficients.min()) - middle, int(coefficients.max()) - middle
    if max(-low, high) > p.element_bound:
        raise ValueError(f"table has elements of magnitude {max(-low, high)}: need at most {p.element_bound}")
