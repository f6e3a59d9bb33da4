"""The sortable table of designs, the figures of one of them spelled out, and why others are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import ColumnDataSource, DataTable, HTMLTemplateFormatter, TableColumn, TextInput

from costmodel.html import filled
from fastquery.page.held import Held
from fastquery.page.limits import bytes_of_query
from fastquery.page.offers import OFFERS
from fastquery.page.shape import SHEET, follow_data, height_of, watch
from fastquery.page.style import put
from fastquery.page.texts import bytes_text, seconds_text

Figures = Mapping[str, Mapping[str, float]]

# Sorted by their numbers and shown by their texts, which stand in a column of the same name with `_text` behind it.
COLUMNS = {
    "bytes": ("a query", 72),
    "up_bytes": ("up", 70),
    "down_bytes": ("down", 70),
    "setup_bytes": ("keys, once", 76),
    "latency_s": ("latency", 70),
    "server_s": ("server CPU", 80),
    "client_s": ("client CPU", 76),
    "security_bits": ("security", 68),
    "log2_failure": ("fails", 74),
    "flooding_bits": ("flooding", 66),
    "degree": ("N", 56),
}
"""By column: its title and its width."""
TEXTS = ("name", "design", "excluded", *(f"{column}_text" for column in COLUMNS))
"""Columns that a search reads."""


def text_of(column: str, value: float) -> str:
    """A figure as a person reads it."""
    if column.endswith("bytes"):
        return bytes_text(value)
    if column.endswith("_s"):
        return seconds_text(value)
    if column == "log2_failure":
        return f"2^{value:.1f}" if value > -1000 else "< 2^-1000"
    if column in ("security_bits", "flooding_bits"):
        return f"{value:.0f} bits" if value else "none"
    return f"{value:.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


class Designs:
    """The table; a click on a row puts the focus on its design, and a search leaves rows with all its words."""

    def __init__(self) -> None:
        self.source = ColumnDataSource({"name": [], "design": [], "excluded": []})
        self._every: dict[str, list[Any]] = {}
        self.search = TextInput(
            placeholder="Search all columns", width=170, height=26, margin=0, stylesheets=[SHEET], name="search-designs"
        )
        watch(self.search, "value_input", lambda _: self._show())
        columns = [TableColumn(field="design", title="design", width=146, formatter=formatter("design", "left"))]
        columns += [
            TableColumn(field=name, title=title, width=width, formatter=formatter(f"{name}_text", "right"))
            for name, (title, width) in COLUMNS.items()
        ]
        self.table = DataTable(
            source=self.source, columns=columns, index_position=None, sizing_mode="stretch_width", height=220,
            row_height=30, autosize_mode="none", stylesheets=[SHEET], css_classes=["numbers"], reorderable=False,
            name="designs",
        )  # fmt: skip
        follow_data(self.table)

    def draw(self, designs: Mapping[str, Held], figures: Figures, queries: int, excluded: Mapping[str, str]) -> None:
        """A row a design."""
        rows = []
        for name, one in designs.items():
            ring = one.configuration.ring
            size = bytes_of_query(figures[name], queries)
            numbers = {**figures[name], "bytes": size, "degree": ring.degree}
            rows.append({column: numbers[column] for column in COLUMNS})
        names = list(designs)
        data: dict[str, list[Any]] = {
            "name": list(names),
            "design": [OFFERS[name].legend for name in names],
            "excluded": [excluded.get(name, "") for name in names],
        }
        for column in COLUMNS:
            data[column] = [max(row[column], -1e6) for row in rows]
            data[f"{column}_text"] = [text_of(column, row[column]) for row in rows]
        self._every = data
        self._show()
        self.table.height = height_of(len(names))

    def _show(self) -> None:
        """Rows that hold every word of the search in one of their columns."""
        words = (self.search.value_input or "").lower().split()
        texts = zip(*(self._every[column] for column in TEXTS), strict=True)
        kept = [k for k, row in enumerate(texts) if all(any(word in one.lower() for one in row) for word in words)]
        put(self.source, {column: [values[k] for k in kept] for column, values in self._every.items()})


def formatter(column: str, align: str) -> HTMLTemplateFormatter:
    """A cell of text, pale and with the reason under the pointer where the row's ``excluded`` has one."""
    return HTMLTemplateFormatter(
        template=f'<div style="text-align:{align}; opacity:<%= excluded ? 0.5 : 1 %>" title="<%= excluded %>">'
        f"<%= {column} %></div>"
    )


LABELS = {
    "up_ciphertexts": "ciphertexts up",
    "down_ciphertexts": "ciphertexts down",
    "extracted_coefficients": "coefficients read",
    "plaintext_products": "plaintext products",
    "key_switches": "key switches",
    "up_bytes": "up",
    "down_bytes": "down",
    "setup_bytes": "keys, once",
    "table_bytes": "encoded table",
    "client_s": "client CPU",
    "server_s": "server CPU",
    "table_s": "encoding the table",
    "offline_s": "before the token",
    "latency_s": "latency",
    "latency_low_s": "latency, low",
    "latency_high_s": "latency, high",
    "security_bits_2018": "security, 2018",
    "security_bits_2024": "security, 2024",
    "security_bits": "security",
    "noise_bits": "noise over q/t",
    "log2_failure": "fails",
    "flooding_bits": "flooding",
    "log2_statistical_distance": "distance left",
    "log2_planned_distance": "distance planned",
    "total_bytes": "bytes in all",
    "setup_s": "set-up",
    "first_share_s": "first share",
    "share_s": "generated share",
    "preparation_s": "preparation",
    "unprepared": "unprepared tokens",
    "wait_s": "mean wait",
    "sessions_per_core": "sessions a core",
    "tokens": "tokens",
    "queries": "tokens of all clients",
}

EXPONENTS = ("noise_bits", "log2_statistical_distance", "log2_planned_distance")
"""Figures that are read as powers of two."""


def spelled_out(title: str, what: str, figures: Mapping[str, float]) -> str:
    """HTML of every figure of a design; each cell carries its figure's name and its exact value."""
    shown = [
        (name, LABELS.get(name, name), repr(value), f"2^{value:.1f}" if name in EXPONENTS else text_of(name, value))
        for name, value in figures.items()
    ]
    return filled("fastquery/page/figures.html", title=title, what=what, figures=shown)


def why_not(refused: Mapping[str, str], excluded: Mapping[str, str]) -> str:
    """HTML of what excludes each excluded design."""
    reasons = [(OFFERS[name].legend, why) for name, why in {**refused, **excluded}.items()]
    return filled("fastquery/page/why_not.html", reasons=reasons)


def headline(lookup: str, figures: Figures, allowed: Sequence[str], queries: int) -> str:
    """HTML of a lookup, and of who wins it."""
    if not allowed:
        return filled("fastquery/page/headline.html", lookup=lookup, fastest="")
    fastest = min(allowed, key=lambda name: figures[name]["latency_s"])
    smallest = min(allowed, key=lambda name: bytes_of_query(figures[name], queries))
    return filled(
        "fastquery/page/headline.html",
        lookup=lookup,
        fastest=OFFERS[fastest].legend,
        smallest=OFFERS[smallest].legend,
        latency=seconds_text(figures[fastest]["latency_s"]),
        size=bytes_text(bytes_of_query(figures[smallest], queries)),
    )
