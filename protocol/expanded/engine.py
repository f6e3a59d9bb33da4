"""Expanded queries as engines.

Seeds are not announced: a session's seed comes with its keys and every query takes the next counter, so that of what is
to be prepared the first counter is said, and the server's word that it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import COUNTER_BYTES, Expanded
from costmodel.parameters import Configuration
from costmodel.systems import completed
from protocol.elements import middle_element
from protocol.engine import (
    NOTHING,
    ClientEngine,
    Engine,
    Progress,
    ServerEngine,
    ServerSession,
    Shape,
    Shapes,
    Shares,
    root_mean_square_bits,
)
from protocol.errors import ProtocolError
from protocol.expanded.client import ExpandedClient
from protocol.expanded.layout import Parameters
from protocol.expanded.parameters import parameters_of
from protocol.expanded.server import ExpandedServer, ExpandedSession
from protocol.meter import Meter
from protocol.residue.rounding import compile_dropping
from protocol.residue.sampling import check_noise
from protocol.residue.shared_switch import compile_switch, kept_bytes
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

NOISE_SAMPLE_ANSWERS = 8
"""Answers of a session whose noise the client can measure afterwards."""

MOST_COUNTERS = 1 << 63
"""No session comes near it."""

SMALL_COEFFICIENTS = 8
"""Packed coefficients of a row of the table that kernels are compiled by."""


@dataclass(frozen=True)
class Family(Generic[Parameters]):
    """An expanded query.

    Attributes
    ----------
    parameters : their class
    client, server : how its parties are made
    kept_bytes : memory of a session besides both halves of every row of its keys
    prepared_bytes : memory of a prepared query
    small_rows : rows of the table by whose lookup its kernels are compiled
    """

    parameters: type[Parameters]
    client: Callable[[Parameters, SeedRecord, Meter], ExpandedClient[Parameters]]
    server: Callable[[Parameters, NDArray[np.integer], int, Meter], ExpandedServer[Parameters, ExpandedSession]]
    kept_bytes: Callable[[Parameters], int]
    prepared_bytes: Callable[[Parameters], int]
    small_rows: Callable[[Configuration], int]

    def shapes(self, parameters: Parameters, tokens: int, prepared: bool) -> Shapes:
        """Return the lengths of every message."""
        p, halves = parameters, key_memory_bytes(parameters)
        return Shapes(
            keys=Shape(1, p.key_bytes),
            announcement=Shape(1, COUNTER_BYTES) if prepared else NOTHING,
            first_halves=Shape(1, 0) if prepared else NOTHING,
            query=Shape(tokens, p.query_bytes),
            answer=Shape(-(-tokens // p.answer_tokens), p.answer_bytes),
            kept_bytes=halves + self.kept_bytes(p),
            prepared_bytes=tokens * self.prepared_bytes(p) if prepared else 0,
        )


def key_memory_bytes(parameters: Expanded) -> int:
    """Memory of both halves of every row of a client's keys."""
    p = parameters
    rows = sum(rows * limbs for rows, limbs in p.key_groups)
    return 2 * 8 * p.degree * rows + kept_bytes(p.shared_answer)


class ExpandedClientEngine:
    """The client's kernels; the secret key lives and dies here."""

    def __init__(
        self, client: ExpandedClient[Any], shapes: Callable[[int, bool], Shapes], tokens: int, prepared: bool
    ) -> None:
        self.shapes = shapes(tokens, prepared)
        self._shapes = shapes
        self._client = client
        self._counters: range | None = None
        self._sample: list[bytes] = []

    def lookup(self, tokens: int, prepared: bool) -> ExpandedClientEngine:
        """Kernels for one more lookup; the session's counters go on."""
        other = ExpandedClientEngine(self._client, self._shapes, tokens, prepared)
        other._sample = self._sample
        return other

    def keys(self) -> Iterator[bytes]:
        """All keys in one message, with the seed of all queries."""
        yield self._client.keys()

    def announce(self) -> Iterator[bytes]:
        """The first of the counters that are set aside for these queries, where they are prepared."""
        if self.shapes.announcement.frames:
            self._counters = self._client.set_aside(self.shapes.query.frames)
            yield self._counters.start.to_bytes(COUNTER_BYTES, "little")

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """The server's word that it is prepared, where anything can be."""
        list(frames)

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """A query a token."""
        counters = self._counters or self._client.set_aside(len(tokens))
        self._counters = None
        return (self._client.query_under(counter, token) for counter, token in zip(counters, tokens, strict=True))

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares; the last answer may be of fewer tokens than it has room for."""
        arriving = iter(frames)
        rows = []
        for _ in range(self.shapes.answer.frames):
            answer = next(arriving)
            rows.append(self._client.decrypt_rows(answer).astype(np.int64))
            if len(self._sample) < NOISE_SAMPLE_ANSWERS:
                self._sample.append(answer)
        return np.concatenate(rows)[: self.shapes.query.frames]

    def noise_bits(self) -> float:
        """log2 of the root mean square error over the coefficients of some rows, as a fraction of q/t."""
        return root_mean_square_bits([self._client.relative_errors(answer) for answer in self._sample])


class ExpandedServerEngine(Generic[Parameters]):
    """The server's kernels; the table lives here, and no secret key ever does."""

    def __init__(
        self, family: Family[Parameters], configuration: Configuration, coefficients: UnsignedArray, meter: Meter
    ) -> None:
        self._family = family
        self._prepared = configuration.prepared
        self._parameters = parameters_of(configuration, family.parameters)
        middle = middle_element(configuration.packing.field_moduli)
        self._server = family.server(self._parameters, coefficients, middle, meter)

    @property
    def tokens_together(self) -> int:
        """Queries that one pass over the table serves."""
        return self._server.tokens_together

    @tokens_together.setter
    def tokens_together(self, tokens: int) -> None:
        self._server.tokens_together = tokens

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory of a lookup while it is computed; see :class:`protocol.engine.ServerEngine`."""
        return self._server.working_bytes(tokens, threads)

    def session(self, tokens: int, meter: Meter) -> ServerSession:
        """Kernels for one client that looks so many rows up together."""
        shapes = partial(self._family.shapes, self._parameters)
        return ExpandedSessionEngine(self._server, shapes, tokens, self._prepared, meter)


class ExpandedSessionEngine:
    """One client's keys and queries."""

    def __init__(
        self,
        server: ExpandedServer[Any, ExpandedSession],
        shapes: Callable[[int, bool], Shapes],
        tokens: int,
        prepared: bool,
        meter: Meter,
    ) -> None:
        self.shapes = shapes(tokens, prepared)
        self._shapes = shapes
        self._server = server
        self._meter = meter
        self._session: ExpandedSession | None = None

    def lookup(self, tokens: int, prepared: bool) -> ExpandedSessionEngine:
        """Kernels for one more lookup, of the same session."""
        other = ExpandedSessionEngine(self._server, self._shapes, tokens, prepared, self._meter)
        other._session = self._opened().lookup()
        return other

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Read and check the client's keys."""
        (frame,) = frames
        self._session = self._server.open(frame, self._meter)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Everything on the a of the queries to come, if they are prepared; an empty frame says that it is done."""
        if self.shapes.first_halves.frames:
            (frame,) = frames
            first = int.from_bytes(frame, "little")
            if first >= MOST_COUNTERS:
                raise ProtocolError(f"announcement begins at counter {first}; counters are below {MOST_COUNTERS}")
            self._opened().prepare_many(range(first, first + self.shapes.query.frames))
            yield b""

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """An answer to as many tokens as share one a."""
        done = 0
        for body, found in self._opened().answer_many(frames):
            shares[done : done + len(found)] = found
            done += len(found)
            yield body

    def _opened(self) -> ExpandedSession:
        if self._session is None:
            raise ProtocolError("a query came before the keys")
        return self._session


MakeServer = Callable[[Configuration, UnsignedArray, Meter], ServerEngine]
MakeClient = Callable[[Configuration, int, Meter, SeedRecord], ClientEngine]


def engine_of(family: Family[Parameters]) -> Engine[ServerEngine, ClientEngine]:
    """Return the engine of an expanded query."""

    def make_server(configuration: Configuration, coefficients: UnsignedArray, meter: Meter) -> ServerEngine:
        return ExpandedServerEngine(family, configuration, coefficients, meter)

    def make_client(configuration: Configuration, tokens: int, meter: Meter, seeds: SeedRecord) -> ClientEngine:
        parameters = parameters_of(configuration, family.parameters)
        shapes = partial(family.shapes, parameters)
        return ExpandedClientEngine(family.client(parameters, seeds, meter), shapes, tokens, configuration.prepared)

    return compiling_engine(make_server, make_client, family.small_rows)


def compiling_engine(
    make_server: MakeServer, make_client: MakeClient, small_rows: Callable[[Configuration], int]
) -> Engine[ServerEngine, ClientEngine]:
    """Return an engine that compiles its kernels, by a lookup in a table of so many rows, before a party is made."""

    @lru_cache(maxsize=64)
    def warm_up(configuration: Configuration) -> None:
        """Compile or load every kernel that a configuration uses."""
        rows = min(small_rows(configuration), configuration.table.rows)
        channels = len(configuration.packing.widths) * SMALL_COEFFICIENTS
        small = configuration.updated(table=replace(configuration.table, rows=rows, channels=channels, tokens=1))
        small = completed(small)
        meter, table = Meter("client"), np.zeros((rows, SMALL_COEFFICIENTS), dtype=np.uint16)
        server = make_server(small, table, meter).session(1, meter)
        client = make_client(small, 1, meter, SeedRecord())
        server.accept_keys(list(client.keys()))
        client.accept_first_halves(server.prepare(list(client.announce())))
        shares = np.empty((1, SMALL_COEFFICIENTS), dtype=np.int64)
        client.decrypt(server.answer(list(client.encrypt([rows - 1])), shares))
        compile_switch()
        compile_dropping()

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
