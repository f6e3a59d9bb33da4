"""The folded query as an engine; its kernels are in :mod:`protocol.folded`.

Seeds are not announced: a session's seed comes with its keys and every query takes the next counter, so that what is
prepared needs no message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from costmodel.folded_parameters import FoldedParameters
from costmodel.packing import field_moduli
from costmodel.parameters import Configuration
from costmodel.protocols.folded import parameters_of
from protocol.elements import middle_element
from protocol.engines.base import NOTHING, Engine, Progress, Shape, Shapes, Shares, root_mean_square_bits
from protocol.errors import ProtocolError
from protocol.folded.client import FoldedClient
from protocol.folded.server import FoldedServer, FoldedSession
from protocol.meter import Meter
from protocol.residue.sampling import check_noise
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

NOISE_SAMPLE_ANSWERS = 8
"""Answers of a session whose noise the client can measure afterwards."""


def _shapes(parameters: FoldedParameters, tokens: int, prepared: bool) -> Shapes:
    return Shapes(
        keys=Shape(1, parameters.key_bytes),
        announcement=NOTHING,
        first_halves=Shape(1, 0) if prepared else NOTHING,
        query=Shape(tokens, parameters.query_bytes),
        answer=Shape(tokens, parameters.answer_bytes),
        kept_bytes=_kept_bytes(parameters, tokens if prepared else 0),
    )


def _kept_bytes(parameters: FoldedParameters, prepared: int) -> int:
    """Memory of a session's keys, both halves of every row, and of so many prepared queries."""
    p = parameters
    rows = p.key_rows + prepared * (p.blocks * p.columns + 2 * p.fold_levels * p.fold.digits)
    return 2 * 8 * p.limbs * p.degree * rows


class FoldedClientEngine:
    """The client's kernels; the secret key lives and dies here."""

    def __init__(self, configuration: Configuration, tokens: int, meter: Meter, seeds: SeedRecord) -> None:
        parameters = parameters_of(configuration)
        check_noise(parameters.sigma)
        self.shapes = _shapes(parameters, tokens, configuration.prepared)
        self._client = FoldedClient(parameters, meter)
        seeds.claim(self._client.seed)
        self._sample: list[bytes] = []

    def keys(self) -> Iterator[bytes]:
        """Expansion, squaring, ring switching and public keys, with the seed of all queries."""
        yield self._client.keys()

    def announce(self) -> Iterator[bytes]:
        """Nothing: the keys carry the seed."""
        return iter(())

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """The server's word that it is prepared."""
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


class FoldedServerEngine:
    """The server's kernels; the table lives here, and no secret key ever does."""

    def __init__(self, configuration: Configuration, coefficients: UnsignedArray, meter: Meter) -> None:
        self.parameters = parameters_of(configuration)
        check_noise(self.parameters.sigma)
        self.prepared = configuration.prepared
        middle = middle_element(field_moduli(configuration.packing.widths))
        self.server = FoldedServer(self.parameters, coefficients, middle, meter)

    def session(self, tokens: int, meter: Meter) -> FoldedSessionEngine:
        """Kernels for one client that looks so many rows up together."""
        return FoldedSessionEngine(self, tokens, meter)


class FoldedSessionEngine:
    """One client's keys and queries."""

    def __init__(self, engine: FoldedServerEngine, tokens: int, meter: Meter) -> None:
        self.shapes = _shapes(engine.parameters, tokens, engine.prepared)
        self._engine = engine
        self._tokens = tokens
        self._meter = meter
        self._session: FoldedSession | None = None

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check the client's keys."""
        (frame,) = frames
        self._session = self._engine.server.open(frame, self._meter)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Everything on the a of the queries to come; an empty frame says that it is done."""
        self._opened().prepare_many(range(self._tokens))
        yield b""

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """An answer a token: what was prepared one by one, the rest with a pass over the table for many."""
        session = self._opened()
        if self._engine.prepared:
            answers = [session.answer(frame) for frame in frames]
        else:
            answers = session.answer_many(frames)
        for answer, row in zip(answers, shares, strict=True):
            row[:] = answer.share
            yield answer.body

    def _opened(self) -> FoldedSession:
        if self._session is None:
            raise ProtocolError("a query came before the keys")
        return self._session


@lru_cache(maxsize=64)
def warm_up(configuration: Configuration) -> None:
    """Compile or load every kernel that a configuration uses, by a lookup in a small table."""
    fields = len(configuration.packing.widths)
    rows, channels = 64, fields * 8
    small = configuration.updated(table=replace(configuration.table, rows=rows, channels=channels, tokens=1))
    meter = Meter("client")
    server = FoldedServerEngine(small, np.zeros((rows, 8), dtype=np.uint16), meter).session(1, meter)
    client = FoldedClientEngine(small, 1, meter, SeedRecord())
    server.accept_keys(list(client.keys()))
    if configuration.prepared:
        client.accept_first_halves(server.prepare(()))
    client.decrypt(server.answer(list(client.encrypt([1])), np.empty((1, 8), dtype=np.int64)))


def _server(
    configuration: Configuration, coefficients: UnsignedArray, meter: Meter, progress: Progress, allow_insecure: bool
) -> FoldedServerEngine:
    warm_up(configuration)
    return FoldedServerEngine(configuration, coefficients, meter)


def _client(
    configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
) -> FoldedClientEngine:
    warm_up(configuration)
    return FoldedClientEngine(configuration, tokens, meter, seeds)


ENGINE = Engine(_server, _client)
