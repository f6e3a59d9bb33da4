"""Texts, rows, columns and buttons of the page, each with the page's own style sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

from bokeh.models import Button, Column, CustomJS, DataTable, Div, Model, Row, Select, UIElement

SHEET = resources.files("fastquery.page").joinpath("parts.css").read_text(encoding="utf-8")
"""Of parts: each has a shadow root of its own, which no sheet of the page's head reaches."""
STRETCHED: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": [SHEET]}


def text(html: str = "", *classes: str, **options: Any) -> Div:
    """A piece of HTML."""
    return Div(text=html, css_classes=list(classes), **{**STRETCHED, "margin": 0, **options})


def row(*parts: UIElement, classes: tuple[str, ...] = (), **options: Any) -> Row:
    """Parts side by side."""
    return Row(*parts, css_classes=list(classes), **{**STRETCHED, "margin": 0, **options})


def column(*parts: UIElement, classes: tuple[str, ...] = (), **options: Any) -> Column:
    """Parts above each other."""
    return Column(*parts, css_classes=list(classes), **{**STRETCHED, "margin": 0, **options})


def card(*parts: UIElement) -> Column:
    """Parts on a sheet of their own."""
    return column(*parts, classes=("card",))


def pair(*sheets: Column) -> Row:
    """Sheets side by side where there is room, above each other where there is none."""
    for sheet in sheets:
        sheet.styles = {"flex": "1 1 430px", "min-width": "0"}
    return row(*sheets, styles={"flex-wrap": "wrap"})


def wrapped(*parts: UIElement) -> Row:
    """Small parts side by side, in as many lines as they need."""
    return row(*parts, styles={"flex-wrap": "wrap"})


def button(label: str, width: int) -> Button:
    """A small button."""
    return Button(label=label, width=width, height=26, margin=(0, 0, 0, 6), stylesheets=[SHEET])


def follow_data(table: DataTable) -> None:
    """Have a table drawn again with every change of its data; Bokeh does so only where the number of rows changes."""
    table.source.js_on_change("data", CustomJS(args={"view": table.view}, code="view.change.emit()"))


def height_of(rows: int) -> int:
    """Pixels of a table that shows all its rows, with room for the bar that scrolls it sideways."""
    return 30 + 30 * max(2, rows) + 12


ALL = "all"


def watch(one: Model, held: str, taken: Callable[[Any], None]) -> None:
    """Call with every new value of a model's property."""
    one.on_change(held, lambda _name, _before, value: taken(value))


def filtering(title: str, options: Iterable[str], width: int, changed: Callable[[], None]) -> Select:
    """A choice of one value or of all."""
    one = Select(title=title, options=[ALL, *options], value=ALL, width=width, stylesheets=[SHEET])
    watch(one, "value", lambda _: changed())
    return one
