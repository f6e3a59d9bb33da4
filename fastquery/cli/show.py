"""How results look in a terminal."""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from costmodel.formulas import Symbol
from costmodel.latency import LatencySplit
from costmodel.parameters import Configuration, Packing

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table
    from rich.text import Text


def columns() -> int:
    """Columns of the terminal that standard output is; no bound where it is none, so that a pipe has whole lines."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def bytes_text(size_bytes: float) -> str:
    """Bytes in full and in MB (10^6) where that helps: ``1,508,805 B (1.51 MB)``."""
    exact = f"{size_bytes:,.0f} B"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{exact} ({size_bytes / factor:.3g} {unit})"
    return exact


def seconds_text(seconds: float) -> str:
    """Seconds in a unit that reads well."""
    if not seconds:
        return "0 s"
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def split_text(split: LatencySplit) -> str:
    """Where a latency goes, and its largest part."""
    parts = {name.removesuffix("_s"): value for name, value in split._asdict().items()}
    total = sum(parts.values())
    share = f"{parts[split.dominant] / total:.0%}" if total else "0%"
    listed = ", ".join(f"{name} {seconds_text(value)}" for name, value in parts.items())
    return f"{listed}; most of it {split.dominant} ({share})"


def packing_text(packing: Packing) -> str:
    """Channels of a coefficient by their bits, or by their levels where these are no powers of two."""
    unit = "levels" if packing.levels else "bits"
    channels = ",".join(map(str, packing.levels or packing.widths))
    return f"{channels} {unit}, tile {packing.tile}, answers as {packing.output}"


def lookup_rows(configuration: Configuration) -> dict[str, str]:
    """The lines that say what is looked up, and how."""
    table, ring = configuration.table, configuration.ring
    limbs = "+".join(str(bits) for bits in ring.limb_bits)
    modulus = ring.plaintext_modulus
    power = modulus.bit_length() - 1
    stated = f"2^{power}" if modulus == 1 << power else str(modulus)
    extras = [f"size {configuration.size}"] if configuration.size != "native" else []
    extras += ["prepared"] if configuration.prepared else []
    extras += [f"shares of {configuration.align_bits} bits"] if configuration.align_bits else []
    extras += list(configuration.options)
    return {
        "lookup": f"{table.tokens} token(s) of {table.rows} x {table.channels}",
        "protocol": ", ".join([configuration.protocol, f"engine {configuration.engine}", *extras]),
        "ring": f"N={ring.degree}, q={limbs} bits, t={stated}",
        "packing": packing_text(configuration.packing),
    }


def flooding_text(
    configuration: Configuration, flooding_bits: float, log2_distance: float, log2_planned_distance: float
) -> str:
    """The flooding of the answers, and what it leaves of the table's protection."""
    if not flooding_bits:
        return "none: the table is not protected from the client"
    published = "" if configuration.flooding_bits else ", as published"
    said = f"{flooding_bits:.0f} bits{published}, statistical distance 2^{log2_distance:.1f}"
    planned = f", 2^{log2_planned_distance:.1f} after {configuration.queries:,} queries"
    return said + planned if configuration.queries > configuration.table.tokens else said


def pairs(rows: Mapping[str, str]) -> str:
    """Names and values in two columns; in a terminal the lines of a value stay in theirs."""
    if sys.stdout.isatty():
        from rich.table import Table  # here, as below: pipes start sooner without

        grid = Table.grid("", "", padding=(0, 2))
        for name, value in rows.items():
            grid.add_row(_plain_cell(name), _plain_cell(value))
        return _rendered(grid)
    width = max(len(name) for name in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def table_text(frame: pd.DataFrame) -> str:
    """The cells of a frame in columns; where a terminal is too narrow, a row is a paragraph under its leading texts."""
    plain = frame.to_string(index=False)
    if not sys.stdout.isatty():
        return plain
    if max(map(len, plain.splitlines())) > columns():
        return _paragraphs(frame, columns())
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in frame:
        table.add_column(_plain_cell(name), justify="right", no_wrap=True)
    for row in frame.itertuples(index=False):
        table.add_row(*map(_plain_cell, row))
    return _rendered(table)


def _paragraphs(frame: pd.DataFrame, width: int) -> str:
    """A paragraph a row: its leading texts, and under them the name and the value of every other cell."""
    cells = frame.astype(str)
    numbers = [bool(cells[name].str.contains(r"\d").any()) for name in frame]
    leading = max(1, numbers.index(True) if True in numbers else len(numbers))
    titles, rest = cells.iloc[:, :leading], cells.iloc[:, leading:]
    lines = []
    for title, row in zip(titles.itertuples(index=False), rest.to_dict(orient="records"), strict=True):
        lines += textwrap.wrap(" ".join(title), width)
        lines.append(indented(", ".join(f"{name} {value}" for name, value in row.items() if value), width))
    return "\n".join(lines)


def indented(text: str, width: int) -> str:
    """A text in lines of a width, four columns to the right."""
    return textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ")


def _plain_cell(value: object) -> Text:
    """A cell whose brackets are no markup."""
    from rich.text import Text

    return Text(str(value))


def _rendered(table: Table) -> str:
    """A table in the terminal's width, in its colours if it has any and NO_COLOR is not set."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def ledger_text(ledger: pd.DataFrame, columns: list[str]) -> str:
    """A ledger as text, empty cells blank; names of columns begin with what is in them."""
    import pandas as pd  # here, since most texts need no frame and start sooner without

    shown = ledger[columns].copy()
    for kind, as_text in (
        ("count", "{:,.10g}".format),
        ("messages", "{:,.10g}".format),
        ("bytes", "{:,.0f}".format),
        ("seconds", seconds_text),
    ):
        for column in columns:
            if column.startswith(kind):
                shown[column] = [as_text(value) if pd.notna(value) else "" for value in shown[column]]
    return table_text(shown.fillna(""))


def symbols_text(symbols: Mapping[str, Symbol]) -> str:
    """Every symbol of a ledger's formulas: its value, its own formula if it has one, and its meaning."""
    return pairs(
        {
            name: f"{one.value:<10,.10g}  {one.meaning}" + (f" = {one.formula}" if one.formula else "")
            for name, one in symbols.items()
        }
    )


def json_text(document: Mapping[str, Any]) -> str:
    """One JSON document; what is not a number there is null."""
    return json.dumps(_plain(document), indent=2)


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return [_plain(row) for row in value.to_dict(orient="records")]
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if hasattr(value, "item"):
        return _plain(value.item())
    return value
