"""Table names: their shapes and packing, wherever a name is taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from costmodel.packing import field_moduli
from costmodel.parameters import Table
from quantize.packed import read_public
from quantize.public import PublicTable
from quantize.tables import table_shape


def table_of(name: str, tokens: int) -> Table:
    """Shape of the named table and how many rows are looked up; no weights are read.

    Raises
    ------
    ValueError
        If there is no such table.
    """
    public = packed_table(name)
    rows, channels = table_shape(name) if public is None else (public.rows, public.channels)
    return Table(rows, channels, tokens)


def levels_of(name: str, widths: Sequence[int] | None = None) -> tuple[int, ...] | None:
    """Levels of the channels of a coefficient, if the name is a packed table's file; else None.

    Parameters
    ----------
    name
        Of a table.
    widths
        Channel widths that the user asks for besides.

    Raises
    ------
    ValueError
        If the file is no packed table, or one of other widths than asked for.
    """
    public = packed_table(name)
    if public is None:
        return None
    if widths and field_moduli(widths) != public.field_moduli:
        raise ValueError(
            f"packing is {','.join(map(str, widths))}; table {name!r} is packed in channels of "
            f"{','.join(map(str, public.field_levels))} levels"
        )
    return public.field_levels


def packed_table(name: str) -> PublicTable | None:
    """Description of the packed table in ``FILE.safetensors``; None for every other kind of name.

    Raises
    ------
    ValueError
        If the file is no packed table.
    """
    return read_public(Path(name)) if name.endswith(".safetensors") else None
