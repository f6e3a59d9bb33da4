"""The table of sessions: what the workload costs by every chosen design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bokeh.models import ColumnDataSource, DataTable, TableColumn

from fastquery.page.designs import Figures, formatter, text_of
from fastquery.page.offers import OFFERS
from fastquery.page.shape import SHEET, follow_data, height_of
from fastquery.page.style import put

COLUMNS = {
    "total_bytes": ("bytes in all", 90),
    "setup_bytes": ("keys, once", 90),
    "first_share_s": ("first share", 90),
    "share_s": ("generated share", 110),
    "preparation_s": ("preparation", 90),
    "server_s": ("server CPU", 90),
    "sessions_per_core": ("sessions a core", 110),
}
"""By column, sorted by its numbers and shown by its texts: its title and its width."""


class Sessions:
    """The table."""

    def __init__(self) -> None:
        self.source = ColumnDataSource({"design": [], "excluded": []})
        columns = [TableColumn(field="design", title="design", width=170, formatter=formatter("design", "left"))]
        columns += [
            TableColumn(field=name, title=title, width=width, formatter=formatter(f"{name}_text", "right"))
            for name, (title, width) in COLUMNS.items()
        ]
        self.table = DataTable(
            source=self.source, columns=columns, index_position=None, sizing_mode="stretch_width", height=220,
            row_height=30, autosize_mode="none", stylesheets=[SHEET], css_classes=["numbers"], reorderable=False,
            name="sessions",
        )  # fmt: skip
        follow_data(self.table)

    def draw(self, figures: Figures, excluded: Mapping[str, str]) -> None:
        """A row a design."""
        data: dict[str, list[Any]] = {
            "design": [OFFERS[name].legend for name in figures],
            "excluded": [excluded.get(name, "") for name in figures],
        }
        for column in COLUMNS:
            data[column] = [one[column] for one in figures.values()]
            data[f"{column}_text"] = [text_of(column, value) for value in data[column]]
        put(self.source, data)
        self.table.height = height_of(len(figures))
