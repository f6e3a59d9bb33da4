"""Public linear maps between an embedding and the channels that are quantised.

A map is public when it depends on nothing of the table, so that each party applies it to its own share.
`undo` works on opened numbers, `undo_integers` on integers or on shares modulo ``2^64``; they differ by the
factor `gain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import shake_128
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Identity:
    """The channels are the embedding."""

    kind: ClassVar[str] = "identity"

    def check(self, channels: int) -> None:
        """Nothing to check: any number of channels will do."""

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Channels of embeddings."""
        return rows

    def undo(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings of channel values."""
        return values

    def undo_integers(self, values: Numbers) -> Numbers:
        """Embeddings, without the factor `gain`, of integers or shares."""
        return values

    @property
    def gain(self) -> float:
        """What `undo_integers` leaves out."""
        return 1.0


@dataclass(frozen=True)
class Hadamard:
    """Random signs, then the Walsh-Hadamard matrix on blocks of channels: ``y = x D H / sqrt(block)``.

    It spreads what is uneven between channels and makes their values near normal, which a uniform quantiser
    likes.

    Attributes
    ----------
    block : int
        A power of two that divides the number of channels.
    seed : int
        Of the signs D, 0 to ``2^32 - 1``. They come from SHAKE128, so that both parties have the same.

    References
    ----------
    .. [1] Xi, Li, Chen, Zhu, "Training Transformers with 4-bit Integers" (2023): the Hadamard quantiser.
    """

    kind: ClassVar[str] = "hadamard"
    block: int
    seed: int = 0

    @classmethod
    def for_channels(cls, channels: int, seed: int = 0) -> Hadamard:
        """The transform on the largest blocks that divide ``channels``.

        Raises
        ------
        ValueError
            If ``channels`` is odd, so that no block of two or more divides it.
        """
        block = channels & -channels
        if block < 2:
            raise ValueError(f"channels: {channels} is odd, and a Hadamard transform needs blocks of a power of two")
        return cls(block, seed)

    @classmethod
    def by_shifts(cls, channels: int, seed: int = 0) -> Hadamard:
        """The transform on the largest blocks of a power of four, whose factor ``1 / sqrt(block)`` is a shift.

        Raises
        ------
        ValueError
            If 4 does not divide ``channels``.

        Examples
        --------
        >>> Hadamard.by_shifts(384).block, Hadamard.by_shifts(384).gain
        (64, 0.125)
        """
        bits = (channels & -channels).bit_length() - 1
        if bits < 2:
            raise ValueError(f"channels: {channels} is no multiple of 4, and blocks of a power of four are needed")
        return cls(1 << (bits - bits % 2), seed)

    def check(self, channels: int) -> None:
        """Raise a ValueError unless the block is a power of two that divides ``channels``."""
        if self.block < 2 or self.block & (self.block - 1) or channels % self.block:
            raise ValueError(f"transform: block {self.block} is no power of two that divides {channels} channels")
        if not 0 <= self.seed < 1 << 32:
            raise ValueError(f"transform: seed {self.seed} is outside 0 to 2^32 - 1")

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Channels of embeddings."""
        signs = self._signs(rows.shape[-1]).astype(np.float32)
        channels: NDArray[np.float32] = _walsh_hadamard(rows * signs, self.block) * np.float32(self.gain)
        return channels

    def undo(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings of channel values."""
        signs = self._signs(values.shape[-1]).astype(np.float32)
        rows: NDArray[np.float32] = _walsh_hadamard(values, self.block) * (signs * np.float32(self.gain))
        return rows

    def undo_integers(self, values: Numbers) -> Numbers:
        """Embeddings, without the factor `gain`, of integers or shares (unsigned arrays wrap)."""
        signs = self._signs(values.shape[-1])
        transformed = _walsh_hadamard(values, self.block)
        return np.where(signs < 0, np.zeros_like(transformed) - transformed, transformed)

    @property
    def gain(self) -> float:
        """What `undo_integers` leaves out, ``1 / sqrt(block)``."""
        return float(self.block**-0.5)

    def _signs(self, channels: int) -> NDArray[np.int8]:
        stream = shake_128(b"hadamard signs" + self.seed.to_bytes(4, "little")).digest(-(-channels // 8))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=channels)
        return (1 - 2 * bits.astype(np.int8)).astype(np.int8)


Transform = Identity | Hadamard
IDENTITY: Final = Identity()


def _walsh_hadamard(values: Numbers, block: int) -> Numbers:
    """Unnormalised Walsh-Hadamard transform of each block of the last axis, in natural order."""
    # Tables without this transform, and parties that hold one, need no compiler.
    from quantize.kernels import add_and_subtract

    result: Numbers = values.reshape(-1, block).copy()
    add_and_subtract(result)
    return result.reshape(values.shape)
