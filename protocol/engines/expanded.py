"""What engines of expanded queries have in common; the kernels are in :mod:`protocol.folded` and its neighbours.

Seeds are not announced: a session's seed comes with its keys and every query takes the next counter, so that what is
prepared needs no message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from costmodel.expanded.parameters import Expanded
from costmodel.parameters import Configuration
from protocol.engines.base import (
    ClientEngine,
    Engine,
    Progress,
    ServerEngine,
    Shapes,
    Shares,
    root_mean_square_bits,
)
from protocol.errors import ProtocolError
from protocol.expanded.client import ExpandedClient
from protocol.expanded.server import ExpandedServer, ServerAnswer
from protocol.meter import Meter
from protocol.residue.sampling import check_noise
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

NOISE_SAMPLE_ANSWERS = 8
"""Answers of a session whose noise the client can measure afterwards."""

SMALL_COEFFICIENTS = 8
"""Packed coefficients of a row of the table that kernels are compiled by."""


class Session(Protocol):
    """A client's keys at its server."""

    def answer_many(self, bodies: Sequence[bytes]) -> Iterable[ServerAnswer]:
        """Answer several queries."""


AnySession = TypeVar("AnySession", bound=Session)


def halves_bytes(parameters: Expanded) -> int:
    """Memory of both halves of every row of a client's keys."""
    return 2 * 8 * parameters.degree * sum(rows * limbs for rows, limbs in parameters.key_groups)


class ExpandedClientEngine:
    """The client's kernels; the secret key lives and dies here."""

    def __init__(self, client: ExpandedClient[Any], shapes: Shapes) -> None:
        self.shapes = shapes
        self._client = client
        self._sample: list[bytes] = []

    def keys(self) -> Iterator[bytes]:
        """All keys in one message, with the seed of all queries."""
        yield self._client.keys()

    def announce(self) -> Iterator[bytes]:
        """Nothing: the keys carry the seed."""
        return iter(())

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """The server's word that it is prepared, where anything can be."""
        list(frames)

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """A query a token."""
        return (self._client.query(token) for token in tokens)

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares, an answer a token."""
        arriving = iter(frames)
        rows = []
        for _ in range(self.shapes.answer.frames):
            answer = next(arriving)
            rows.append(self._client.decrypt(answer).astype(np.int64))
            if len(self._sample) < NOISE_SAMPLE_ANSWERS:
                self._sample.append(answer)
        return np.stack(rows)

    def noise_bits(self) -> float:
        """log2 of the root mean square error over the coefficients of some rows, as a fraction of q/t."""
        return root_mean_square_bits([self._client.relative_errors(answer) for answer in self._sample])


class ExpandedSessionEngine(Generic[AnySession]):
    """One client's keys and queries, of which none is prepared."""

    def __init__(self, server: ExpandedServer[Any, AnySession], shapes: Shapes, meter: Meter) -> None:
        self.shapes = shapes
        self._server = server
        self._meter = meter
        self._session: AnySession | None = None

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check the client's keys."""
        (frame,) = frames
        self._session = self._server.open(frame, self._meter)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Nothing."""
        return iter(())

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """An answer a token."""
        for answer, row in zip(self._answers(frames), shares, strict=True):
            row[:] = answer.share
            yield answer.body

    def _answers(self, frames: Sequence[bytes]) -> Iterable[ServerAnswer]:
        """With a pass over the table for many."""
        return self._opened().answer_many(frames)

    def _opened(self) -> AnySession:
        if self._session is None:
            raise ProtocolError("a query came before the keys")
        return self._session


def engine_of(
    make_server: Callable[[Configuration, UnsignedArray, Meter], ServerEngine],
    make_client: Callable[[Configuration, int, Meter, SeedRecord], ClientEngine],
    small_rows: Callable[[Configuration], int],
) -> Engine[ServerEngine, ClientEngine]:
    """Return an engine of an expanded query that compiles its kernels before either party is made.

    Parameters
    ----------
    small_rows : of the table by whose lookup they are compiled
    """

    @lru_cache(maxsize=64)
    def warm_up(configuration: Configuration) -> None:
        """Compile or load every kernel that a configuration uses, by a lookup in a small table."""
        rows, channels = small_rows(configuration), len(configuration.packing.widths) * SMALL_COEFFICIENTS
        small = configuration.updated(table=replace(configuration.table, rows=rows, channels=channels, tokens=1))
        meter = Meter("client")
        server = make_server(small, np.zeros((rows, SMALL_COEFFICIENTS), dtype=np.uint16), meter).session(1, meter)
        client = make_client(small, 1, meter, SeedRecord())
        server.accept_keys(list(client.keys()))
        client.accept_first_halves(server.prepare(list(client.announce())))
        shares = np.empty((1, SMALL_COEFFICIENTS), dtype=np.int64)
        client.decrypt(server.answer(list(client.encrypt([1])), shares))

    def server(
        configuration: Configuration, coefficients: UnsignedArray, meter: Meter, _: Progress, allow_insecure: bool
    ) -> ServerEngine:
        check_noise(configuration.ring.sigma)
        warm_up(configuration)
        return make_server(configuration, coefficients, meter)

    def client(
        configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
    ) -> ClientEngine:
        check_noise(configuration.ring.sigma)
        warm_up(configuration)
        return make_client(configuration, tokens, meter, seeds)

    return Engine(server, client)
