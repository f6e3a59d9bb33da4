"""The compressed query as an engine; its kernels are in :mod:`protocol.compressed`.

Seeds are not announced: a session's seed comes with its keys and every query takes the next counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from costmodel.compressed_parameters import CompressedParameters
from costmodel.parameters import Configuration
from costmodel.protocols.compressed import parameters_of
from protocol.compressed.client import CompressedClient
from protocol.compressed.server import CompressedServer, CompressedSession
from protocol.elements import middle_element
from protocol.engines.base import NOTHING, Engine, Progress, Shape, Shapes, Shares, root_mean_square_bits
from protocol.errors import ProtocolError
from protocol.meter import Meter
from protocol.residue.sampling import check_noise
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

NOISE_SAMPLE_ANSWERS = 8
"""Answers of a session whose noise the client can measure afterwards."""


def _shapes(parameters: CompressedParameters, tokens: int) -> Shapes:
    return Shapes(
        keys=Shape(1, parameters.key_bytes),
        announcement=NOTHING,
        first_halves=NOTHING,
        query=Shape(tokens, parameters.query_bytes),
        answer=Shape(tokens, parameters.answer_bytes),
    )


class CompressedClientEngine:
    """The client's kernels; the secret key lives and dies here."""

    def __init__(self, configuration: Configuration, tokens: int, meter: Meter, seeds: SeedRecord) -> None:
        parameters = parameters_of(configuration)
        check_noise(configuration.ring.sigma)
        self.shapes = _shapes(parameters, tokens)
        self._client = CompressedClient(parameters, seeds, meter)
        self._sample: list[bytes] = []

    def keys(self) -> Iterator[bytes]:
        """Expansion, squaring, packing, ring switching and public keys, with the seed of all queries."""
        yield self._client.keys()

    def announce(self) -> Iterator[bytes]:
        """Nothing: no query is prepared."""
        return iter(())

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """Nothing."""

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


class CompressedServerEngine:
    """The server's kernels; the table lives here, and no secret key ever does."""

    def __init__(self, configuration: Configuration, coefficients: UnsignedArray, meter: Meter) -> None:
        self.parameters = parameters_of(configuration)
        check_noise(configuration.ring.sigma)
        middle = middle_element(configuration.packing.field_moduli)
        self.server = CompressedServer(self.parameters, coefficients, middle, meter)

    def session(self, tokens: int, meter: Meter) -> CompressedSessionEngine:
        """Kernels for one client that looks so many rows up together."""
        return CompressedSessionEngine(self, tokens, meter)


class CompressedSessionEngine:
    """One client's keys and queries."""

    def __init__(self, engine: CompressedServerEngine, tokens: int, meter: Meter) -> None:
        self.shapes = _shapes(engine.parameters, tokens)
        self._engine = engine
        self._meter = meter
        self._session: CompressedSession | None = None

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check the client's keys."""
        (frame,) = frames
        self._session = self._engine.server.open(frame, self._meter)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Nothing: no query is prepared."""
        return iter(())

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """An answer a token."""
        if self._session is None:
            raise ProtocolError("a query came before the keys")
        for answer, row in zip(self._session.answer_many(frames), shares, strict=True):
            row[:] = answer.share
            yield answer.body


@lru_cache(maxsize=64)
def warm_up(configuration: Configuration) -> None:
    """Compile or load every kernel that a configuration uses, by a lookup in a small table."""
    fields = len(configuration.packing.widths)
    rows, coefficients = configuration.ring.degree + 1, 8
    table = replace(configuration.table, rows=rows, channels=fields * coefficients, tokens=1)
    small = configuration.updated(table=table)
    meter = Meter("client")
    server = CompressedServerEngine(small, np.zeros((rows, coefficients), dtype=np.uint16), meter).session(1, meter)
    client = CompressedClientEngine(small, 1, meter, SeedRecord())
    server.accept_keys(list(client.keys()))
    client.decrypt(server.answer(list(client.encrypt([1])), np.empty((1, coefficients), dtype=np.int64)))


def _server(
    configuration: Configuration, coefficients: UnsignedArray, meter: Meter, progress: Progress, allow_insecure: bool
) -> CompressedServerEngine:
    warm_up(configuration)
    return CompressedServerEngine(configuration, coefficients, meter)


def _client(
    configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
) -> CompressedClientEngine:
    warm_up(configuration)
    return CompressedClientEngine(configuration, tokens, meter, seeds)


ENGINE = Engine(_server, _client)
