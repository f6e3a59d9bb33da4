"""What every embedding table is: rows by channels, read by ranges; in memory, or random of a given shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_ROWS: Final = 1 << 24
MAX_CHANNELS: Final = 1 << 16

_GENERATED_ROWS: Final = 256  # rows of one block of a random table; part of what a seed means


@dataclass(frozen=True)
class TableSource(ABC):
    """An embedding table of ``rows`` tokens by ``channels``, read by row ranges.

    Attributes
    ----------
    name : str
        As the user wrote it.
    rows, channels : int
        Vocabulary size m and embedding dimension n.
    provenance : dict
        Where the values come from, for reports.
    """

    name: str
    rows: int
    channels: int
    provenance: dict[str, Any] = field(compare=False, repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the table should know besides its shape."""
        return ()

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows ``start`` to ``stop`` (exclusive), shape (stop - start, channels).

        Raises
        ------
        ValueError
            If the range is outside the table or a weight is not finite.
        """
        if not 0 <= start <= stop <= self.rows:
            raise ValueError(f"table {self.name!r}: rows {start} to {stop} are outside 0 to {self.rows}")
        values = self._read(start, stop)
        finite = np.isfinite(values)
        if not finite.all():
            row, channel = np.argwhere(~finite)[0]
            raise ValueError(
                f"table {self.name!r}: the weight of row {start + row}, channel {channel} is "
                f"{values[row, channel]}, not a finite number"
            )
        return values

    @abstractmethod
    def _read(self, start: int, stop: int) -> NDArray[np.float32]: ...

    def blocks(self, block_bytes: int = 32 << 20) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The whole table as ``(first row, values)``, in blocks of ``block_bytes`` or of one row."""
        step = max(1, block_bytes // (4 * self.channels))
        for start in range(0, self.rows, step):
            yield start, self.read(start, min(start + step, self.rows))


@dataclass(frozen=True)
class ArrayTable(TableSource):
    """A table that is in memory already."""

    values: NDArray[np.float32] = field(compare=False, repr=False)

    @classmethod
    def of(cls, values: ArrayLike, name: str = "array") -> ArrayTable:
        """Wrap a two-dimensional array of numbers."""
        values = np.asarray(values, np.float32)
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(f"table {name!r}: shape {values.shape} is not rows by channels")
        rows, channels = values.shape
        return cls(name, rows, channels, {"kind": "array"}, values)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.values[start:stop]


@dataclass(frozen=True)
class RandomTable(TableSource):
    """A seeded normal table whose channels differ in magnitude.

    Channel j has the standard deviation ``0.02 * exp(0.3 * z_j)``, with z standard normal: uneven as the
    channels of language models' tables are ([1]_, figure 7), whose exact figures the paper does not give.
    Values are made by blocks of 256 rows from (seed, channels, block), so that they do not depend on how the
    table is read.

    References
    ----------
    .. [1] FastQuery (DAC 2024), figure 7. The spread 0.3 has no published source.
    """

    seed: int

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        values = np.empty((stop - start, self.channels), np.float32)
        magnitudes = self._magnitudes()
        for block in range(start // _GENERATED_ROWS, -(-stop // _GENERATED_ROWS)):
            first = block * _GENERATED_ROWS
            generator = np.random.default_rng([self.seed, self.channels, 1, block])
            drawn = generator.standard_normal((_GENERATED_ROWS, self.channels), np.float32)
            low, high = max(start, first), min(stop, first + _GENERATED_ROWS)
            np.multiply(drawn[low - first : high - first], magnitudes, out=values[low - start : high - start])
        return values

    def _magnitudes(self) -> NDArray[np.float32]:
        generator = np.random.default_rng([self.seed, self.channels, 0])
        return (0.02 * np.exp(0.3 * generator.standard_normal(self.channels))).astype(np.float32)
