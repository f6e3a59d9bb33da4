"""Delphi's split around any product: encrypted on random vectors before the tokens are known, the rest in the clear.

Offline the client encrypts a random r for every token and both parties end with shares of W r. Online it sends x - r
modulo t, from which the server learns nothing, and the server adds W (x - r) to its share. Each r is used once. The
messages are those of a prepared query: the encrypted vectors announce it, and its first halves are the answers to them.

References
----------
.. [1] Mishra, Lehmkuhl, Srinivasan, Zheng, Popa. Delphi. USENIX Security 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Configuration
from protocol.engine import (
    NOTHING,
    ClientEngine,
    Engine,
    Frame,
    Progress,
    ServerEngine,
    ServerSession,
    Shape,
    Shapes,
    Shares,
)
from protocol.errors import ProtocolError
from protocol.meter import Meter
from protocol.randomness import sample_uniform
from protocol.residue.bits import pack_bits, packed_bytes, unpack_bits
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

IntArray = NDArray[np.int64]

ROW_CHUNK_BITS = 8
WORD_BITS = 62
VECTOR_COPIES = 6
"""Of masked vectors while they are unpacked and multiplied, in words of 8 bytes."""
TOKENS_TOGETHER = 8
"""Vectors that are unpacked together: of any width, so many begin and end at whole bytes."""


class VectorClient(ClientEngine, Protocol):
    """A client engine that encrypts any vectors."""

    def lookup(self, tokens: int, prepared: bool) -> VectorClient:
        """Kernels for one more lookup."""

    def encrypt_vectors(self, vectors: IntArray) -> Iterator[bytes]:
        """The query whose rows are vectors modulo t, (tokens, m)."""


class TableServer(ServerEngine, Protocol):
    """A server engine that says which table it multiplies by: the packed one less ``middle`` everywhere."""

    middle: int


def _warm_up() -> None:
    """Compile or load the kernels that pack bits."""
    unpack_bits(pack_bits(np.ones(2, dtype=np.uint64), 3), 2, 3)


def around(engine: Engine[TableServer, VectorClient]) -> Engine[DelphiServer, DelphiClient]:
    """The split of an engine's product."""

    def server(
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> DelphiServer:
        product = engine.server(configuration, coefficients, meter, progress, allow_insecure)
        return DelphiServer(product, configuration, coefficients)

    def client(
        configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
    ) -> DelphiClient:
        product = engine.client(configuration, tokens, meter, allow_insecure, seeds)
        return DelphiClient(product, configuration, tokens, meter)

    return Engine(server, client)


def split_shapes(inner: Shapes, configuration: Configuration, tokens: int) -> Shapes:
    """Messages of the split, from those of the product."""
    bits = (configuration.ring.plaintext_modulus - 1).bit_length()
    table = configuration.table
    masked = Shape(1, packed_bytes(tokens * table.rows, bits))
    shares = 8 * tokens * -(-table.channels // len(configuration.packing.widths))
    return replace(
        inner,
        announcement=inner.query,
        first_halves=inner.answer,
        query=masked,
        answer=NOTHING,
        prepared_bytes=inner.prepared_bytes + shares,
    )


class DelphiClient:
    """The client's side around an engine's."""

    def __init__(self, engine: VectorClient, configuration: Configuration, tokens: int, meter: Meter) -> None:
        _warm_up()
        self.shapes = split_shapes(engine.shapes, configuration, tokens)
        self._engine = engine
        self._configuration = configuration
        self._modulus = configuration.ring.plaintext_modulus
        self._shape = (tokens, configuration.table.rows)
        self._meter = meter
        self._vectors: IntArray | None = None
        self._shares: Shares | None = None

    def lookup(self, tokens: int, prepared: bool) -> DelphiClient:
        """Kernels for one more lookup, with random vectors of its own."""
        return DelphiClient(self._engine.lookup(tokens, False), self._configuration, tokens, self._meter)

    def keys(self) -> Iterator[bytes]:
        """Those of the engine."""
        return self._engine.keys()

    def announce(self) -> Iterator[bytes]:
        """Encryptions of fresh random vectors."""
        drawn = sample_uniform(self._modulus, self._shape[0] * self._shape[1])
        self._vectors = drawn.astype(np.int64).reshape(self._shape)
        return self._engine.encrypt_vectors(self._vectors)

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """The shares of their products with the table."""
        self._shares = self._engine.decrypt(frames)

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """The one-hot rows less the random vectors, in the clear; these are gone afterwards.

        Raises
        ------
        RuntimeError
            If the vectors were used before.
        """
        vectors, self._vectors = self._vectors, None
        if vectors is None:
            raise RuntimeError("the random vectors of a query are used once")
        with self._meter.counting("mask query") as counted:
            masked = (-vectors) % self._modulus
            for row, token in zip(masked, tokens, strict=True):
                row[token] = (row[token] + 1) % self._modulus
                counted.add()
            packed = pack_bits(masked.reshape(-1).astype(np.uint64), (self._modulus - 1).bit_length())
        yield Frame.of(packed, "vectors", int(counted.count))

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The shares that were decrypted offline; nothing more comes."""
        shares, self._shares = self._shares, None
        if shares is None or any(True for _ in frames):
            raise RuntimeError("the shares of a query are opened once")
        return shares

    def noise_bits(self) -> float:
        """That of the answers to the random vectors."""
        return self._engine.noise_bits()


class DelphiServer:
    """The server's side around an engine's, with the table in the clear beside it, shape (m, n')."""

    def __init__(self, engine: TableServer, configuration: Configuration, coefficients: UnsignedArray) -> None:
        _warm_up()
        self.engine = engine
        self.configuration = configuration
        self.coefficients = coefficients

    @property
    def tokens_together(self) -> int:
        """Of the engine."""
        return self.engine.tokens_together

    @tokens_together.setter
    def tokens_together(self, tokens: int) -> None:
        self.engine.tokens_together = tokens

    def working_bytes(self, tokens: int, threads: int) -> int:
        """That of the engine, or of some masked vectors and a few rows of the table in words, which is far less."""
        rows, columns = self.coefficients.shape
        plain = 8 * (VECTOR_COPIES * TOKENS_TOGETHER * rows + 2 * (1 << ROW_CHUNK_BITS) * columns)
        return max(plain, self.engine.working_bytes(tokens, threads))

    def session(self, tokens: int, meter: Meter) -> DelphiSession:
        """Kernels for one client that looks so many rows up together."""
        return DelphiSession(self, self.engine.session(tokens, meter), tokens, meter)


class DelphiSession:
    """One client's products, encrypted and plain."""

    def __init__(self, server: DelphiServer, engine: ServerSession, tokens: int, meter: Meter) -> None:
        self.shapes = split_shapes(engine.shapes, server.configuration, tokens)
        self._server = server
        self._engine = engine
        self._tokens = tokens
        self._meter = meter
        self._shares: Shares | None = None

    def lookup(self, tokens: int, prepared: bool) -> DelphiSession:
        """Kernels for one more lookup, with shares of its own."""
        return DelphiSession(self._server, self._engine.lookup(tokens, False), tokens, self._meter)

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Those of the engine."""
        self._engine.accept_keys(frames)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Answer the encrypted vectors, and keep the shares of the answers."""
        shares = np.empty((self._tokens, self._server.coefficients.shape[1]), dtype=np.int64)
        yield from self._engine.answer(frames, shares)
        self._shares = shares

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """Nothing is sent; the shares of the rows are those kept and the table times what was sent in the clear.

        Raises
        ------
        ProtocolError
            If nothing was kept, or what was sent is not modulo t.
        """
        kept, self._shares = self._shares, None
        if kept is None:
            raise ProtocolError("a masked query came before its encrypted vectors")
        (frame,) = frames
        modulus = self._server.configuration.ring.plaintext_modulus
        with self._meter.counting("plain product") as made:
            for row, share, vector in zip(shares, kept, self._masked(frame, modulus), strict=True):
                product = plain_product(self._server.coefficients, vector, modulus)
                made.add()
                total = self._server.engine.middle * (int(vector.astype(object).sum()) % modulus) % modulus
                row[:] = (share + product - total) % modulus
        return
        yield

    def _masked(self, frame: bytes, modulus: int) -> Iterator[IntArray]:
        """The vector of every token, some at a time: in words they take several times what they travel in."""
        rows, bits = self._server.configuration.table.rows, (modulus - 1).bit_length()
        if len(frame) != packed_bytes(self._tokens * rows, bits):
            raise ProtocolError(f"masked query has {len(frame)} bytes; the vectors take another number")
        step = TOKENS_TOGETHER * rows * bits // 8
        for first in range(0, self._tokens, TOKENS_TOGETHER):
            count = min(TOKENS_TOGETHER, self._tokens - first)
            start = first // TOKENS_TOGETHER * step
            try:
                values = unpack_bits(frame[start : start + packed_bytes(count * rows, bits)], count * rows, bits)
            except ValueError as error:
                raise ProtocolError(f"message is not in its only encoding: {error}") from None
            if int(values.max()) >= modulus:
                raise ProtocolError("masked query has a value that is not below t")
            yield from values.astype(np.int64).reshape(count, -1)


def plain_product(coefficients: UnsignedArray, vector: IntArray, modulus: int) -> IntArray:
    """Table (m, n') transposed times a vector (m,) of residues, modulo t, shape (n',).

    Residues are cut into words such that 2^8 products of a word and an entry add up to less than 2^62.
    """
    entry_bits = max(1, int(coefficients.max()).bit_length())
    word_bits = WORD_BITS - ROW_CHUNK_BITS - entry_bits
    words = -(-(modulus - 1).bit_length() // word_bits)
    shifts = np.arange(words, dtype=np.int64)[:, None] * word_bits
    parts = (vector >> shifts) & ((1 << word_bits) - 1)
    totals = np.zeros((words, coefficients.shape[1]), dtype=np.int64)
    for first in range(0, len(vector), 1 << ROW_CHUNK_BITS):
        rows = slice(first, first + (1 << ROW_CHUNK_BITS))
        totals = (totals + parts[:, rows] @ coefficients[rows].astype(np.int64)) % modulus
    weighted = (int(1 << word * word_bits) * totals[word].astype(object) for word in range(words))
    return np.asarray(sum(weighted) % modulus, dtype=np.int64)
