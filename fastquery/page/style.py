"""What the page's figures share: colours on light and dark ground, lines and marks of the systems, bare axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure as Figure

from costmodel.system import Look


class Ground(NamedTuple):
    """Colours of what is not data."""

    ink: str
    faint: str
    line: str
    surface: str


LIGHT = Ground(ink="#1c1e21", faint="#5c6370", line="#e3e5e8", surface="#ffffff")
DARK = Ground(ink="#eceff3", faint="#a2a9b4", line="#353b44", surface="#1d2127")

UP, DOWN, KEYS, CLIENT, SERVER = "#0072B2", "#E69F00", "#9aa0a8", "#009E73", "#CC79A7"
"""What the client and the server send, keys, and what the client and the server compute."""

_MARKS = {
    "s": "square", "o": "circle", "^": "triangle", "D": "diamond", "d": "diamond_dot", "v": "inverted_triangle",
    "P": "plus", "X": "x", "*": "star", "<": "triangle_pin", ">": "square_pin", "h": "hex",
}  # fmt: skip
_LINES = {"-": [], "--": [7, 4], "-.": [8, 3, 2, 3], ":": [2, 3]}


def mark(look: Look) -> str:
    """Bokeh's name of a mark."""
    return _MARKS[look.mark]


def dash(look: Look) -> list[int]:
    """Lengths of a line's dashes and gaps in pixels."""
    if isinstance(look.line, str):
        return _LINES[look.line]
    return [max(1, round(1.6 * length)) for length in look.line[1]]


def colour(look: Look, ground: Ground) -> str:
    """The colour of a look, lightened where a dark ground would swallow it."""
    return look.colour if ground is LIGHT else _lightened(look.colour)


def _lightened(text: str) -> str:
    red, green, blue = (int(text[k : k + 2], 16) for k in (1, 3, 5))
    brightness = 0.299 * red + 0.587 * green + 0.114 * blue
    share = max(0.0, 0.85 * (1 - brightness / 130))  # of white
    return "#" + "".join(f"{round(part + share * (255 - part)):02x}" for part in (red, green, blue))


def plot(label: str, *, height: int = 340, tooltips: Any = None, **options: Any) -> Figure:
    """An empty figure; it resets with a double click, zooms with the wheel once that is switched on."""
    drawn = Figure(
        height=height, sizing_mode="stretch_width", tools="box_zoom,wheel_zoom,reset", toolbar_location="right",
        active_drag=None, name=label, **options,
    )  # fmt: skip
    drawn.toolbar.logo = None
    drawn.toolbar.autohide = True
    if tooltips:
        drawn.add_tools(HoverTool(tooltips=tooltips))
    drawn.min_border_left, drawn.min_border_right = 58, 24
    drawn.outline_line_color = None
    return drawn


def put(source: ColumnDataSource, data: Mapping[str, list[Any]]) -> None:
    """Give a source its data where they differ: equal data would be sent and drawn again."""
    if source.data != data:
        source.data = dict(data)


def repaint(drawn: Figure, ground: Ground) -> None:
    """Put a figure on a ground."""
    drawn.background_fill_color = drawn.border_fill_color = ground.surface
    for axis in drawn.axis:
        axis.axis_label_text_color = axis.major_label_text_color = ground.faint
        axis.axis_label_text_font_style = "normal"
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = ground.line
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
    for grid in drawn.grid:
        grid.grid_line_color = ground.line
    for legend in drawn.legend:
        legend.background_fill_color = ground.surface
        legend.label_text_color = ground.ink
        legend.label_text_font_size = "12px"
        legend.border_line_color = None
        legend.padding, legend.spacing, legend.glyph_width = 2, 10, 24


def legend_above(drawn: Figure, columns: int = 3) -> None:
    """Move a figure's legend above it, where it covers nothing."""
    legend = drawn.legend[0]
    legend.orientation, legend.location = "horizontal", "left"
    legend.ncols = columns
    if legend not in drawn.above:
        drawn.add_layout(legend, "above")
