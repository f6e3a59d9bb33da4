"""What all figures share: a palette for the colour-blind and for grey print, checks of frames, captions, saving."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 160

# Okabe and Ito's palette without its yellow, and two of Tol's muted colours, ordered so that neighbours differ in
# lightness as well.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#882255", "#999933")
LINES: tuple[Any, ...] = (
    "-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 3)), (0, (1, 3)), (0, (3, 1)), (0, (10, 2, 3, 2)),
)  # fmt: skip
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "----", "oo", "||||", "++++")
FILLS = ("#4D4D4D", "#E69F00", "#56B4E9", "#F2F2F2", "#D55E00", "#009E73", "#CC79A7", "#C48AA0", "#CCCC88")
"""Of bars, which carry a hatch each: light enough for it to show, or dark and plain."""

GREY = "0.35"
SMALL = 7.5
CAPTION_POINTS = 7.0
_CHARACTERS_AN_INCH = 18.0
_LINE_IN = CAPTION_POINTS * 1.25 / 72
_UNSTATED = "source: a data frame without a stated origin"


class Series(NamedTuple):
    """How one series looks wherever it is drawn."""

    colour: str
    line: Any
    mark: str
    fill: str
    hatch: str


def series(k: int) -> Series:
    """The k-th look: colour, line, mark, fill and hatch all differ from those of the other first nine."""
    return Series(
        COLOURS[k % len(COLOURS)],
        LINES[k % len(LINES)],
        MARKS[k % len(MARKS)],
        FILLS[k % len(FILLS)],
        HATCHES[k % len(HATCHES)],
    )


def figure(width_in: float = 7.5, height_in: float = 4.6) -> Figure:
    """An empty figure with the project's layout."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def check(
    frame: pd.DataFrame,
    figure_name: str,
    numbers: Sequence[str] = (),
    texts: Sequence[str] = (),
    positive: Sequence[str] = (),
) -> None:
    """Refuse a frame that a figure cannot be drawn from.

    Parameters
    ----------
    frame
        To be drawn.
    figure_name
        For the message.
    numbers, texts
        Columns that it must have; numbers must be finite.
    positive
        Those of ``numbers`` that lie on a logarithmic axis.

    Raises
    ------
    ValueError
        If a column is missing, empty, of another kind or out of its bounds; the message names it.
    """
    needed = [*texts, *numbers]
    missing = [column for column in needed if column not in frame]
    if missing:
        raise ValueError(f"frame of {figure_name} has no column {missing[0]!r}; it needs {', '.join(needed)}")
    if frame.empty:
        raise ValueError(f"frame of {figure_name} is empty; it needs at least one row")
    for column in numbers:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            raise ValueError(f"frame of {figure_name}: column {column!r} holds {frame[column].dtype}, not numbers")
        values = frame[column].to_numpy(dtype=float)
        if not np.isfinite(values).all():
            raise ValueError(f"frame of {figure_name}: column {column!r} has a value that is not finite")
        if column in positive and values.min() <= 0:
            raise ValueError(f"frame of {figure_name}: column {column!r} has {values.min():g}; it must be above 0")


def order(values: pd.Series[Any]) -> list[str]:
    """Distinct values of a column as texts, in the order of their categories or else of their first appearance."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [str(value) for value in values.cat.remove_unused_categories().cat.categories]
    return [str(value) for value in dict.fromkeys(values.tolist())]


def entitle(drawn: Figure, frame: pd.DataFrame, title: str, source: str, *notes: str) -> None:
    """Title above the figure; below it, in room of its own, notes and the configuration that it was made from.

    To be called last: the figure grows by the caption, and legends below the axes move up.
    """
    heading = title or str(frame.attrs.get("title", ""))
    if heading:
        drawn.suptitle(heading, fontsize=10.5)
    text = source or str(frame.attrs.get("source", "")) or _UNSTATED
    width = int(drawn.get_figwidth() * _CHARACTERS_AN_INCH)
    lines = [part for line in [*notes, *text.splitlines()] for part in textwrap.wrap(line, width)]
    caption_in = (len(lines) + 1) * _LINE_IN
    FigureCanvasAgg(drawn)  # measures texts
    legend_in = sum(legend.get_window_extent().height / drawn.dpi for legend in drawn.legends)
    height_in = drawn.get_figheight() + caption_in + legend_in
    drawn.set_figheight(height_in)
    below = (caption_in + legend_in + (0.08 if legend_in else 0.0)) / height_in
    drawn.set_layout_engine("constrained", rect=(0, below, 1, 1 - below))
    for legend in drawn.legends:
        legend.set_bbox_to_anchor((0.5, caption_in / height_in), transform=drawn.transFigure)
    drawn.text(
        0.01,
        (caption_in - 0.3 * _LINE_IN) / height_in,
        "\n".join(lines),
        fontsize=CAPTION_POINTS,
        linespacing=1.15,
        color=GREY,
        va="top",
    )


def grid(axes: Axes, which: Literal["both", "major"] = "major", axis: Literal["both", "x", "y"] = "both") -> None:
    """Light lines behind the data."""
    axes.set_axisbelow(True)
    axes.grid(True, which=which, axis=axis, color="0.9", linewidth=0.6)


def legend_below(drawn: Figure, handles: Sequence[Any], labels: Sequence[str], columns: int = 3) -> None:
    """A legend outside of the axes, so that it covers no data; :func:`entitle` makes room for it."""
    drawn.legend(handles, labels, loc="lower center", ncols=columns, fontsize=8, frameon=False)


def byte_text(size_bytes: float) -> str:
    """Bytes in three digits: 2.81 kB, 136 kB, 16.7 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= 0.9995 * factor:
            return f"{digits(size_bytes / factor)} {unit}"
    return f"{size_bytes:.0f} B"


def second_text(seconds: float) -> str:
    """Seconds in three digits: 14.2 ms, 3.51 s."""
    return f"{digits(seconds)} s" if seconds >= 0.9995 else f"{digits(1e3 * seconds)} ms"


def digits(value: float) -> str:
    """Three significant digits without an exponent."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def save(drawn: Figure, path: Path) -> Path:
    """Write a figure as PNG, SVG or PDF by the path's ending.

    Raises
    ------
    ValueError
        If the ending is none of these, or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"output is {str(path)!r}; a figure's name must end in one of {', '.join(FORMATS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path, dpi=DOTS_PER_INCH)
    except OSError as error:
        raise ValueError(f"output is {str(path)!r}, which cannot be written: {error.strerror}") from None
    return path
