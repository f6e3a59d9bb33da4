"""The client of the bucketed query: a prompt becomes queries of all buckets, and of a bucket's share a token."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.bucketed.parameters import BucketedParameters
from protocol.engine import Frame
from protocol.expanded.bucketed.placement import EMPTY, IntArray, Placement
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.folded.layout import FoldedLayout
from protocol.meter import Meter
from protocol.seeds import SeedRecord


class Unplaced(UserWarning):
    """Tokens of a prompt found no bucket: their shares are of other rows, with the probability that is stated."""


class Asked(NamedTuple):
    """A prompt on its way: the body of its queries, and the bucket that every token is looked up in."""

    body: Frame
    bucket: IntArray


class BucketedClient:
    """One client of the bucketed query: one secret, one seed and one counter for both stages.

    Parameters
    ----------
    parameters : of the query
    seeds : record that the seed is entered in
    meter : counts what is done

    Raises
    ------
    ValueError
        If OpenFHE refuses a ring.
    """

    def __init__(
        self, parameters: BucketedParameters, seeds: SeedRecord | None = None, meter: Meter | None = None
    ) -> None:
        self.parameters = parameters
        self._bucket = FoldedClient(parameters.bucket, seeds, meter)
        self._relookup = self._bucket.for_table(FoldedLayout(parameters.relookup))
        self.placement = Placement.of(parameters, self._bucket.seed)

    def keys(self) -> Frame:
        """Return the body of the keys' message, which both stages share."""
        return self._bucket.keys()

    def ask(self, tokens: Sequence[int]) -> Asked:
        """Return the queries of a prompt, as many and as long for all prompts of so many tokens.

        Tokens that find no bucket are looked up in another's.

        Raises
        ------
        ValueError
            If a token is outside the vocabulary, or there are more than a prompt has; no value is in the message.
        """
        p, count = self.parameters, len(tokens)
        if not 1 <= count <= p.prompt:
            raise ValueError(f"there are {count} tokens; a prompt has 1 to {p.prompt}")
        asked = np.asarray(tokens, dtype=np.int64)
        if asked.min() < 0 or asked.max() >= p.rows:
            raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {p.rows - 1}")
        distinct, position = np.unique(asked, return_inverse=True)
        bucket = self.placement.placed(distinct)
        rows = [0] * p.buckets
        for token, where in zip(distinct.tolist(), bucket.tolist(), strict=True):
            if where != EMPTY:
                rows[where] = self.placement.place_in(where, token)
        looked_up = bucket[position.reshape(-1)]
        shares = np.maximum(looked_up, 0)
        counters = iter(self._bucket.set_aside(p.buckets + count))
        queries = [self._bucket.query_under(next(counters), row) for row in rows]
        queries += [self._relookup.query_under(next(counters), share) for share in shares.tolist()]
        return Asked(Frame.of(b"".join(queries), "ciphertexts", len(queries)), looked_up)

    def shares(self, asked: Asked, answers: Iterable[bytes]) -> NDArray[np.uint64]:
        """Return the client's shares modulo t of the rows of a prompt, (tokens, n'), from all of its answers.

        Warns
        -----
        Unplaced
            If tokens found no bucket; the server sees nothing of it.

        Raises
        ------
        ProtocolError
            If an answer is not of these parameters.
        """
        p, arriving, count = self.parameters, iter(answers), len(asked.bucket)
        buckets = self._rows(arriving, p.buckets)
        positions = self._rows(arriving, count)
        unplaced = np.count_nonzero(asked.bucket == EMPTY)
        if unplaced:
            warnings.warn(f"{unplaced} tokens found no bucket; their shares are of other rows", Unplaced, stacklevel=2)
        t = np.uint64(p.plaintext_modulus)
        shares: NDArray[np.uint64] = (buckets[np.maximum(asked.bucket, 0)] + positions) % t
        return shares

    def relative_errors(self, answer: bytes) -> NDArray[np.float64]:
        """Return the errors of an answer of either stage; see :class:`protocol.expanded.client.ExpandedClient`."""
        return self._bucket.relative_errors(answer)

    def _rows(self, answers: Iterable[bytes], count: int) -> NDArray[np.uint64]:
        """Return the client's shares of so many rows of a stage, (count, n')."""
        each = self.parameters.answer_tokens
        rows = [self._bucket.decrypt_rows(answer) for answer in islice(answers, -(-count // each))]
        return np.concatenate(rows)[:count]
