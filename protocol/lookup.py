"""The lookup as a state machine over messages, written once for every engine.

    setup    client -> server   hello
             server -> client   parameters
    online   client -> server   query     ceil(m/d1) ciphertexts a token
             server -> client   answer    ceil(n'/d0) ciphertexts a token

Both parties end with shares modulo t of every packed coefficient of the rows looked up.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Configuration
from protocol.channel import Channel
from protocol.engines.openfhe import OpenFHEClient, OpenFHEServer
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.layout import Layout
from protocol.meter import Meter
from protocol.parameters_message import decode_parameters, encode_parameters, parameters_bytes
from protocol.randomness import uniform
from quantize.packed import PackedTable
from quantize.packing import place_values
from quantize.public import PublicTable

NOISE_SAMPLE_ANSWERS = 8
"""Answers of a session whose noise the client measures afterwards."""

Shares = NDArray[np.int64]
Progress = Callable[[str, int, int], None]

_HELLO = struct.Struct("<12sI")
MAX_QUERY_BYTES = 256 * 2**20
"""Most that the server holds of one client's queries."""


class LookupServer:
    """The server's side: encodes the table once, then answers queries.

    OpenFHE multiplies by a negative plaintext coefficient w as by t - |w|, so that a signed table would cost bits of
    noise, and an unsigned one has a mean, which costs one and makes the errors of all answers alike. The table is
    therefore encoded unsigned, and the product of the query with a table of nothing but the middle value, which is
    the same for every answer, is subtracted from each: the noise is that of the centred table. The middle value
    itself comes back in the server's share.

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
    """

    def __init__(
        self, configuration: Configuration, table: PackedTable, meter: Meter, progress: Progress, allow_insecure: bool
    ) -> None:
        self.configuration = configuration
        self._allow_insecure = allow_insecure
        self._layout = Layout.of(configuration)
        self._parameters = encode_parameters(configuration, table.public)
        engine = OpenFHEServer(configuration.ring, meter, allow_insecure)
        self._middle = middle_element(table.public.field_moduli)
        self._constant = engine.encode_table(self._layout.constant_polynomial(self._middle))
        self._polynomials: list[list[Any]] = []
        for output in range(self._layout.outputs):
            self._polynomials.append(
                [
                    engine.encode_table(self._layout.table_polynomial(table.coefficients, block, output, self._middle))
                    for block in range(self._layout.inputs)
                ]
            )
            progress("encoding table", output + 1, self._layout.outputs)

    def session(self, channel: Channel, meter: Meter) -> Shares:
        """Serve one client; the server's shares modulo t, shape (tokens, n')."""
        with meter.phase_of("setup"):
            _, tokens = _HELLO.unpack(channel.receive(Kind.HELLO, _HELLO.size))
            engine = OpenFHEServer(self.configuration.ring, meter, self._allow_insecure)
            length = engine.ciphertext_bytes
            most = MAX_QUERY_BYTES // (self._layout.inputs * length)
            if not 1 <= tokens <= most:
                raise ProtocolError(f"hello asks for {tokens} tokens; 1 to {most} are served together")
            channel.send(Kind.PARAMETERS, self._parameters)
        layout, modulus = self._layout, self.configuration.ring.plaintext_modulus
        shares = np.empty((tokens, layout.columns), dtype=np.int64)
        with meter.phase_of("online"):
            frames = [channel.receive(Kind.QUERY, length) for _ in range(tokens * layout.inputs)]
            for token, row in enumerate(shares):
                query = [engine.read(frame) for frame in frames[token * layout.inputs : (token + 1) * layout.inputs]]
                constant = engine.inner_product(query, [self._constant] * layout.inputs)
                column = 0
                for polynomials in self._polynomials:
                    with meter.work("draw mask"):
                        mask = uniform(modulus, layout.degree)
                    product = engine.centre(engine.inner_product(query, polynomials), constant)
                    channel.send(Kind.ANSWER, engine.write(engine.subtract_mask(product, mask)))
                    used = layout.used(column // layout.tile_columns)
                    row[column : column + used.size] = mask[used]
                    column += used.size
        return (shares + self._middle) % modulus


def middle_element(field_moduli: Sequence[int]) -> int:
    """The packed element all of whose channels are at the middle of their levels, sum_i P_i M_i / 4."""
    return sum(place * (modulus // 4) for place, modulus in zip(place_values(field_moduli), field_moduli, strict=True))


@dataclass
class ClientSession:
    """The client's side of one connection: public parameters first, then lookups."""

    channel: Channel
    meter: Meter
    configuration: Configuration
    public: PublicTable
    engine: OpenFHEClient
    sample: list[tuple[bytes, Shares]] = field(default_factory=list)

    @classmethod
    def open(cls, channel: Channel, meter: Meter, channels: int, tokens: int, allow_insecure: bool) -> ClientSession:
        """Greet the server, learn its parameters and make keys for them."""
        with meter.phase_of("setup"):
            channel.send(Kind.HELLO, _HELLO.pack(secrets.token_bytes(12), tokens))
            message = channel.receive(Kind.PARAMETERS, parameters_bytes(channels))
            configuration, public = decode_parameters(message, channels)
            try:
                engine = OpenFHEClient(configuration.ring, meter, allow_insecure)
            except ValueError as error:
                raise ProtocolError(f"server's parameters are refused: {error}") from None
        return cls(channel, meter, configuration, public, engine)

    def lookup(self, tokens: Sequence[int]) -> Shares:
        """The client's shares modulo t of the rows of the tokens, shape (tokens, n').

        Raises
        ------
        ValueError
            If a token is outside the vocabulary; its value is not in the message.
        """
        if any(not 0 <= token < self.public.rows for token in tokens):
            raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {self.public.rows - 1}")
        layout = Layout.of(self.configuration)
        shares = np.empty((len(tokens), layout.columns), dtype=np.int64)
        with self.meter.phase_of("online"):
            for token in tokens:
                for polynomial in layout.query(token):
                    self.channel.send(Kind.QUERY, self.engine.encrypt(polynomial))
            for row in shares:
                column = 0
                for output in range(layout.outputs):
                    answer = self.channel.receive(Kind.ANSWER, self.engine.ciphertext_bytes)
                    used = layout.used(output)
                    values = self.engine.decrypt(answer)
                    if len(self.sample) < NOISE_SAMPLE_ANSWERS:
                        self.sample.append((answer, values))
                    row[column : column + used.size] = values[used]
                    column += used.size
        return shares

    def noise_bits(self) -> float:
        """log2 of the root mean square error of the answers kept, as a fraction of the decoding interval q/t.

        Every coefficient of a product adds up as many table entries, used or not, so whole polynomials are pooled.
        """
        errors = [self.engine.relative_errors(answer, values) for answer, values in self.sample]
        return float(np.log2(np.sqrt(np.mean(np.square(errors)))))
