"""Shares of lookups in a folder, one file a lookup, and the rows of a table that they open to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from costmodel.files import output_path
from quantize.packed import PackedTable
from quantize.public import PublicTable
from quantize.quantizers import pack_levels, pack_source
from quantize.tables import open_table

if TYPE_CHECKING:
    from protocol.share import Share


def share_path(folder: Path, share: Share) -> Path:
    """Where a party's share of a lookup is kept in a folder."""
    return folder / f"{share.session}-{share.lookup:06d}-{share.party}.npz"


def require_folder(folder: Path) -> None:
    """Refuse a folder that shares cannot be kept in, before any is there.

    Raises
    ------
    ValueError
        If there is something else, or it cannot be written to or made.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"shares is {str(folder)!r}, which is no folder; name a folder")
    output_path(folder / "share.npz")


def keep(folder: Path, share: Share) -> None:
    """Save a share in a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    share.save(share_path(folder, share))


def described_table(name: str, seed: int, public: PublicTable) -> PackedTable:
    """A table by its name, packed as the shares of its rows say that theirs is.

    Raises
    ------
    ValueError
        If the table is unknown, or not of the shape or the description that the shares have.
    """
    if name.endswith(".safetensors"):
        table = PackedTable.load(Path(name))
        if table.public != public:
            raise ValueError(f"table {name!r} has another description than the shares")
        return table
    source = open_table(name, seed)
    if (source.rows, source.channels) != (public.rows, public.channels):
        raise ValueError(
            f"table {name!r} is {source.rows}x{source.channels}; the shares are of one of "
            f"{public.rows}x{public.channels}"
        )
    return pack_source(source, public)


def rows_of(levels: NDArray[np.int32], table: PackedTable) -> list[int | None]:
    """The first row of a table that each opened row is, bit for bit; None where there is none."""
    found: list[int | None] = []
    for packed in pack_levels(levels, table.public):
        same = np.flatnonzero((table.coefficients == packed).all(axis=1))
        found.append(int(same[0]) if len(same) else None)
    return found
