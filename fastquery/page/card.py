"""A figure with its heading, a line on what it tells, and its export as PNG, SVG and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from bokeh.models import Column, CustomJS, DataTable, Div, Select, UIElement
from bokeh.plotting import figure as Figure

from fastquery.page.shape import SHEET, card, row, text

EXPORT = resources.files("fastquery.page").joinpath("export.js").read_text(encoding="utf-8")

SAVE = "Save"


def figure_card(
    name: str,
    heading: str,
    tells: str,
    drawn: Figure | DataTable,
    beside: Sequence[UIElement] = (),
    notes: Sequence[Div] = (),
) -> Column:
    """A figure or a table on the page.

    Parameters
    ----------
    name
        Of exported files.
    heading, tells
        Above the figure.
    drawn
        A figure, whose named renderers are exported as CSV; or a table, which is.
    beside
        Widgets beside the export.
    notes
        Texts between heading and figure.
    """
    kinds = ("CSV",) if isinstance(drawn, DataTable) else ("PNG", "SVG", "CSV")
    saving = Select(
        options=[SAVE, *kinds], value=SAVE, width=74, margin=(0, 0, 0, 6), stylesheets=[SHEET], name=f"save-{name}"
    )
    code = f"const NAME = {name!r}, SAVE = {SAVE!r};\n{EXPORT}"
    saving.js_on_change("value", CustomJS(args={"drawn": drawn}, code=code))
    return card(row(text(f"<h2>{heading}</h2>"), *beside, saving), text(tells, "tells"), *notes, drawn)
