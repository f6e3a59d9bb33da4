"""Bit-width alignment in a session: from shares modulo t of packed coefficients to shares modulo 2^L of channels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from costmodel.alignment.ledger import needs_transfers
from costmodel.parameters import Configuration
from protocol.alignment import AlignmentClient, AlignmentServer, Fields
from protocol.channel import Channel
from protocol.engine import Shares
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.meter import Meter
from quantize.public import PublicTable

ChannelShares = NDArray[np.uint64]

TRANSFER_BYTES = 124
"""Memory of an oblivious transfer: its row, pads and digits, and what they are made from; measured at 100 to 120, with
blocks of four bits. The streams of a block of k bits take 2^k/8, and half of them are held twice."""


class Aligner(Protocol):
    """A session's alignment, the client's or the server's."""

    def setup(self) -> None:
        """Base transfers, once a session."""

    def align(self, shares: Shares) -> Shares | ChannelShares:
        """Aligned shares of every channel in packed order, shape (tokens, n)."""


class NoAlignment:
    """Leaves the packed shares as they are."""

    def setup(self) -> None:
        """Nothing."""

    def align(self, shares: Shares) -> Shares:
        """The same shares, modulo t."""
        return shares


class WideShares:
    """Shares of one channel a coefficient modulo a multiple of 2^L: aligned once they are reduced."""

    def __init__(self, align_bits: int) -> None:
        self._mask = np.uint64((1 << align_bits) - 1)

    def setup(self) -> None:
        """Nothing."""

    def align(self, shares: Shares) -> ChannelShares:
        """The shares modulo 2^L."""
        return shares.astype(np.uint64) & self._mask


class _Frames:
    """Messages of the alignment as frames of a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, kind: str, payload: bytes) -> None:
        self._channel.send(Kind[kind.upper()], payload)

    def receive(self, kind: str, length: int) -> bytes:
        return self._channel.receive(Kind[kind.upper()], length)


class ObliviousAlignment:
    """Alignment by correlated oblivious transfers, one a carry; see :mod:`protocol.alignment`."""

    def __init__(self, party: AlignmentClient | AlignmentServer, channels: int, meter: Meter) -> None:
        self._party = party
        self._channels = channels
        self._meter = meter

    def setup(self) -> None:
        """Base transfers."""
        with self._meter.work("base transfers"), _refusing():
            self._party.setup()

    def align(self, shares: Shares) -> ChannelShares:
        """Aligned shares of every channel in packed order, shape (tokens, n)."""
        with _refusing():
            fields = self._fields(shares.reshape(-1).astype(np.uint64))
        return np.ascontiguousarray(fields.reshape(len(shares), -1)[:, : self._channels])

    def _fields(self, shares: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Of every coefficient; what the server does before and after the client's message is counted apart."""
        party = self._party
        if isinstance(party, AlignmentClient):
            with self._meter.work("correct carries"):
                return party.align(shares)
        with self._meter.work("extend transfers"):
            party.prepare(shares)
        with self._meter.work("take corrections"):
            return party.finish()


def alignment_of(
    party: type[AlignmentClient] | type[AlignmentServer],
    configuration: Configuration,
    public: PublicTable,
    channel: Channel,
    meter: Meter,
    transcript: bytes,
) -> Aligner:
    """The alignment that a configuration asks for, bound to the session's first messages."""
    if not configuration.align_bits:
        return NoAlignment()
    modulus = configuration.ring.plaintext_modulus
    if not needs_transfers(len(public.field_moduli), modulus, configuration.align_bits):
        return WideShares(configuration.align_bits)
    with _refusing():
        fields = Fields.covering(public.field_moduli, modulus)
        session = hashlib.sha256(transcript).digest()
        made = party(_Frames(channel), fields, configuration.align_bits, configuration.block_bits, session)
    return ObliviousAlignment(made, public.channels, meter)


def aligning_bytes(configuration: Configuration, public: PublicTable, tokens: int) -> int:
    """Memory that the alignment of so many rows takes."""
    modulus, bits = configuration.ring.plaintext_modulus, configuration.align_bits
    if not bits or not needs_transfers(len(public.field_moduli), modulus, bits):
        return 0
    each = TRANSFER_BYTES + (1 << configuration.block_bits) // 4
    return each * tokens * public.coefficients * len(public.field_moduli)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ProtocolError(f"alignment: {error}") from None
