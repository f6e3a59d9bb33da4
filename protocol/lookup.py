"""The lookup as a state machine over messages, written once for every engine.

    setup    client -> server   hello
             server -> client   parameters
             client -> server   keys            where the engine needs any
             server -> client   ready
    offline  client -> server   announcement    prepared queries only
             server -> client   first halves
    online   client -> server   query
             server -> client   answer

             server -> client   ot extension    with alignment only
             client -> server   carry corrections

Both parties end with shares modulo t of every packed coefficient of the rows looked up, or, aligned, modulo 2^L of
every channel; the base transfers of the alignment belong to the setup. How many frames a message has
and how long they are follows from the public parameters alone.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from costmodel.parameters import Configuration
from protocol.admission import HELD_FOR_A_BYTE, AdmittedSession, Allowance, held_bytes, unlimited
from protocol.alignment import AlignmentClient, AlignmentServer, Fields
from protocol.alignment.session import Aligner, ChannelShares, aligning_bytes, alignment_of
from protocol.budget import DistanceBudget
from protocol.channel import Channel
from protocol.engine import ClientEngine, Frame, Progress, ServerSession, Shape, Shapes, Shares
from protocol.engines import engine_of
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.meter import Meter
from protocol.parameters_message import (
    PARAMETERS_LENGTHS,
    StatedBudget,
    decode_budget,
    decode_parameters,
    encode_parameters,
)
from protocol.seeds import SeedRecord
from quantize.packed import PackedTable
from quantize.public import PublicTable

_HELLO = struct.Struct("<12sI")
MAX_MESSAGE_BYTES = 256 * 2**20
"""Most that any message of a session takes."""
MAX_TOKENS = 1024
"""Most rows that are looked up together."""
MAX_ENTRIES = 2**28
"""Most entries of all one-hot rows that a client makes, whatever the server says of its table."""


class LookupServer:
    """The server's side: encodes the table once, then answers queries.

    Parameters
    ----------
    configuration
        What is served; its table's shape must be the packed table's.
    table
        The packed table; it never leaves this object.
    meter
        Counts the encoding of the table.
    progress
        Called with what is being done, how much is done, and of how much.
    allow_insecure
        Serve a ring below OpenFHE's security table.
    max_tokens
        Most rows that a client may look up together.
    budget
        Counts what answers tell of the table; not counted if left out.

    Raises
    ------
    ValueError
        If the configuration cannot be executed.
    """

    def __init__(
        self,
        configuration: Configuration,
        table: PackedTable,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
        max_tokens: int = MAX_TOKENS,
        budget: DistanceBudget | None = None,
    ) -> None:
        self.configuration = configuration
        self._max_tokens = min(max_tokens, MAX_TOKENS)
        self._public = table.public
        self._budget = budget
        self._parameters()
        if configuration.align_bits:
            Fields.covering(table.public.field_moduli, configuration.ring.plaintext_modulus)
        engine = engine_of(configuration)
        self._engine = engine.server(configuration, table.coefficients, meter, progress, allow_insecure)

    @property
    def budget(self) -> DistanceBudget | None:
        """Counts what answers tell of the table."""
        return self._budget

    def _parameters(self) -> bytes:
        """The message of a session that begins now."""
        budget = self._budget
        stated = None if budget is None else StatedBudget(budget.log2_most, budget.log2_spent)
        return encode_parameters(self.configuration, self._public, stated)

    def session(self, channel: Channel, meter: Meter, allowance: Allowance | None = None) -> Shares | ChannelShares:
        """Serve one client; the server's shares, (tokens, n') modulo t or, aligned, (tokens, n) modulo 2^L.

        Parameters
        ----------
        channel, meter
            Connection to the client; counts and times what the server does.
        allowance
            Turns at computing and room in memory, which the channel and the meter share; a single client has all.

        Raises
        ------
        ProtocolError
            If the client sends anything that is not of the protocol.
        """
        allowance = allowance or unlimited()
        with allowance.room.scope():
            return self._session(channel, meter, allowance)

    def _session(self, channel: Channel, meter: Meter, allowance: Allowance) -> Shares | ChannelShares:
        room = allowance.room
        with meter.phase_of("setup"):
            hello = channel.receive(Kind.HELLO, _HELLO.size)
            _, tokens = _HELLO.unpack(hello)
            if not 1 <= tokens <= self._max_tokens:
                raise ProtocolError(f"hello asks for {tokens} tokens; 1 to {self._max_tokens} are served together")
            engine: ServerSession = self._engine.session(tokens, meter)
            try:
                _check_sizes(engine.shapes)
            except ValueError as error:
                raise ProtocolError(f"hello asks for {tokens} tokens: {error}") from None
            aligning = aligning_bytes(self.configuration, self._public, tokens)
            room.expect(held_bytes(engine.shapes, aligning))
            engine = AdmittedSession(engine, allowance.turn)
            parameters = self._parameters()
            channel.send(Kind.PARAMETERS, parameters)
            keys = _receive(channel, Kind.KEYS, engine.shapes.keys)
            # Keys ready for use are there once the client has sent any; messages are counted as they arrive.
            room.take(engine.shapes.kept_bytes)
            engine.accept_keys(keys)
            del keys
            transcript = hello + parameters
            aligner = alignment_of(AlignmentServer, self.configuration, self._public, channel, meter, transcript)
            aligner.setup()
            channel.send(Kind.READY, b"")
        if self.configuration.has_offline_phase:
            with meter.phase_of("offline"):
                announced = _receive(channel, Kind.ANNOUNCEMENT, engine.shapes.announcement)
                room.take(HELD_FOR_A_BYTE * engine.shapes.first_halves.size_bytes)
                _send(channel, meter, Kind.FIRST_HALVES, engine.prepare(announced))
        with meter.phase_of("online"):
            query = _receive(channel, Kind.QUERY, engine.shapes.query)
            room.take(HELD_FOR_A_BYTE * engine.shapes.answer.size_bytes + aligning)
            if self._budget is not None:
                self._budget.spend(tokens)
            shares = np.empty((tokens, self._public.coefficients), dtype=np.int64)
            _send(channel, meter, Kind.ANSWER, engine.answer(query, shares))
            return aligner.align(shares)


@dataclass
class ClientSession:
    """The client's side of one connection: public parameters first, then a lookup."""

    channel: Channel
    meter: Meter
    tokens: int
    configuration: Configuration
    public: PublicTable
    engine: ClientEngine
    aligner: Aligner
    budget: StatedBudget | None = None

    @classmethod
    def open(
        cls,
        channel: Channel,
        meter: Meter,
        tokens: int,
        allow_insecure: bool,
        seeds: SeedRecord,
        accept: Callable[[Configuration], None] | None = None,
    ) -> ClientSession:
        """Greet the server, learn its parameters, make keys for them, and prepare what can be.

        Parameters
        ----------
        channel, meter
            Connection to the server; counts and times what the client does.
        tokens
            How many rows are looked up together.
        allow_insecure
            Let OpenFHE make a ring below its security table.
        seeds
            Record of the seeds used.
        accept
            Called with the server's configuration, for so many tokens, before anything is made for it; raises
            `ValueError` to refuse.

        Raises
        ------
        ProtocolError
            If the server sends anything that is not of the protocol, or parameters that are refused.
        """
        with meter.phase_of("setup"):
            hello = _HELLO.pack(secrets.token_bytes(12), tokens)
            channel.send(Kind.HELLO, hello)
            message = channel.receive_sized(Kind.PARAMETERS, PARAMETERS_LENGTHS)
            configuration, public = decode_parameters(message)
            budget = decode_budget(message)
            try:
                asked = configuration.updated(table=replace(configuration.table, tokens=tokens))
                if public.rows * tokens > MAX_ENTRIES:
                    raise ValueError(f"{tokens} one-hot rows of {public.rows} entries; at most {MAX_ENTRIES} are made")
                if accept is not None:
                    accept(asked)
                engine = engine_of(configuration).client(configuration, tokens, meter, allow_insecure, seeds)
                _check_sizes(engine.shapes)
            except ValueError as error:
                raise ProtocolError(f"server's parameters are refused: {error}") from None
            _send(channel, meter, Kind.KEYS, engine.keys())
            aligner = alignment_of(AlignmentClient, configuration, public, channel, meter, hello + message)
            aligner.setup()
            # A query that left while keys are under way would wait for them, and its latency would be theirs.
            channel.receive(Kind.READY, 0)
        if configuration.has_offline_phase:
            with meter.phase_of("offline"):
                _send(channel, meter, Kind.ANNOUNCEMENT, engine.announce())
                engine.accept_first_halves(_arriving(channel, Kind.FIRST_HALVES, engine.shapes.first_halves))
        return cls(channel, meter, tokens, configuration, public, engine, aligner, budget)

    def lookup(self, tokens: Sequence[int]) -> Shares | ChannelShares:
        """The client's shares of the rows, (tokens, n') modulo t or, aligned, (tokens, n) modulo 2^L.

        Raises
        ------
        ValueError
            If there are more or fewer tokens than the session was opened for, or one is outside the vocabulary; its
            value is not in the message.
        ProtocolError
            If the server's answer is not of the protocol.
        """
        if len(tokens) != self.tokens:
            raise ValueError(f"there are {len(tokens)} tokens; the session was opened for {self.tokens}")
        if any(not 0 <= token < self.public.rows for token in tokens):
            raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {self.public.rows - 1}")
        with self.meter.phase_of("online"):
            _send(self.channel, self.meter, Kind.QUERY, self.engine.encrypt(tokens))
            shares = self.engine.decrypt(_arriving(self.channel, Kind.ANSWER, self.engine.shapes.answer))
            return self.aligner.align(shares)


def _check_sizes(shapes: Shapes) -> None:
    for name in ("keys", "announcement", "first_halves", "query", "answer"):
        size = getattr(shapes, name).size_bytes
        if size > MAX_MESSAGE_BYTES:
            raise ValueError(f"{name.replace('_', ' ')} of {size} bytes; at most {MAX_MESSAGE_BYTES} are taken")


def _send(channel: Channel, meter: Meter, kind: Kind, frames: Iterable[bytes]) -> None:
    for frame in frames:
        channel.send(kind, frame)
        if isinstance(frame, Frame):
            meter.carried(kind.item, frame.unit, frame.objects)


def _receive(channel: Channel, kind: Kind, shape: Shape) -> list[bytes]:
    return list(_arriving(channel, kind, shape))


def _arriving(channel: Channel, kind: Kind, shape: Shape) -> Iterator[bytes]:
    return (channel.receive(kind, shape.length) for _ in range(shape.frames))
