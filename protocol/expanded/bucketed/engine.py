"""The bucketed query as an engine: all queries of a prompt are one frame, and answers come as they are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from costmodel.expanded.bucketed.parameters import BucketedParameters
from costmodel.parameters import Configuration
from protocol.elements import middle_element
from protocol.engine import NOTHING, ClientEngine, ServerEngine, Shape, Shapes, Shares, root_mean_square_bits
from protocol.errors import ProtocolError
from protocol.expanded.bucketed.client import Asked, BucketedClient
from protocol.expanded.bucketed.server import BucketedServer, BucketedSession
from protocol.expanded.engine import NOISE_SAMPLE_ANSWERS, compiling_engine, key_memory_bytes
from protocol.expanded.parameters import parameters_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray


def shapes_of(parameters: BucketedParameters, tokens: int) -> Shapes:
    """Return the lengths of every message of a prompt.

    Raises
    ------
    ValueError
        If it is longer than the parameters are for.
    """
    p = parameters
    if tokens > p.prompt:
        raise ValueError(f"there are {tokens} tokens; the buckets are for prompts of up to {p.prompt}")
    placement = 8 * p.hashes * (p.group * p.bucket_rows + p.rows)
    return Shapes(
        keys=Shape(1, p.key_bytes),
        announcement=NOTHING,
        first_halves=NOTHING,
        query=Shape(1, p.queries_bytes(tokens)),
        answer=Shape(p.messages(tokens), p.answer_bytes),
        kept_bytes=key_memory_bytes(p) + placement,
    )


class BucketedClientEngine:
    """The client's kernels; the secret key lives and dies here."""

    def __init__(self, client: BucketedClient, tokens: int) -> None:
        self.shapes = shapes_of(client.parameters, tokens)
        self._client = client
        self._asked: Asked | None = None
        self._sample: list[bytes] = []

    def lookup(self, tokens: int, prepared: bool) -> BucketedClientEngine:
        """Kernels for one more prompt; the session's counters go on, and the placement stays."""
        other = BucketedClientEngine(self._client, tokens)
        other._sample = self._sample
        return other

    def keys(self) -> Iterator[bytes]:
        """All keys in one message, with the seed of all queries and of the placement."""
        yield self._client.keys()

    def announce(self) -> Iterator[bytes]:
        """Nothing."""
        return iter(())

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """Nothing."""

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """The queries of a prompt."""
        self._asked = self._client.ask(tokens)
        yield self._asked.body

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares, in the order of the tokens."""
        if self._asked is None:
            raise ProtocolError("an answer came before the query")
        return self._client.shares(self._asked, self._sampled(frames)).astype(np.int64)

    def noise_bits(self) -> float:
        """log2 of the root mean square error of answers, as many of either stage, as a fraction of q/t."""
        return root_mean_square_bits([self._client.relative_errors(answer) for answer in self._sample])

    def _sampled(self, frames: Iterable[bytes]) -> Iterator[bytes]:
        """The answers of a prompt, of which the last of the first stage and the first of the second are kept."""
        count, buckets = self.shapes.answer.frames, self._client.parameters.messages(0)
        most = min(NOISE_SAMPLE_ANSWERS // 2, buckets, count - buckets)
        arriving = iter(frames)
        for number in range(count):
            answer = next(arriving)
            if buckets - most <= number < buckets + most and len(self._sample) < NOISE_SAMPLE_ANSWERS:
                self._sample.append(answer)
            yield answer


class BucketedServerEngine:
    """The server's kernels; the table lives here, and no secret key ever does."""

    def __init__(self, configuration: Configuration, coefficients: UnsignedArray, meter: Meter) -> None:
        parameters = parameters_of(configuration, BucketedParameters)
        self._server = BucketedServer(
            parameters, coefficients, middle_element(configuration.packing.field_moduli), meter
        )

    @property
    def tokens_together(self) -> int:
        """Queries of the second stage that one pass over its table serves."""
        return self._server.tokens_together

    @tokens_together.setter
    def tokens_together(self, tokens: int) -> None:
        self._server.tokens_together = tokens

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory of a prompt while it is computed; see :class:`protocol.engine.ServerEngine`."""
        return self._server.working_bytes(tokens, threads)

    def session(self, tokens: int, meter: Meter) -> BucketedSessionEngine:
        """Kernels for one client that looks so many rows up together."""
        try:
            shapes = shapes_of(self._server.parameters, tokens)
        except ValueError as error:
            raise ProtocolError(f"hello asks for too much: {error}") from None
        return BucketedSessionEngine(self._server, shapes, meter)


class BucketedSessionEngine:
    """One client's keys and prompts."""

    def __init__(self, server: BucketedServer, shapes: Shapes, meter: Meter) -> None:
        self.shapes = shapes
        self._server = server
        self._meter = meter
        self._session: BucketedSession | None = None

    def lookup(self, tokens: int, prepared: bool) -> BucketedSessionEngine:
        """Kernels for one more prompt, of the same session."""
        other = BucketedSessionEngine(self._server, shapes_of(self._server.parameters, tokens), self._meter)
        other._session = self._session
        return other

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check the client's keys."""
        (frame,) = frames
        self._session = self._server.open(frame, self._meter)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Nothing."""
        return iter(())

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """An answer to as many buckets, then to as many tokens, as share one a."""
        if self._session is None:
            raise ProtocolError("a query came before the keys")
        (body,) = frames
        return self._session.answer(body, shares)


def _make_server(configuration: Configuration, coefficients: UnsignedArray, meter: Meter) -> ServerEngine:
    return BucketedServerEngine(configuration, coefficients, meter)


def _make_client(configuration: Configuration, tokens: int, meter: Meter, seeds: SeedRecord) -> ClientEngine:
    parameters = parameters_of(configuration, BucketedParameters)
    return BucketedClientEngine(BucketedClient(parameters, seeds, meter), tokens)


ENGINE = compiling_engine(_make_server, _make_client, small_rows=lambda configuration: 64)
