r"""Many oblivious transfers from 128: what every extension shares, and the one by Ishai and others (IKNP).

After setup the receiver's seeds give, for query after query, pseudorandom columns u_b and v_i of n bits, and
the sender's seeds give columns w_i with

    w_i = v_i + delta_i u_{b(i)},    i = 0 ... 127,

where delta is the sender's secret and b(i) the block of column i. The receiver sends d_b = u_b + r for each
block, r its n choice bits, and the sender puts

    q_i = w_i + delta_i d_{b(i)} = v_i + delta_i r,    so that row j holds  q_j = v_j + r_j delta.

Then H(j, v_j) is H(j, q_j) where r_j = 0 and H(j, q_j + delta) where r_j = 1, and the other of the two looks
random to the receiver if H is correlation robust. Pads of a seed are a function of (seed, query counter), so
that one setup serves any number of queries and no pad is ever used twice.

In IKNP every column is a block of its own: with base OT keys k_{i,0}, k_{i,1} and a generator G,
v_i = G(k_{i,0}), u_i = G(k_{i,0}) + G(k_{i,1}), and the sender's w_i = G(k_{i,delta_i}): 128 bits a transfer.

Secure against parties that follow the protocol, with 128-bit security; a receiver that sends different r in
different blocks could learn bits of delta.

References
----------
Y. Ishai, J. Kilian, K. Nissim and E. Petrank, "Extending oblivious transfers efficiently", CRYPTO 2003,
section 3.
G. Asharov, Y. Lindell, T. Schneider and M. Zohner, "More efficient oblivious transfer extensions", J.
Cryptology 30, 2017, ePrint 2016/602, protocol 4 (the message from both seeds).
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.alignment.base_ot import BASE_OTS
from protocol.alignment.bits import column_bytes, pack_column, padding_mask, rows_from_columns

EXTENSION = "ot_extension"


class ReceiverSeeds(Protocol):
    """What setup leaves with the receiver of the extended transfers; `block_widths` add up to 128."""

    block_widths: tuple[int, ...]

    def columns(self, counter: int, length: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(u, v) of shapes (blocks, length) and (128, length) bytes; a counter is used once."""


class SenderSeeds(Protocol):
    """What setup leaves with the sender of the extended transfers; `block_widths` add up to 128."""

    block_widths: tuple[int, ...]
    delta: NDArray[np.bool_]

    def columns(self, counter: int, length: int) -> NDArray[np.uint8]:
        """W of shape (128, length) bytes; a counter is used once."""


def expand(seeds: NDArray[np.uint8], counter: int, length: int) -> NDArray[np.uint8]:
    """SHAKE-128 of a label, seed and counter: (count, length) pseudorandom bytes of (count, 16) of seeds."""
    suffix = counter.to_bytes(8, "little")
    streams = (hashlib.shake_128(b"column" + seed.tobytes() + suffix).digest(length) for seed in seeds)
    return np.frombuffer(b"".join(streams), np.uint8).reshape(len(seeds), length)


class IknpReceiverSeeds:
    """The receiver's seeds from both keys of every base OT, shape (128, 2, 16)."""

    block_widths = (1,) * BASE_OTS

    def __init__(self, keys: NDArray[np.uint8]) -> None:
        self._keys = keys

    def columns(self, counter: int, length: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(u, v), as `ReceiverSeeds` has it."""
        zeros = expand(self._keys[:, 0], counter, length)
        return zeros ^ expand(self._keys[:, 1], counter, length), zeros


class IknpSenderSeeds:
    """The sender's seeds from the chosen key of every base OT, shape (128, 16), and the choices, shape
    (128,).
    """

    block_widths = (1,) * BASE_OTS

    def __init__(self, keys: NDArray[np.uint8], choices: NDArray[np.bool_]) -> None:
        self._keys = keys
        self.delta = choices

    def columns(self, counter: int, length: int) -> NDArray[np.uint8]:
        """w, as `SenderSeeds` has it."""
        return expand(self._keys, counter, length)


class ExtensionReceiver:
    """Turns seeds into transfers, any number at a time; counts what it has used."""

    def __init__(self, seeds: ReceiverSeeds) -> None:
        self._seeds = seeds
        self._counter = 0

    def extend(self, choices: NDArray[np.bool_]) -> tuple[bytes, NDArray[np.uint8]]:
        """The message to the sender, blocks * ceil(n/8) bytes, and the rows v_j, (n, 16), for n choices."""
        count = len(choices)
        counter, self._counter = self._counter, self._counter + 1
        masks, columns = self._seeds.columns(counter, column_bytes(count))
        message = (masks ^ pack_column(choices)) & padding_mask(count)
        return message.tobytes(), rows_from_columns(columns, count)


class ExtensionSender:
    """The other party of `ExtensionReceiver`; the two stay in step by counting calls."""

    def __init__(self, seeds: SenderSeeds) -> None:
        self._seeds = seeds
        self._counter = 0
        self.delta = pack_column(seeds.delta)

    def extend(self, message: bytes, count: int) -> NDArray[np.uint8]:
        """The rows q_j, shape (count, 16), from the receiver's message.

        Raises
        ------
        ValueError
            If the message has another length than blocks * ceil(count/8) or a padding bit that is not zero.
        """
        counter, self._counter = self._counter, self._counter + 1
        length = column_bytes(count)
        widths = self._seeds.block_widths
        if len(message) != len(widths) * length:
            raise ValueError(f"{EXTENSION}: {len(message)} bytes, must be {len(widths) * length}")
        masked = np.frombuffer(message, np.uint8).reshape(len(widths), length)
        if (masked & ~padding_mask(count)).any():
            raise ValueError(f"{EXTENSION}: padding bits are not zero")
        selected = np.where(self._seeds.delta[:, None], np.repeat(masked, widths, axis=0), np.uint8(0))
        return rows_from_columns(self._seeds.columns(counter, length) ^ selected, count)
