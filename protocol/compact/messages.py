"""Residues as they travel, and back: limb by limb, each limb in as many bits as both parties know it to have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ProtocolError
from protocol.residue.bits import pack_bits, packed_bytes, unpack_bits

Residues = NDArray[np.uint64]


def pack_limbs(limbs: Iterable[Residues], bits: Sequence[int]) -> bytes:
    """The values of every limb in so many bits each, one limb after the other."""
    return b"".join(pack_bits(values, width) for values, width in zip(limbs, bits, strict=True))


def unpack_limbs(data: bytes, count: int, bits: Sequence[int]) -> Iterator[Residues]:
    """``count`` values of every limb, unchecked against its modulus.

    Raises
    ------
    ProtocolError
        If the data is not what :func:`pack_limbs` makes of values.
    """
    lengths = [packed_bytes(count, width) for width in bits]
    if len(data) != sum(lengths):
        raise ProtocolError(f"message has {len(data)} bytes of residues, expected {sum(lengths)}")
    for length, width in zip(lengths, bits, strict=True):
        yield unpack(data[:length], count, width)
        data = data[length:]


def unpack(data: bytes, count: int, bits: int) -> Residues:
    """``count`` values of so many bits.

    Raises
    ------
    ProtocolError
        If the data has another length or a padding bit is set.
    """
    try:
        return unpack_bits(data, count, bits)
    except ValueError as error:
        raise ProtocolError(f"message is not in its only encoding: {error}") from None
