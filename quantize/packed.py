"""A quantised table, packed into plaintext coefficients: what the server holds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantize._optional import require
from quantize.packing import AnyIntegers, UnsignedArray, unsigned_dtype
from quantize.public import PublicTable

TENSOR: Final = "coefficients"
METADATA: Final = "fastquery"
_UNSIGNED: Final = ("uint8", "uint16", "uint32", "uint64")
_CHECKED_ROWS: Final = 4096


@dataclass(frozen=True, eq=False)
class PackedTable:
    """Packed coefficients and their public description.

    Attributes
    ----------
    coefficients : array of unsigned int, shape (rows, n')
        ``0 <= coefficient < public.plaintext_modulus``, in the smallest type.
    public : PublicTable
    """

    coefficients: UnsignedArray
    public: PublicTable

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PackedTable):
            return NotImplemented
        return self.public == other.public and np.array_equal(self.coefficients, other.coefficients)

    __hash__ = None  # type: ignore[assignment]  # an array cannot be hashed

    def __repr__(self) -> str:
        public = self.public
        return f"PackedTable({public.recipe}, {public.rows}x{public.channels}, levels {public.field_levels})"

    def _repr_html_(self) -> str:
        import pandas as pd  # of no use to a server

        public = self.public
        shown = {
            "recipe": public.recipe,
            "table": f"{public.rows}x{public.channels}",
            "tokens": f"{public.tokens}",
            "levels of a coefficient's channels": ", ".join(map(str, public.field_levels)),
            "coefficients of a row": f"{public.coefficients}, below {public.plaintext_modulus}",
            "memory": f"{self.coefficients.nbytes:,} B",
        }
        return pd.Series(shown).to_frame().to_html(header=False)

    def __post_init__(self) -> None:
        shape = (self.public.rows, self.public.coefficients)
        if self.coefficients.shape != shape:
            raise ValueError(f"coefficients: shape {self.coefficients.shape} where {shape} is described")
        dtype = unsigned_dtype(self.public.plaintext_modulus - 1)
        if self.coefficients.dtype != dtype:
            raise ValueError(f"coefficients: type {self.coefficients.dtype} where {dtype} is described")

    def levels(self, row: int) -> NDArray[np.int32]:
        """Signed levels of a row in the original channel order, shape (n,)."""
        if not 0 <= row < self.public.rows:
            raise ValueError(f"row: {row} is outside 0 to {self.public.rows - 1}")
        return self.public.open(self.coefficients[row])

    def embeddings(self, tokens: AnyIntegers | None = None) -> NDArray[np.float32]:
        """Dequantised embeddings of tokens (all of them by default), shape (tokens, n).

        Raises
        ------
        ValueError
            If a token is outside the vocabulary.
        """
        chosen = np.arange(self.public.tokens) if tokens is None else np.asarray(tokens)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < self.public.tokens:
            raise ValueError(f"tokens: an id is outside 0 to {self.public.tokens - 1}")
        if self.public.row_of_token is not None:
            chosen = np.asarray(self.public.row_of_token)[chosen]
        return self.public.dequantize(self.public.open(self.coefficients[chosen]))

    def save(self, path: str | Path) -> None:
        """Write one ``.safetensors`` file: the coefficients, and the description as metadata.

        Raises
        ------
        ValueError
            If the path is of anything but a regular file, or cannot be written.
        """
        place = Path(os.path.realpath(path))  # the library renames: over a link or a device it would put a file
        if place.exists() and not place.is_file():
            raise ValueError(f"path is {str(path)!r}, which is no regular file; name a new file or one to replace")
        if not place.parent.is_dir():
            raise ValueError(f"path is {str(path)!r}, whose folder does not exist; make the folder first")
        library = require("safetensors", "saving a packed table")
        try:
            require("safetensors.numpy", "saving a packed table").save_file(
                {TENSOR: np.ascontiguousarray(self.coefficients)},
                str(place),
                metadata={METADATA: self.public.to_json()},
            )
        except (library.SafetensorError, OSError) as error:
            raise ValueError(f"path is {str(path)!r}, which cannot be written: {error}") from None

    @classmethod
    def load(cls, path: Path) -> PackedTable:
        """Read a file of `save`, checking everything in it.

        Raises
        ------
        ValueError
            If it is no such file, or a coefficient is not one that the description allows.
        """
        public = read_public(path)
        with require("safetensors", "loading a packed table").safe_open(path, "numpy") as file:
            coefficients = file.get_tensor(TENSOR)
        if coefficients.dtype.name not in _UNSIGNED:
            raise ValueError(f"packed table: coefficients of type {coefficients.dtype}; unsigned integers are expected")
        table = cls(coefficients, public)
        for start in range(0, public.rows, _CHECKED_ROWS):
            public.open(coefficients[start : start + _CHECKED_ROWS])
        return table


def read_public(path: Path) -> PublicTable:
    """The description of a file of `PackedTable.save`, without its coefficients.

    Raises
    ------
    ValueError
        If it is no such file.
    """
    safetensors = require("safetensors", "loading a packed table")
    if not path.is_file():
        raise ValueError(f"packed table: there is no file {str(path)!r}")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            keys = list(file.keys())
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"packed table: {str(path)!r} is no valid safetensors file ({error})") from error
    if METADATA not in metadata or keys != [TENSOR]:
        raise ValueError(
            f"packed table: {str(path)!r} is a safetensors file but no packed table; "
            "a tensor of it is FILE.safetensors:KEY"
        )
    return PublicTable.from_json(metadata[METADATA])
