"""A figure with its heading, a line on what it tells, and its export as PNG, SVG and CSV."""

from __future__ import annotations

from importlib import resources
from typing import Any

import panel as pn
from bokeh.models import CustomJS, DataTable, Select
from bokeh.plotting import figure as Figure

from fastquery.page.shape import SHEET, card, row, text

EXPORT = resources.files("fastquery.page").joinpath("export.js").read_text(encoding="utf-8")

SAVE = "Save"


class Card:
    """A figure or a table on the page.

    Parameters
    ----------
    name
        Of exported files.
    heading, tells
        Above the figure.
    drawn
        A figure, whose named renderers are exported as CSV; or a table, which is.
    extra
        Widgets beside the export.
    """

    def __init__(self, name: str, heading: str, tells: str, drawn: Figure | DataTable, *extra: Any) -> None:
        self.note = text("", "note", visible=False)
        kinds = ("CSV",) if isinstance(drawn, DataTable) else ("PNG", "SVG", "CSV")
        # A plain Bokeh model: Panel looks through the whole document for every script that it attaches.
        saving = Select(options=[SAVE, *kinds], value=SAVE, width=74, margin=(0, 0, 0, 6), stylesheets=[SHEET])
        code = f"const NAME = {name!r}, SAVE = {SAVE!r};\n{EXPORT}"
        saving.js_on_change("value", CustomJS(args={"drawn": drawn}, code=code))
        self.layout = card(
            row(text(f"<h2>{heading}</h2>"), *extra, pn.pane.Bokeh(saving, margin=0)),
            text(tells, "tells"),
            self.note,
            pn.pane.Bokeh(drawn, sizing_mode="stretch_width", margin=0),
        )

    def say(self, line: str) -> None:
        """A line between heading and figure."""
        self.note.object, self.note.visible = line, bool(line)
