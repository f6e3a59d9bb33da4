"""What each step of an ablation saves, in bytes and in latency, published numbers as marks."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from plots.bars import PUBLISHED
from plots.series import bytes_of, series_of
from plots.style import DARK, SMALL, check, digits, entitle, figure, grid, legend_below

KEPT: dict[str, Any] = {"facecolor": DARK, "hatch": ""}
SAVED: dict[str, Any] = {"facecolor": "white", "hatch": "////"}
MIB = 2.0**20


def waterfall(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Bytes and seconds after every step, what the step saved hatched above it.

    Parameters
    ----------
    frame
        Columns ``step``, ``latency_s`` and ``bytes``, ``bytes_per_query`` or ``up_bytes`` and ``down_bytes``, in order;
        without ``step`` every row is one, named by what it differs in. ``published_bytes`` and ``published_latency_s``
        may be there. A last step in a column ``aside`` that is true is drawn apart: it continues none.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    numbers = ("bytes", "latency_s")
    check(frame, "waterfall", ("latency_s",), positive=("latency_s",))
    frame = frame.assign(bytes=bytes_of(frame, "waterfall"))
    if "step" not in frame:
        frame = _steps_of(frame)
    check(frame, "waterfall", numbers, ("step",), positive=numbers)
    drawn = figure(8.5, 6.2)
    upper, lower = drawn.subplots(2, 1, sharex=True)
    _steps(upper, frame, "bytes", 1 / MIB)
    _steps(lower, frame, "latency_s", 1.0)
    upper.set_ylabel("both ways, without keys\n(MiB, 2$^{20}$ bytes)", fontsize=9)
    lower.set_ylabel("latency (s)", fontsize=9)
    steps = [textwrap.fill(str(step), 17) for step in frame["step"]]
    lower.set_xticks(range(len(frame)), steps, fontsize=SMALL)
    lower.set_xlabel("each with what the ones before it have")
    handles: list[Patch | Line2D] = [Patch(edgecolor="black", **look) for look in (KEPT, SAVED)]
    labels = ["model", "saved by the step"]
    if any(name in frame for name in ("published_bytes", "published_latency_s")):
        handles.append(Line2D([], [], **PUBLISHED))
        labels.append("published")
    legend_below(drawn, handles, labels, 3)
    entitle(drawn, frame, title, source)
    return drawn


def _steps_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with a column ``step``, every configuration being a step named by what it differs in."""
    check(frame, "waterfall", texts=("protocol",))
    frame = frame.reset_index(drop=True)
    found = series_of(frame, "waterfall")
    for one in found:
        if len(one.rows) > 1:
            raise ValueError(f"frame of waterfall has no column 'step', and {one.name} stands twice")
    return frame.assign(step=pd.concat([pd.Series(one.name, one.rows.index) for one in found]))


def _steps(axes: Axes, frame: pd.DataFrame, column: str, factor: float) -> None:
    values = frame[column].to_numpy(dtype=float) * factor
    aside = frame["aside"].to_numpy(dtype=bool) if "aside" in frame else np.zeros(len(values), dtype=bool)
    previous = np.where(aside, values, np.concatenate([values[:1], values[:-1]]))
    at = np.arange(len(values))
    bars = axes.bar(at, values, 0.6, edgecolor="black", linewidth=0.7, **KEPT)
    saved = np.maximum(previous - values, 0.0)
    axes.bar(at[saved > 0], saved[saved > 0], 0.6, bottom=values[saved > 0], edgecolor="0.5", linewidth=0.5, **SAVED)
    marks = frame.get(f"published_{column}")
    known = np.full(len(values), np.nan) if marks is None else marks.to_numpy(dtype=float) * factor
    axes.plot(at, known, **PUBLISHED)
    top = max(values.max(), np.nanmax(known, initial=0.0))
    for k, bar in enumerate(bars):
        text = digits(values[k]) + (
            "" if np.isnan(known[k]) else f"\npublished {known[k]:g}\n{100 * (values[k] / known[k] - 1):+.1f} %"
        )
        height = max(values[k] + saved[k], 0.0 if np.isnan(known[k]) else known[k])
        axes.text(
            bar.get_x() + bar.get_width() / 2, height + 0.03 * top, text, ha="center", va="bottom", fontsize=SMALL
        )
    axes.set_ylim(0, top * 1.32)
    grid(axes, axis="y")
