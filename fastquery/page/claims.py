"""The tab of claims: every published number, what the model gives for it, and the verdict."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
from bokeh.models import ColumnDataSource, DataTable, HTMLTemplateFormatter, TableColumn, TextInput

from costmodel.html import filled
from fastquery.page.shape import ALL, SHEET, card, filtering, follow_data, text, watch, wrapped
from validate.published import check_claims

COLUMNS = {"id": 260, "published": 110, "computed": 110, "error": 90, "verdict": 130, "source": 240, "why": 560}


@cache
def checked() -> pd.DataFrame:
    """Every claim, derived again, as texts."""
    frame = check_claims()
    return pd.DataFrame(
        {
            "id": frame["id"],
            "published": frame["published"].map(_number) + " " + frame["unit"],
            "computed": frame["computed"].map(_number),
            "error": ["" if pd.isna(error) else f"{100 * error:+.2f} %" for error in frame["relative_error"]],
            "verdict": frame["verdict"].where(~frame["verdict"].str.startswith("off"), "off"),
            "source": frame["source"],
            "why": frame["why"],
            "quote": frame["quote"],
        }
    )


class Claims:
    """The tab."""

    def __init__(self) -> None:
        frame = checked()
        self.verdict = filtering("Verdict", frame["verdict"].unique(), 200, self._filter)
        self.place = filtering("Table or section", frame["source"].unique(), 360, self._filter)
        self.match = TextInput(title="Id contains", width=200, stylesheets=[SHEET])
        self.count = text("", "note")
        self.source = ColumnDataSource({name: [] for name in (*COLUMNS, "quote")})
        columns = [
            TableColumn(field=name, title=name, width=width, formatter=HTMLTemplateFormatter(template=CELL))
            for name, width in COLUMNS.items()
        ]
        self.table = DataTable(
            source=self.source, columns=columns, index_position=None, sizing_mode="stretch_width", height=620,
            autosize_mode="none", stylesheets=[SHEET], reorderable=False, row_height=30, name="claims",
        )  # fmt: skip
        follow_data(self.table)
        self.quote = text("Choose a row to read the words that a number stands in.", "note")
        watch(self.source.selected, "indices", self._chosen)
        watch(self.match, "value", lambda _: self._filter())
        self.layout = card(wrapped(self.verdict, self.place, self.match), self.count, self.table, self.quote)
        self._filter()

    def _filter(self) -> None:
        frame = checked()
        kept = frame["id"].str.contains(self.match.value, regex=False)
        if self.verdict.value != ALL:
            kept &= frame["verdict"] == self.verdict.value
        if self.place.value != ALL:
            kept &= frame["source"] == self.place.value
        shown = frame[kept]
        self.source.data = {name: shown[name].tolist() for name in (*COLUMNS, "quote")}
        counts = ", ".join(f"{count} {verdict}" for verdict, count in shown["verdict"].value_counts().items())
        self.count.text = f"{len(shown)} of {len(frame)} claims{': ' if counts else ''}{counts}."

    def _chosen(self, indices: list[int]) -> None:
        if indices:
            k = indices[0]
            data: dict[str, Any] = dict(self.source.data)
            told = {name: data[name][k] for name in ("source", "quote", "why")}
            self.quote.text = filled("fastquery/page/quote.html", **told)


CELL = '<span title="<%= value %>"><%= value %></span>'


def _number(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{one:g}" for one in value)
    return "" if pd.isna(value) else f"{value:.6g}"
