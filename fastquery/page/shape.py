"""Texts, rows, columns and buttons of the page, each with the page's own style sheet."""

from __future__ import annotations

from importlib import resources
from typing import Any

import panel as pn

SHEET = resources.files("fastquery.page").joinpath("parts.css").read_text(encoding="utf-8")
"""Of parts: each has a shadow root of its own, which no sheet of the page's head reaches."""
STRETCHED: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": [SHEET]}


def text(html: str = "", *classes: str, **options: Any) -> pn.pane.HTML:
    """A piece of HTML."""
    return pn.pane.HTML(html, css_classes=list(classes), **{**STRETCHED, "margin": 0, **options})


def row(*parts: Any, classes: tuple[str, ...] = (), **options: Any) -> pn.Row:
    """Parts side by side."""
    return pn.Row(*parts, css_classes=list(classes), **{**STRETCHED, "margin": 0, **options})


def column(*parts: Any, classes: tuple[str, ...] = (), **options: Any) -> pn.Column:
    """Parts above each other."""
    return pn.Column(*parts, css_classes=list(classes), **{**STRETCHED, "margin": 0, **options})


def card(*parts: Any) -> pn.Column:
    """Parts on a sheet of their own."""
    return column(*parts, classes=("card",))


def pair(*sheets: pn.Column) -> pn.FlexBox:
    """Sheets side by side where there is room, above each other where there is none."""
    for sheet in sheets:
        sheet.styles = {"flex": "1 1 430px", "min-width": "0"}
    return pn.FlexBox(*sheets, gap="0px", margin=0, sizing_mode="stretch_width")


def button(label: str, **options: Any) -> pn.widgets.Button:
    """A small button."""
    shape = {"height": 26, "margin": (0, 0, 0, 6), "stylesheets": [SHEET]}
    return pn.widgets.Button(name=label, **{**shape, **options})
