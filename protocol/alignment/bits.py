"""Exact packing of words into bits, and the transposition of bit matrices.

Bit j of a packed string is bit j mod 8 (least significant first) of byte j // 8. What is left of the last
byte is zero, and a receiver refuses anything else there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TRANSPOSED_BYTES = 4096  # of each column at a time: 4 MiB of unpacked bits at 128 columns


def packed_bytes(count: int, bits: int) -> int:
    """Bytes of `count` words of `bits` bits each: ceil(count * bits / 8)."""
    return -(-count * bits // 8)


def pack_words(words: NDArray[np.uint64], bits: int) -> bytes:
    """Pack the low `bits` bits (0 to 64) of every word, shape (count,)."""
    octets = words.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : packed_bytes(1, bits)]
    return np.packbits(np.unpackbits(octets, axis=1, bitorder="little")[:, :bits], bitorder="little").tobytes()


def unpack_words(name: str, payload: bytes, count: int, bits: int) -> NDArray[np.uint64]:
    """Undo `pack_words`: `count` words below 2^bits.

    Raises
    ------
    ValueError
        If the payload, called `name` in the message, has another length or a padding bit that is not zero.
    """
    if len(payload) != packed_bytes(count, bits):
        raise ValueError(f"{name}: {len(payload)} bytes, must be {packed_bytes(count, bits)}")
    unpacked = np.unpackbits(np.frombuffer(payload, np.uint8), bitorder="little")
    if unpacked[count * bits :].any():
        raise ValueError(f"{name}: padding bits are not zero")
    words = np.zeros((count, 64), np.uint8)
    words[:, :bits] = unpacked[: count * bits].reshape(count, bits)
    return np.packbits(words, axis=1, bitorder="little").view("<u8").reshape(count).astype(np.uint64)


def column_bytes(count: int) -> int:
    """Bytes of one column of a bit matrix of `count` rows."""
    return packed_bytes(count, 1)


def pack_column(bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack one column, shape (count,), into (column_bytes(count),)."""
    return np.packbits(bits, bitorder="little")


def padding_mask(count: int) -> NDArray[np.uint8]:
    """Shape (column_bytes(count),): ones at the `count` bits of a column, zeros at its padding."""
    return pack_column(np.ones(count, np.bool_))


def rows_from_columns(columns: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Transpose a bit matrix kept by columns, shape (width, column_bytes(count)), to (count, width / 8)."""
    width, length = columns.shape
    rows = np.empty((8 * length, width // 8), np.uint8)
    for start in range(0, length, _TRANSPOSED_BYTES):
        part = columns[:, start : start + _TRANSPOSED_BYTES]
        unpacked = np.ascontiguousarray(np.unpackbits(part, axis=1, bitorder="little").T)
        rows[8 * start : 8 * start + len(unpacked)] = np.packbits(unpacked, axis=1, bitorder="little")
    return rows[:count]
