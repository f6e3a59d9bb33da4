r"""Bit-width alignment: from shares modulo t of packed channels to shares modulo 2^L of every channel.

By `fields`, party P's share of channel i is p_i + W_{i-1} - m_i W_i, with p_i its own digit and W_i its share
of the carry a_i + b_i - a_i b_i: its own bit minus its share of the product, which one correlated transfer
gives. The client (bit a_i, sender of the transfer, word a_i) gets y_i, the server (bit b_i, choice) gets z_i,
y_i + z_i = a_i b_i.

Why the server chooses. Its share is the mask, which it draws itself: its choice bits, hence the large message
of the extension, wait for nothing and go before the token is known or together with the answer. The client,
once it has decrypted its share, sends L bits a channel and is done; so the alignment adds one message from
client to server to the query, where the other choice of roles would add a message each way, the larger one
first. The bytes are the same.

`prepare` is everything that precedes the client's share, `finish` the rest, `align` both. Setup once, then
any number of alignments. A party whose exchange failed is of no further use, so that no pad can come twice.

Parties that follow the protocol but are curious are the model: neither message tells the other party anything
of the shares. Nobody checks that the opened values keep half of each field free; where they do not, the
shares are wrong.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from protocol.alignment.base_ot import BASE_OTS, receive_base_ots, send_base_ots
from protocol.alignment.correlated import SALT_BYTES, CorrelatedReceiver, CorrelatedSender
from protocol.alignment.exchange import Exchange, receive_exactly
from protocol.alignment.extension import (
    EXTENSION,
    ExtensionReceiver,
    ExtensionSender,
    IknpReceiverSeeds,
    IknpSenderSeeds,
    ReceiverSeeds,
    SenderSeeds,
)
from protocol.alignment.fields import Fields, validate_target_bits
from protocol.alignment.messages import (
    CORRECTIONS,
    correction_bytes,
    extension_bytes,
    pack_corrections,
    transfers,
    unpack_corrections,
    validate_block_bits,
)
from protocol.alignment.softspoken import grow_trees, puncture_trees

MIN_SESSION_BYTES = 16


class _State(Enum):
    NEW = "before setup"
    READY = "between alignments"
    PREPARED = "prepared"
    FAILED = "failed"


class _Party:
    """What both parties know and keep."""

    def __init__(self, exchange: Exchange, fields: Fields, target_bits: int, block_bits: int, session: bytes) -> None:
        validate_target_bits(target_bits)
        validate_block_bits(block_bits)
        if len(session) < MIN_SESSION_BYTES:
            raise ValueError(f"session has {len(session)} bytes, must have at least {MIN_SESSION_BYTES}")
        self._exchange = exchange
        self._fields = fields
        self._target_bits = target_bits
        self._block_bits = block_bits
        self._session = hashlib.blake2b(session, digest_size=SALT_BYTES, person=b"alignment sid").digest()
        self._state = _State.NEW

    @contextmanager
    def _step(self, before: _State, after: _State) -> Iterator[None]:
        """One step of the state machine, which stays failed if the step does."""
        if self._state is not before:
            raise RuntimeError(f"alignment is {self._state.value!r}, must be {before.value!r}")
        self._state = _State.FAILED
        yield
        self._state = after

    def _join(
        self, digits: NDArray[np.uint64], bits: NDArray[np.bool_], products: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Shares of the channels from digits and bits, (coefficients, fields), and shares of the products.

        The products come field by field. A last field without transfers needs none: its modulus is 0 mod 2^L.
        """
        carries = bits.astype(np.uint64)
        shared = len(products) // max(1, len(digits))
        carries[:, :shared] -= products.reshape(shared, len(digits)).T
        return self._fields.join(digits, carries, self._target_bits)


def _by_field(bits: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The first `count` of (coefficients, fields) bits, field by field."""
    return bits.T.reshape(-1)[:count]


class AlignmentServer(_Party):
    """The server's part: it holds the mask, and chooses in the transfers.

    Parameters
    ----------
    exchange : Exchange
        The channel to the client.
    fields : Fields
        Fields of every coefficient.
    target_bits : int
        L, 1 to 64.
    block_bits : int
        1 for IKNP, 2 to 8 for SoftSpokenOT with that many bits a block.
    session : bytes
        At least 16 bytes that both parties know and that no other session of theirs has; public.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def setup(self) -> None:
        """Run the base transfers, as their sender, and grow the seeds of the extension.

        Raises
        ------
        ValueError
            If a message of the client is malformed.
        """
        with self._step(_State.NEW, _State.READY):
            keys = send_base_ots(self._exchange, self._session)
            seeds: ReceiverSeeds
            if self._block_bits == 1:
                seeds = IknpReceiverSeeds(keys)
            else:
                seeds = grow_trees(self._exchange, keys, self._block_bits)
            self._transfer = CorrelatedReceiver(ExtensionReceiver(seeds), self._session)

    def prepare(self, shares: NDArray[np.uint64]) -> None:
        """Send the extension's message for the server's shares, shape (coefficients,), each below t.

        Raises
        ------
        ValueError
            If a share is out of range.
        """
        with self._step(_State.READY, _State.PREPARED):
            self._digits = self._fields.split(shares)
            self._bits = self._fields.reach_half(self._digits)
            count = transfers(len(shares), self._fields, self._target_bits)
            self._exchange.send(EXTENSION, self._transfer.choose(_by_field(self._bits, count)))

    def finish(self) -> NDArray[np.uint64]:
        """Receive the client's message and return the shares modulo 2^L, shape (coefficients, fields).

        Raises
        ------
        ValueError
            If the message is malformed.
        """
        with self._step(_State.PREPARED, _State.READY):
            parameters = len(self._digits), self._fields, self._target_bits
            payload = receive_exactly(self._exchange, CORRECTIONS, correction_bytes(*parameters))
            products = self._transfer.shares(unpack_corrections(payload, *parameters))
            digits, bits = self._digits, self._bits
            del self._digits, self._bits
            return self._join(digits, bits, products)

    def align(self, shares: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """`prepare`, then `finish`."""
        self.prepare(shares)
        return self.finish()


class AlignmentClient(_Party):
    """The client's part: it holds what it decrypted, and is the transfers' sender.

    Parameters and errors are those of `AlignmentServer`.
    """

    def setup(self) -> None:
        """Run the base transfers, as their receiver with random choices, and get the extension's seeds.

        Raises
        ------
        ValueError
            If a message of the server is malformed.
        """
        with self._step(_State.NEW, _State.READY):
            random = np.frombuffer(secrets.token_bytes(BASE_OTS // 8), np.uint8)
            choices = np.unpackbits(random).astype(np.bool_)
            keys = receive_base_ots(self._exchange, self._session, choices)
            seeds: SenderSeeds
            if self._block_bits == 1:
                seeds = IknpSenderSeeds(keys, choices)
            else:
                seeds = puncture_trees(self._exchange, keys, choices, self._block_bits)
            self._transfer = CorrelatedSender(ExtensionSender(seeds), self._session)

    def prepare(self, coefficients: int) -> None:
        """Receive the extension's message for that many shares and hash both rows of every transfer.

        Raises
        ------
        ValueError
            If the message is malformed.
        """
        with self._step(_State.READY, _State.PREPARED):
            length = extension_bytes(coefficients, self._fields, self._target_bits, self._block_bits)
            message = receive_exactly(self._exchange, EXTENSION, length)
            count = transfers(coefficients, self._fields, self._target_bits)
            self._transfer.take(message, count)
            self._coefficients = coefficients

    def finish(self, shares: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Send the corrections and return the shares modulo 2^L, shape (coefficients, fields).

        Raises
        ------
        ValueError
            If the shares, shape (coefficients,), are not as many as prepared for, or one is not below t.
        """
        with self._step(_State.PREPARED, _State.READY):
            if len(shares) != self._coefficients:
                raise ValueError(f"shares: {len(shares)} coefficients, prepared for {self._coefficients}")
            digits = self._fields.split(shares)
            bits = self._fields.reach_half(digits)
            parameters = len(shares), self._fields, self._target_bits
            words = _by_field(bits, transfers(*parameters)).astype(np.uint64)
            corrections, products = self._transfer.correct(words)
            self._exchange.send(CORRECTIONS, pack_corrections(corrections, *parameters))
            return self._join(digits, bits, products)

    def align(self, shares: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """`prepare`, then `finish`."""
        self.prepare(len(shares))
        return self.finish(shares)
