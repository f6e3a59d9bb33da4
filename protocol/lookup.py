"""A session of lookups as a state machine over messages, written once for every engine.

    setup    client -> server   hello
             server -> client   parameters
             client -> server   keys               where the engine needs any
             server -> client   ready
    then, any number of times and in any order,
    offline  client -> server   preparation        of a lookup to come: its number and its tokens
             client -> server   announcement       where the engine has one
             server -> client   first halves       once the server has nothing else to do
    online   client -> server   lookup             its number and its tokens
             client -> server   query
             server -> client   answer

             server -> client   ot extension       with alignment only
             client -> server   carry corrections
    and at last
             client -> server   end

Both parties end every lookup with shares modulo t of every packed coefficient of the rows looked up, or, aligned,
modulo 2^L of every channel; the base transfers of the alignment belong to the setup. How many frames a message has and
how long they are follows from the public parameters and the number of tokens alone.

Lookups have numbers, which only go up: one that was prepared has the number of its preparation, any other the next. A
client whose connection was lost resumes with a hello that has the session's secret, a ready, and new base transfers.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain
from typing import NamedTuple

import numpy as np

from costmodel.parameters import Configuration
from costmodel.wire import HELLO_BYTES, REQUEST_BYTES
from protocol.admission import HELD_FOR_A_BYTE, AdmittedSession, Allowance, held_bytes, unlimited
from protocol.alignment import AlignmentClient, AlignmentServer, Fields
from protocol.alignment.session import Aligner, ChannelShares, NoAlignment, aligning_bytes, alignment_of
from protocol.budget import DistanceBudget
from protocol.channel import Channel
from protocol.engine import ClientEngine, Frame, Progress, ServerSession, Shape, Shapes, Shares
from protocol.engines import engine_of
from protocol.errors import PeerGone, ProtocolError
from protocol.frames import Kind
from protocol.hello import Greeter, Hello
from protocol.meter import Meter
from protocol.parameters_message import (
    PARAMETERS_LENGTHS,
    StatedBudget,
    decode_budget,
    decode_parameters,
    encode_parameters,
    with_nonce,
)
from protocol.parked import MAX_PARKED_BYTES, Parked
from protocol.seeds import SeedRecord
from quantize.packed import PackedTable
from quantize.public import PublicTable

_REQUEST = struct.Struct("<II")
assert _REQUEST.size == REQUEST_BYTES
_REQUESTS = {Kind.LOOKUP: REQUEST_BYTES, Kind.PREPARATION: REQUEST_BYTES, Kind.REPORT: 0, Kind.SHARES: 0, Kind.END: 0}
MAX_MESSAGE_BYTES = 256 * 2**20
"""Most that any message of a session takes."""
MAX_TOKENS = 1024
"""Most rows that are looked up together."""
MAX_ENTRIES = 2**28
"""Most entries of all one-hot rows that a client makes, whatever the server says of its table."""
MAX_LOOKUPS = 2**32 - 1
MAX_PREPARATIONS = 8
"""Lookups of a session that are prepared, or to be, and have not come."""
MAX_PREPARED_BYTES = 2**28
"""Memory of them all, but for one that takes more by itself."""
MAX_UNREAD_BYTES = 2**18
"""What a server may send of preparations while its client does not read: buffers on the way hold as much."""


class Answered(NamedTuple):
    """A lookup that was answered: its number, and the server's shares."""

    number: int
    shares: Shares | ChannelShares


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
    parked_bytes
        Memory of all sessions whose connection was lost.

    Attributes
    ----------
    public : what both parties know of the table
    parked : sessions whose connection was lost

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
        parked_bytes: int = MAX_PARKED_BYTES,
    ) -> None:
        self.configuration = configuration
        self.public = table.public
        self.parked: Parked[ServedSession] = Parked(most_bytes=parked_bytes)
        self._max_tokens = min(max_tokens, MAX_TOKENS)
        self._budget = budget
        # Whoever greets is told the parameters: most of what a greeting costs, were they written anew.
        self._encoded = lru_cache(maxsize=1)(partial(encode_parameters, configuration, table.public))
        self._parameters()
        if configuration.align_bits:
            Fields.covering(table.public.field_moduli, configuration.ring.plaintext_modulus)
        engine = engine_of(configuration)
        self._engine = engine.server(configuration, table.coefficients, meter, progress, allow_insecure)
        self._kept_bytes = self._engine.session(1, Meter("server")).shapes.kept_bytes

    def fit(self, most_bytes: float, threads: int) -> int:
        """Compute on no more rows at once than take so many bytes; memory of the largest lookup then.

        Where lookups of as many rows as are allowed never fit, those that do are computed as fast as they may be.

        Raises
        ------
        ValueError
            If a single row takes more.
        """
        numbers = range(self._engine.tokens_together, 0, -1)
        for self._engine.tokens_together in numbers:
            if (needed := self.working_bytes(self._max_tokens, threads)) <= most_bytes:
                return needed
        for self._engine.tokens_together in numbers:
            if (needed := self.working_bytes(self._engine.tokens_together, threads)) <= most_bytes:
                return int(most_bytes)
        raise ValueError(f"a lookup of one row takes {needed} bytes to compute on; there are {most_bytes:.0f}")

    @property
    def tokens_together(self) -> int:
        """Rows of a lookup that are computed on at once."""
        return self._engine.tokens_together

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory that a lookup takes while it is computed, or keys while they are read.

        See :class:`protocol.engine.ServerEngine`.
        """
        return max(self._engine.working_bytes(tokens, threads), self._kept_bytes)

    @property
    def budget(self) -> DistanceBudget | None:
        """Counts what answers tell of the table."""
        return self._budget

    def _parameters(self) -> bytes:
        """The message of a session that begins now."""
        budget = self._budget
        stated = None if budget is None else StatedBudget(budget.log2_most, budget.log2_spent)
        return with_nonce(self._encoded(stated))

    def session(self, channel: Channel, meter: Meter, allowance: Allowance | None = None) -> Shares | ChannelShares:
        """Serve a client's first lookup; the server's shares, (tokens, n') modulo t or, aligned, (tokens, n).

        Raises
        ------
        ProtocolError
            If the client sends anything that is not of the protocol, or ends the session without a lookup.
        """
        for event in self.open(channel, meter, allowance).events():
            if isinstance(event, Answered):
                return event.shares
        raise ProtocolError("client ended the session without a lookup")

    def open(
        self,
        channel: Channel,
        meter: Meter,
        allowance: Allowance | None = None,
        answering: Callable[[int], None] = lambda _: None,
    ) -> ServedSession:
        """Greet a client: its session, with its keys, whether it is a new one or is resumed.

        Parameters
        ----------
        channel, meter
            Connection to the client; counts and times what the server does.
        allowance
            Turns at computing and room in memory, which the channel and the meter share; a single client has all.
        answering
            Called with the rows of every answer, once the budget has counted them and before its first frame leaves.

        Raises
        ------
        ProtocolError
            If the client sends anything that is not of the protocol, or resumes a session that is not here.
        """
        allowance = allowance or unlimited()
        hello = Hello.decode(channel.receive(Kind.HELLO, HELLO_BYTES), self._max_tokens)
        if hello.resumes:
            session = self.parked.take(hello)
            session.resume(channel, hello, allowance, answering)
            return session
        with meter.phase_of("setup"):
            with allowance.turn:  # a table of thousands of channels takes milliseconds to state
                engine: ServerSession = self._engine.session(hello.tokens, meter)
                parameters = self._parameters()
            try:
                _check_sizes(engine.shapes)
            except ValueError as error:
                raise ProtocolError(f"hello asks for {hello.tokens} tokens: {error}") from None
            room, threads = allowance.room, meter.threads.count
            held = held_bytes(engine.shapes, aligning_bytes(self.configuration, self.public, hello.tokens))
            allowance.expect(held, self.working_bytes(hello.tokens, threads))
            channel.send(Kind.PARAMETERS, parameters)
            with room.scope():
                keys = _receive(channel, Kind.KEYS, engine.shapes.keys)
                # Keys ready for use are there once the client has sent any; messages are counted as they arrive.
                room.take(engine.shapes.kept_bytes)
                with allowance.workspace(self.working_bytes(1, threads)), allowance.turn:
                    engine.accept_keys(keys)
                del keys
            room.take(engine.shapes.kept_bytes)
            session = ServedSession(self, hello.begun(parameters), engine, meter)
            session.attach(channel, allowance, answering, hello.encode() + parameters)
        return session


class ServedSession:
    """A client's session at the server: its keys, what is prepared for it, and the number of its next lookup.

    Parameters
    ----------
    server
        The table, and sessions that are parked.
    hello
        The client's first message, with the session's name.
    engine
        With the client's keys.
    meter
        Counts and times what is done for the session.

    Attributes
    ----------
    hello : the client's last one
    meter : of the session, over all its connections
    """

    def __init__(self, server: LookupServer, hello: Hello, engine: ServerSession, meter: Meter) -> None:
        self.hello = hello
        self.meter = meter
        self._server = server
        self._configuration = server.configuration
        self._bare = engine
        self._next = 1
        self._channel: Channel
        self._allowance: Allowance
        self._answering: Callable[[int], None]
        self._aligner: Aligner
        self._forget_prepared()

    @property
    def configuration(self) -> Configuration:
        """What is served."""
        return self._configuration

    @property
    def public(self) -> PublicTable:
        """What both parties know of the table."""
        return self._server.public

    @property
    def kept_bytes(self) -> int:
        """Memory of the session between lookups, without what is prepared."""
        return self._bare.shapes.kept_bytes

    def attach(
        self, channel: Channel, allowance: Allowance, answering: Callable[[int], None], transcript: bytes
    ) -> None:
        """Go on over a channel, with new base transfers bound to a transcript."""
        self._channel, self._allowance, self._answering = channel, allowance, answering
        self._engine = AdmittedSession(self._bare, allowance.turn)
        configuration, public = self._configuration, self._server.public
        self._aligner = alignment_of(AlignmentServer, configuration, public, channel, self.meter, transcript)
        self._aligner.setup()

    def resume(self, channel: Channel, hello: Hello, allowance: Allowance, answering: Callable[[int], None]) -> None:
        """Go on after a lost connection, with what is next; what was prepared is gone.

        Raises
        ------
        ProtocolError
            If the client goes back, or asks for more tokens than before.
        """
        if hello.number < self._next or hello.tokens != self.hello.tokens:
            raise ProtocolError(f"session cannot be resumed: its next lookup is {self._next} or later")
        self.hello, self._next = hello, hello.number
        self.meter.turn, channel.meter = allowance.turn, self.meter
        room = allowance.room
        aligning = aligning_bytes(self._configuration, self._server.public, hello.tokens)
        allowance.expect(held_bytes(self._bare.shapes, aligning), self._working_bytes(hello.tokens))
        room.take(self.kept_bytes)
        with self.meter.phase_of("setup"):
            self.attach(channel, allowance, answering, hello.encode())

    def events(self) -> Iterator[Answered | Kind]:
        """Serve the client until it ends the session: lookups once they are answered, and requests for others to meet.

        A session whose connection is lost, or whose client resumes it over another one, is parked.

        Raises
        ------
        ProtocolError
            If the client sends anything that is not of the protocol.
        """
        with self._server.parked.serving(self.hello, self._channel.cut):
            try:
                with self.meter.phase_of("setup"):
                    self._channel.send(Kind.READY, b"")
                while (request := self._request()) is not None:
                    yield request
            except PeerGone:
                self._park()
                raise

    def _request(self) -> Answered | Kind | None:
        """Meet requests up to the next that others have to know of; None at the session's end."""
        while True:
            if self._waiting and not self._channel.readable:
                self._prepare()
                continue
            try:
                kind, body = self._channel.receive_any(_REQUESTS)
            except PeerGone:
                self._park()
                return None
            if kind is Kind.END:
                return None
            if kind is Kind.LOOKUP:
                return self._look_up(*self._numbered(body))
            if kind is not Kind.PREPARATION:
                return kind
            self._take_order(*self._numbered(body))

    def _numbered(self, body: bytes) -> tuple[int, int]:
        number, tokens = _REQUEST.unpack(body)
        if not 1 <= tokens <= self.hello.tokens:
            raise ProtocolError(f"lookup is of {tokens} tokens; the session is for 1 to {self.hello.tokens}")
        return number, tokens

    def _begin(self, number: int) -> None:
        """Go on to a number."""
        if not self._next <= number < MAX_LOOKUPS:
            raise ProtocolError(f"lookup has number {number}; numbers go up, and {self._next} is next")
        self._next = number + 1

    def _take_order(self, number: int, tokens: int) -> None:
        """Take the announcement of a preparation, which waits until there is nothing else to do."""
        if not self._configuration.has_offline_phase:
            raise ProtocolError("a preparation was asked for; nothing of these parameters can be prepared")
        self._begin(number)
        engine, room = self._engine.lookup(tokens, True), self._allowance.room
        shapes = engine.shapes
        size = ordered_bytes(shapes)
        orders = [*self._waiting, *self._ready.values()]
        check_orders([order.size_bytes for order in orders], size)
        room.take(size)
        with room.scope(), self.meter.phase_of("offline", number):
            announced = _receive(self._channel, Kind.ANNOUNCEMENT, shapes.announcement)
        self._waiting.append(_Order(number, tokens, size, engine, announced))

    def _prepare(self) -> None:
        """Meet the order that has waited longest."""
        order = self._waiting.popleft()
        halves = order.engine.prepare(order.announced)
        if not order.engine.shapes.answer.frames:
            # Nothing follows the query: the first halves are the answer, to vectors of the client's choice.
            halves = self._counted(halves, order.tokens)
        with self._workspace(order.tokens), self.meter.phase_of("offline", order.number):
            _send(self._channel, self.meter, Kind.FIRST_HALVES, halves)
        self._ready[order.number] = replace(order, announced=[])

    def _look_up(self, number: int, tokens: int) -> Answered:
        order = self._ready.pop(number, None)
        if order is None:
            self._begin(number)
            if self._configuration.has_offline_phase and not self._configuration.prepared:
                raise ProtocolError("a lookup came without its preparation, which these parameters need")
            engine: ServerSession = self._engine.lookup(tokens, False)
        elif order.tokens != tokens:
            raise ProtocolError(f"lookup {number} is of {tokens} tokens; {order.tokens} were prepared")
        else:
            engine = order.engine
        room, public = self._allowance.room, self._server.public
        with room.scope(), self.meter.phase_of("online", number):
            query = _receive(self._channel, Kind.QUERY, engine.shapes.query)
            aligning = aligning_bytes(self._configuration, public, tokens)
            room.take(HELD_FOR_A_BYTE * engine.shapes.answer.size_bytes + aligning)
            shares = np.empty((tokens, public.coefficients), dtype=np.int64)
            answer = engine.answer(query, shares)
            if engine.shapes.answer.frames:  # where there are none, the preparation was counted
                answer = self._counted(answer, tokens)
            with self._workspace(tokens):
                _send(self._channel, self.meter, Kind.ANSWER, answer)
            aligned = self._aligner.align(shares)
        if order is not None:
            room.give(order.size_bytes)
        return Answered(number, aligned)

    def _workspace(self, tokens: int) -> AbstractContextManager[None]:
        return self._allowance.workspace(self._working_bytes(tokens))

    def _working_bytes(self, tokens: int) -> int:
        return self._server.working_bytes(tokens, self.meter.threads.count)

    def _counted(self, frames: Iterator[bytes], tokens: int) -> Iterator[bytes]:
        """Frames of an answer; its rows are counted once the first is made, for which the query was checked."""
        budget = self._server.budget
        if budget is not None:
            budget.require(tokens)
        for number, frame in enumerate(frames):
            if number == 0:
                if budget is not None:
                    budget.spend(tokens)
                self._answering(tokens)
            yield frame

    def _park(self) -> None:
        self._forget_prepared()
        self._aligner = NoAlignment()  # what was lost in an alignment is as large as a message; the next one is new
        self._server.parked.put(self.hello, self, self.kept_bytes, self._allowance.room.address)

    def _forget_prepared(self) -> None:
        self._waiting: deque[_Order] = deque()
        self._ready: dict[int, _Order] = {}


@dataclass(frozen=True, eq=False)
class _Order:
    """A preparation at the server: what it takes, and the announcement until it is met."""

    number: int
    tokens: int
    size_bytes: int
    engine: ServerSession
    announced: list[bytes]


@dataclass(frozen=True, eq=False)
class _Ordered:
    """A preparation at the client."""

    number: int
    tokens: int
    size_bytes: int
    engine: ClientEngine


@dataclass
class ClientSession:
    """The client's side: public parameters first, then lookups.

    Attributes
    ----------
    tokens : most rows of a lookup
    next_number : of the next lookup that begins
    """

    channel: Channel
    meter: Meter
    tokens: int
    configuration: Configuration
    public: PublicTable
    engine: ClientEngine
    aligner: Aligner
    greeter: Greeter
    budget: StatedBudget | None = None
    next_number: int = 1
    last_number: int = 0
    _ordered: deque[_Ordered] = field(default_factory=deque)
    _ready: deque[_Ordered] = field(default_factory=deque)

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
        """Greet the server, learn its parameters, and make keys for them.

        Parameters
        ----------
        channel, meter
            Connection to the server; counts and times what the client does.
        tokens
            How many rows are looked up together at most.
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
        greeter = Greeter(tokens)
        with meter.phase_of("setup"):
            hello = greeter.hello.encode()
            channel.send(Kind.HELLO, hello)
            message = channel.receive_sized(Kind.PARAMETERS, PARAMETERS_LENGTHS)
            greeter.begin(message)
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
        return cls(channel, meter, tokens, configuration, public, engine, aligner, greeter, budget)

    def resume(self, channel: Channel) -> None:
        """Go on over a new connection, with the keys that the server holds; what was prepared is gone.

        Raises
        ------
        ProtocolError
            If the server does not hold the session.
        """
        self.channel, channel.meter = channel, self.meter
        self._ordered.clear()
        self._ready.clear()
        with self.meter.phase_of("setup"):
            hello = self.greeter.again(self.next_number).encode()
            channel.send(Kind.HELLO, hello)
            made = alignment_of(AlignmentClient, self.configuration, self.public, channel, self.meter, hello)
            self.aligner = made
            made.setup()
            channel.receive(Kind.READY, 0)

    @property
    def prepared(self) -> int:
        """Lookups that are prepared, or being prepared."""
        return len(self._ordered) + len(self._ready)

    def prepare(self, tokens: int) -> None:
        """Order the preparation of a lookup of so many tokens, which the server makes while it has nothing else to do.

        Raises
        ------
        ValueError
            If nothing can be prepared, or the server keeps no more.
        ProtocolError
            If the server sends anything that is not of the protocol.
        """
        if not self.configuration.has_offline_phase:
            raise ValueError("the server's parameters have nothing that is prepared; serve with --prepared")
        self._check_count(tokens)
        engine, number = self.engine.lookup(tokens, True), self._begin()
        shapes = engine.shapes
        size = ordered_bytes(shapes)
        check_orders([order.size_bytes for order in (*self._ordered, *self._ready)], size)
        with self.meter.phase_of("offline", number):
            self.channel.send(Kind.PREPARATION, _REQUEST.pack(number, tokens))
            _send(self.channel, self.meter, Kind.ANNOUNCEMENT, engine.announce())
        self._ordered.append(_Ordered(number, tokens, size, engine))
        while sum(order.engine.shapes.first_halves.size_bytes for order in self._ordered) > MAX_UNREAD_BYTES:
            self._take_first_halves()

    def wait_prepared(self) -> None:
        """Wait until every preparation that was ordered is there."""
        while self._ordered:
            self._take_first_halves()

    def lookup(self, tokens: Sequence[int]) -> Shares | ChannelShares:
        """The client's shares of the rows, (tokens, n') modulo t or, aligned, (tokens, n) modulo 2^L.

        A preparation of as many tokens is used where one is there; otherwise the lookup is computed whole.

        Raises
        ------
        ValueError
            If there are none or more tokens than the session was opened for, or one is outside the vocabulary; its
            value is not in the message.
        ProtocolError
            If the server's answer is not of the protocol.
        """
        self._check_count(len(tokens))
        if any(not 0 <= token < self.public.rows for token in tokens):
            raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {self.public.rows - 1}")
        number, engine = self._engine_for(len(tokens))
        self.last_number = number
        with self.meter.phase_of("online", number):
            self.channel.send(Kind.LOOKUP, _REQUEST.pack(number, len(tokens)))
            _send(self.channel, self.meter, Kind.QUERY, engine.encrypt(tokens))
            shares = engine.decrypt(self._answer(engine.shapes.answer))
            return self.aligner.align(shares)

    def end(self) -> None:
        """Tell the server that the session is over."""
        self.channel.send(Kind.END, b"")

    def _check_count(self, count: int) -> None:
        if not 1 <= count <= self.tokens:
            raise ValueError(f"there are {count} tokens; the session was opened for 1 to {self.tokens}")

    def _begin(self) -> int:
        number, self.next_number = self.next_number, self.next_number + 1
        if number >= MAX_LOOKUPS:
            raise ValueError(f"session has had {MAX_LOOKUPS} lookups; open another")
        return number

    def _engine_for(self, count: int) -> tuple[int, ClientEngine]:
        while self._ordered and self.channel.readable:
            self._take_first_halves()
        found = next((order for order in self._ready if order.tokens == count), None)
        needed = self.configuration.has_offline_phase and not self.configuration.prepared
        if found is None and needed:
            if not any(order.tokens == count for order in self._ordered):
                self.prepare(count)
            self.wait_prepared()
            found = next(order for order in self._ready if order.tokens == count)
        if needed:
            # Nothing of an answer would tell where the first halves of another lookup end.
            self.wait_prepared()
        if found is None:
            return self._begin(), self.engine.lookup(count, False)
        self._ready.remove(found)
        return found.number, found.engine

    def _answer(self, shape: Shape) -> Iterator[bytes]:
        """Frames of an answer; first halves of other lookups may come before it."""
        if shape.frames:
            yield self._first_of_answer(shape)
            yield from _arriving(self.channel, Kind.ANSWER, replace(shape, frames=shape.frames - 1))

    def _first_of_answer(self, shape: Shape) -> bytes:
        while self._ordered:
            halves = self._ordered[0].engine.shapes.first_halves
            kind, body = self.channel.receive_any({Kind.ANSWER: shape.length, Kind.FIRST_HALVES: halves.length})
            if kind is Kind.ANSWER:
                return body
            self._accept(body)
        return self.channel.receive(Kind.ANSWER, shape.length)

    def _take_first_halves(self) -> None:
        shape = self._ordered[0].engine.shapes.first_halves
        self._accept(self.channel.receive(Kind.FIRST_HALVES, shape.length))

    def _accept(self, first: bytes) -> None:
        """The first halves of the order that has waited longest, of which one frame is there."""
        order = self._ordered.popleft()
        shape = order.engine.shapes.first_halves
        rest = _arriving(self.channel, Kind.FIRST_HALVES, replace(shape, frames=shape.frames - 1))
        with self.meter.phase_of("offline", order.number):
            order.engine.accept_first_halves(chain([first], rest))
        self._ready.append(order)


def check_orders(sizes: Sequence[int], size_bytes: int) -> None:
    """Hold a session's preparations to what a server keeps.

    Raises
    ------
    ProtocolError
        If another one of this size is too many.
    """
    if len(sizes) >= MAX_PREPARATIONS or (sizes and sum(sizes) + size_bytes > MAX_PREPARED_BYTES):
        raise ProtocolError(
            f"{len(sizes)} lookups of {sum(sizes)} bytes are prepared already; a session keeps {MAX_PREPARATIONS} of "
            f"{MAX_PREPARED_BYTES} bytes"
        )


def ordered_bytes(shapes: Shapes) -> int:
    """Memory of a preparation, with its messages."""
    return shapes.prepared_bytes + HELD_FOR_A_BYTE * (shapes.announcement.size_bytes + shapes.first_halves.size_bytes)


def preparations(shapes: Shapes) -> int:
    """How many lookups of one shape a session has prepared at most.

    Examples
    --------
    >>> from protocol.engine import NOTHING
    >>> preparations(Shapes(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, prepared_bytes=2**27))
    2
    """
    return max(1, min(MAX_PREPARATIONS, MAX_PREPARED_BYTES // max(1, ordered_bytes(shapes))))


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
