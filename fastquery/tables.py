"""Table names: their shapes, wherever a name is taken."""

from __future__ import annotations

from costmodel.parameters import Table
from quantize.tables import table_shape


def table_of(name: str, tokens: int) -> Table:
    """Shape of the named table and how many rows are looked up; no weights are read.

    Raises
    ------
    ValueError
        If there is no such table.
    """
    rows, channels = table_shape(name)
    return Table(rows, channels, tokens)
