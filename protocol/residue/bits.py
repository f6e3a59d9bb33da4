"""Arrays of k-bit integers as exactly ceil(count*k/8) bytes.

Integer i occupies bits i*k to (i+1)*k - 1 of the byte string read as one little-endian number; the bits beyond the
last integer are zero, so that every array has one encoding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.residue.compiled import kernel

_WORD_BITS = 64


def packed_bytes(count: int, bits: int) -> int:
    """Return the length of ``count`` integers of ``bits`` bits.

    Raises
    ------
    ValueError
        If the count is negative or the width not 1 to 64.
    """
    if count < 0:
        raise ValueError(f"count {count}: need at least 0")
    if not 1 <= bits <= _WORD_BITS:
        raise ValueError(f"bits {bits}: need 1 to {_WORD_BITS}")
    return (count * bits + 7) // 8


def pack_bits(values: NDArray[np.uint64], bits: int) -> bytes:
    """Return the encoding of an array's integers, in C order.

    Raises
    ------
    ValueError
        If the width is not 1 to 64 or a value needs more bits.
    """
    flat = np.ascontiguousarray(values, dtype=np.uint64).reshape(-1)
    length = packed_bytes(flat.size, bits)
    largest = int(flat.max(initial=0))
    if largest >> bits:
        raise ValueError(f"value {largest} needs more than {bits} bits")
    words = np.zeros(length // 8 + 2, dtype=np.uint64)
    _pack(flat, bits, words)
    return words.astype("<u8").tobytes()[:length]


def unpack_bits(data: bytes, count: int, bits: int) -> NDArray[np.uint64]:
    """Return the integers of an encoding.

    Raises
    ------
    ValueError
        If the length is not exactly that of ``count`` integers or a padding bit is set.
    """
    length = packed_bytes(count, bits)
    if len(data) != length:
        raise ValueError(f"data of {len(data)} bytes: {count} integers of {bits} bits take {length}")
    padding = 8 * length - count * bits
    if padding and data[-1] >> (8 - padding):
        raise ValueError(f"data: the {padding} padding bits of the last byte {data[-1]:#04x} are not zero")
    buffer = np.zeros(8 * (length // 8 + 2), dtype=np.uint8)
    buffer[:length] = np.frombuffer(data, dtype=np.uint8)
    out = np.empty(count, dtype=np.uint64)
    _unpack(buffer.view("<u8").astype(np.uint64), bits, out)
    return out


def pack_integers(values: Sequence[int], bits: int) -> bytes:
    """Return Python integers of any width in the same form."""
    digits = "".join(f"{value:0{bits}b}" for value in reversed(values))
    return int(digits or "0", 2).to_bytes(-(-len(values) * bits // 8), "little")


def unpack_integers(data: bytes, count: int, bits: int) -> list[int]:
    """Return the integers of :func:`pack_integers`.

    Raises
    ------
    ValueError
        If the length is not exactly that of ``count`` integers or a padding bit is set.
    """
    length = -(-count * bits // 8)
    if len(data) != length:
        raise ValueError(f"data of {len(data)} bytes: {count} integers of {bits} bits take {length}")
    if count == 0:
        return []
    digits = f"{int.from_bytes(data, 'little'):0{count * bits}b}"
    if len(digits) > count * bits:
        raise ValueError(f"data: a padding bit of the last byte {data[-1]:#04x} is set")
    return [int(digits[position : position + bits], 2) for position in range((count - 1) * bits, -1, -bits)]


@kernel
def _pack(values: NDArray[np.uint64], bits: int, words: NDArray[np.uint64]) -> None:
    for i in range(values.size):
        position = i * bits
        word, offset = position >> 6, np.uint64(position & 63)
        words[word] |= values[i] << offset
        # two shifts, as a shift by 64 is undefined
        words[word + 1] |= (values[i] >> np.uint64(1)) >> (np.uint64(63) - offset)


@kernel
def _unpack(words: NDArray[np.uint64], bits: int, out: NDArray[np.uint64]) -> None:
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for i in range(out.size):
        position = i * bits
        word, offset = position >> 6, np.uint64(position & 63)
        upper = (words[word + 1] << np.uint64(1)) << (np.uint64(63) - offset)
        out[i] = ((words[word] >> offset) | upper) & mask
