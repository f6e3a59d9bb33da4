"""What all figures share: checks of frames, captions, limits of axes, saving."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context, rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike

from costmodel.files import replaced

FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 160

DARK, LIGHT = "#4D4D4D", "#D9D9D9"
"""Fills of bars that stand for no system."""

GREY = "0.35"
SMALL = 7.5
CAPTION_POINTS = 7.0
_CHARACTERS_AN_INCH = 18.0
_LINE_IN = CAPTION_POINTS * 1.25 / 72
_UNSTATED = "source: a data frame without a stated origin"


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


Span = tuple[float, float]


def limit(drawn: Figure, x: Span | None = None, y: Span | None = None) -> Figure:
    """Show a part of every panel alone; the scales of colours stay.

    Raises
    ------
    ValueError
        If a span does not rise, or reaches 0 on a logarithmic axis.
    """
    for axes in drawn.axes:
        if axes.get_label() == "<colorbar>":
            continue
        for name, span, scale, apply in (
            ("xlim", x, axes.get_xscale(), axes.set_xlim),
            ("ylim", y, axes.get_yscale(), axes.set_ylim),
        ):
            if span is None:
                continue
            if not (-math.inf < span[0] < span[1] < math.inf) or (scale == "log" and span[0] <= 0):
                above = " from above 0" if scale == "log" else ""
                raise ValueError(f"{name} is {span[0]:g},{span[1]:g}; it must rise{above}, and be finite")
            apply(*span)
    return drawn


def separate(texts: Sequence[Text], axes: Axes, x: ArrayLike = (), y: ArrayLike = ()) -> None:
    """Move texts off each other and off the points at x and y; to be called once everything else is drawn."""
    from adjustText import adjust_text

    if texts:
        drawn = axes.get_figure()
        assert isinstance(drawn, Figure)
        drawn.draw_without_rendering()
        arrow = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5}
        adjust_text(
            list(texts),
            x=np.asarray(x),
            y=np.asarray(y),
            ax=axes,
            expand=(1.5, 1.7),
            arrowprops=arrow,
        )


def save(drawn: Figure, path: Path) -> Path:
    """Write a figure as PNG, SVG or PDF by the path's ending.

    Raises
    ------
    ValueError
        If the ending is none of these, or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"output is {str(path)!r}; a figure's name must end in one of {', '.join(FORMATS)}")
    with replaced(path) as beside:
        drawn.savefig(beside, dpi=DOTS_PER_INCH)
    return path


@contextmanager
def styled(sheet: Path | None) -> Iterator[None]:
    """Draw in a style sheet of matplotlib, or in the project's own look.

    Raises
    ------
    ValueError
        If the sheet cannot be read.
    """
    if sheet is None:
        yield
        return
    try:
        parameters = rc_params_from_file(sheet, use_default_template=False)
    except OSError as error:
        raise ValueError(f"style is {str(sheet)!r}, which cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"style is {str(sheet)!r}, which is no text file") from None
    with rc_context(parameters):
        yield
