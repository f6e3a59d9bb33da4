"""Tensors and metadata of ``.gguf`` files, read by the package ``gguf``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize._optional import require

GGUF_TYPES = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
"""Types whose values the package gives back as float32."""


@dataclass(frozen=True, eq=False)
class GGUFFile:
    """A ``.gguf`` file, memory-mapped.

    Attributes
    ----------
    path : Path
    reader : gguf.GGUFReader
    """

    path: Path
    reader: Any

    @classmethod
    def open(cls, path: Path, name: str) -> GGUFFile:
        """Read the header of a file.

        Parameters
        ----------
        path : Path
        name : str
            Of the table or model that the file is opened for, for errors.

        Raises
        ------
        ValueError
            If the package is missing, there is no such file, or it is no valid GGUF file.
        """
        gguf = require("gguf", f"table {name!r}")
        if not path.is_file():
            raise ValueError(f"table {name!r}: there is no file {str(path)!r}")
        try:
            return cls(path, gguf.GGUFReader(path))
        except (ValueError, IndexError, KeyError, OverflowError, OSError) as error:
            raise ValueError(f"table {name!r}: {str(path)!r} is no valid GGUF file ({error})") from error

    @cached_property
    def tensors(self) -> dict[str, Any]:
        """Tensors of the file by name."""
        return {tensor.name: tensor for tensor in self.reader.tensors}

    def metadata(self, key: str) -> Any:
        """Value of a metadata key.

        Raises
        ------
        ValueError
            If the file does not have it.
        """
        if key not in self.reader.fields:
            raise ValueError(f"{str(self.path)!r}: the metadata key {key!r} is missing")
        return self.reader.fields[key].contents()

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor, rows first (the file has it the other way round)."""
        return tuple(int(length) for length in self.tensors[key].shape[::-1])

    def type_name(self, key: str) -> str:
        """Name of a tensor's type, such as Q8_0."""
        return str(self.tensors[key].tensor_type.name)

    def rows(self, key: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows of a tensor of one or two dimensions, dequantised.

        Quantised blocks lie within a row, so that rows are read without the others.
        """
        tensor = self.tensors[key]
        dequantize = require("gguf.quants", "reading a GGUF tensor").dequantize
        part = tensor.data[start:stop] if tensor.data.ndim > 1 else tensor.data
        return np.array(dequantize(part, tensor.tensor_type), np.float32)

    def tensor(self, key: str) -> NDArray[np.float32]:
        """A whole tensor, dequantised."""
        shape = self.shape(key)
        return self.rows(key, 0, shape[0]).reshape(shape)


def open_gguf(path: Path, name: str) -> GGUFFile:
    """A GGUF file; one that was opened before is not parsed again."""
    require("gguf", f"table {name!r}")
    if not path.is_file():
        raise ValueError(f"table {name!r}: there is no file {str(path)!r}")
    return _parsed_gguf(path, path.stat().st_mtime_ns, name)


@cache
def _parsed_gguf(path: Path, modified_ns: int, name: str) -> GGUFFile:
    del modified_ns  # part of the key, so that a file that was replaced is read again
    return GGUFFile.open(path, name)
