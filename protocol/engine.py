"""What an engine is to the state machine of :mod:`protocol.lookup`: messages in, messages and shares out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costmodel.ledger import Unit
from costmodel.parameters import Configuration
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

Shares = NDArray[np.int64]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""


class Frame(bytes):
    """The body of a frame, and the objects that it carries.

    Attributes
    ----------
    unit, objects
        Kind and number of the objects, counted where they were made.
    """

    unit: Unit
    objects: int

    @classmethod
    def of(cls, body: bytes, unit: Unit, objects: int) -> Frame:
        """A body that carries so many objects."""
        frame = cls(body)
        frame.unit, frame.objects = unit, objects
        return frame


@dataclass(frozen=True)
class Shape:
    """Frames of one message, as both parties know them beforehand."""

    frames: int
    length: int  # bytes of the body of each

    @property
    def size_bytes(self) -> int:
        """Bytes of all bodies."""
        return self.frames * self.length


NOTHING = Shape(0, 0)


@dataclass(frozen=True)
class Shapes:
    """Every message of a session's keys and of one lookup."""

    keys: Shape
    announcement: Shape  # offline, prepared queries only
    first_halves: Shape  # offline, prepared queries only
    query: Shape
    answer: Shape
    kept_bytes: int = 0  # by a server's session besides its messages: its keys, ready for use
    prepared_bytes: int = 0  # by a server's session for a prepared lookup, until it comes


def root_mean_square_bits(errors: ArrayLike) -> float:
    """log2 of the root mean square of errors; of none at all, which only a made-up answer has, that of the least."""
    return float(np.log2(max(np.sqrt(np.mean(np.square(errors))), np.finfo(np.float64).tiny)))


class ClientEngine(Protocol):
    """The client's kernels; the secret key lives and dies in it.

    An engine is made for a number of tokens; its lookups of any number share its keys.
    """

    shapes: Shapes

    def lookup(self, tokens: int, prepared: bool) -> ClientEngine:
        """Kernels for one more lookup, of so many tokens, under the same keys; prepared, or computed whole."""

    def keys(self) -> Iterator[bytes]:
        """What the server needs to compute on this client's ciphertexts."""

    def announce(self) -> Iterator[bytes]:
        """What a prepared query tells before its tokens are known."""

    def accept_first_halves(self, frames: Iterable[bytes]) -> None:
        """What a prepared query learns before its tokens are known."""

    def encrypt(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """The query."""

    def decrypt(self, frames: Iterable[bytes]) -> Shares:
        """The client's shares modulo t of every packed coefficient, shape (tokens, n')."""

    def noise_bits(self) -> float:
        """log2 of the root mean square error of the answers decrypted, as a fraction of the decoding interval q/t."""


class ServerSession(Protocol):
    """The server's kernels for one client: its keys and its queries, the table behind them."""

    shapes: Shapes

    def lookup(self, tokens: int, prepared: bool) -> ServerSession:
        """Kernels for one more lookup, of so many tokens, with the keys that were accepted."""

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """Take and check the client's keys."""

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Do what depends on no token."""

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """The answer; the server's own shares are written to ``shares``, shape (tokens, n')."""


class ServerEngine(Protocol):
    """The server's kernels with a table encoded in them.

    Attributes
    ----------
    tokens_together
        Rows of a lookup that are computed on at once; fewer take less memory.
    """

    tokens_together: int

    def working_bytes(self, tokens: int, threads: int) -> int:
        """Memory that a lookup of so many rows by so many threads takes while it is computed.

        That is besides its messages, and besides what the session keeps. Reading keys takes no
        more than one row, or once more what is kept of them.
        """

    def session(self, tokens: int, meter: Meter) -> ServerSession:
        """Kernels for one client that looks so many rows up together."""


Server = TypeVar("Server", bound=ServerEngine, covariant=True)
Client = TypeVar("Client", bound=ClientEngine, covariant=True)


@dataclass(frozen=True)
class Engine(Generic[Server, Client]):
    """How the parties of an engine are made.

    Attributes
    ----------
    server : from configuration, packed table (m, n'), meter, progress, and whether OpenFHE may make a weaker ring
    client : with a fresh secret key, from configuration, tokens looked up together, meter, the same, and the record of
        used seeds
    """

    server: Callable[[Configuration, UnsignedArray, Meter, Progress, bool], Server]
    client: Callable[[Configuration, int, Meter, bool, SeedRecord], Client]
