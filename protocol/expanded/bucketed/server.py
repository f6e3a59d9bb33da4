"""The server of the bucketed query: all buckets of its table first, then its own shares of them as a table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.bucketed.parameters import BucketedParameters
from protocol.engine import Frame
from protocol.errors import ProtocolError
from protocol.expanded.bucketed.placement import Placement
from protocol.expanded.bucketed.rows import Bucket, Rows
from protocol.expanded.folded.server import FoldedServer, FoldedSession, queries_at_once, working_bytes
from protocol.expanded.server import TOKENS_TOGETHER, ServerAnswer, check_table
from protocol.meter import Meter, Tally


class BucketServer(FoldedServer):
    """A table ready for queries of any of its buckets.

    Attributes
    ----------
    rows : of the table
    """

    rows: Rows

    def _encode(self, coefficients: NDArray[np.integer], tally: Tally) -> None:
        self.rows = Rows(self.parameters, self.result_ring, coefficients, self.middle, tally)


class BucketedServer:
    """A table ready for bucketed queries.

    Parameters
    ----------
    parameters : of the query
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
        parameters: BucketedParameters,
        coefficients: NDArray[np.integer],
        middle: int = 0,
        meter: Meter | None = None,
    ) -> None:
        check_table(parameters, coefficients, middle)
        self.parameters = parameters
        self.tokens_together = TOKENS_TOGETHER
        self._buckets = BucketServer(parameters.bucket, coefficients, middle, meter)

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory of a prompt of so many tokens while it is answered.

        The polynomials of the buckets that are in work at the same time, the server's shares of all buckets, and the
        queries of whichever stage takes more; those of the second with the table of the shares.
        """
        p, at_once = self.parameters, queries_at_once(threads)
        polynomials = 8 * p.bucket.pass_limbs * p.degree * p.bucket.blocks * p.bucket.columns * p.bucket.selectors
        shares = 8 * p.buckets * p.row_coefficients
        first = min(p.buckets, at_once) * working_bytes(p.bucket, 1, 1)
        again = p.relookup
        scalars = again.blocks * again.columns * again.selectors * again.degree
        table = (2 + 8 * again.limbs) * scalars + 4 * 8 * again.limbs * again.degree * again.selectors
        second = table + working_bytes(again, min(tokens, self.tokens_together), threads)
        return at_once * polynomials + 2 * shares + max(first, second)

    def open(self, keys: bytes, meter: Meter | None = None) -> BucketedSession:
        """Return a session for a client's keys, whose seed places the rows.

        Raises
        ------
        ProtocolError
            If the keys are not of these parameters, or their seed was used before.
        """
        return BucketedSession(self, self._buckets.rows, self._buckets.open(keys, meter))


class BucketedSession:
    """One client's keys, and the placement of the rows that its seed gives.

    Parameters
    ----------
    server : of the query
    rows : of the table
    buckets : the client's session for queries of buckets
    """

    def __init__(self, server: BucketedServer, rows: Rows, buckets: FoldedSession) -> None:
        self.parameters = parameters = server.parameters
        self._server = server
        self._rows = rows
        self._buckets = buckets
        self._placement = Placement.of(parameters, buckets.seed)

    def answer(self, body: bytes, shares: NDArray[np.int64]) -> Iterator[Frame]:
        """Answer the queries of a prompt: those of all buckets, then one a token.

        Parameters
        ----------
        body : of all queries
        shares : room for the server's shares modulo t of the rows of the prompt, (tokens, n')

        Raises
        ------
        ProtocolError
            If a query is not of these parameters, or its counter is not to be used.
        """
        p, tokens = self.parameters, len(shares)
        if len(body) != p.queries_bytes(tokens):
            raise ProtocolError(f"queries of {len(body)} bytes; those of {tokens} tokens are {p.queries_bytes(tokens)}")
        split = p.buckets * p.bucket.query_bytes
        masks = np.empty((p.buckets, p.row_coefficients), dtype=np.int64)
        rooms = cycle([self._rows.new_room() for _ in range(self._buckets.at_once)])
        tables = (Bucket(self._rows, rows, room) for rows, room in zip(self._placement.buckets, rooms, strict=False))
        queries = _cut(body[:split], p.bucket.query_bytes)
        yield from _written(self._buckets.answer_each(queries, tables), masks)
        server = FoldedServer(p.relookup, masks, p.plaintext_modulus // 2, self._buckets.meter)
        server.tokens_together = self._server.tokens_together
        queries = _cut(body[split:], p.relookup.query_bytes)
        yield from _written(self._buckets.for_table(server).answer_many(queries), shares)


def _cut(body: bytes, length: int) -> list[bytes]:
    return [body[start : start + length] for start in range(0, len(body), length)]


def _written(answers: Iterator[ServerAnswer], shares: NDArray[np.int64]) -> Iterator[Frame]:
    """Yield the bodies of answers, their shares written to ``shares`` in order."""
    done = 0
    for body, found in answers:
        shares[done : done + len(found)] = found
        done += len(found)
        yield body
