"""Bytes against latency, a mark for every configuration, Pareto fronts as lines."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import ArrayLike, NDArray

from plots.series import bytes_of, identity, series_of
from plots.style import SMALL, check, entitle, figure, grid, legend_below, separate

NUMBERS = ("bytes", "latency_s")


def pareto(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Every configuration by bytes and latency, in the look of its system, each series' own front a line.

    A mark is filled where no other configuration of any series beats it in both.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``latency_s``, and ``bytes``, ``bytes_per_query`` or ``up_bytes`` and ``down_bytes``.
        Configurations of a system are one series, told apart by engine, table, tokens, flooding, preparation and
        alignment. With a column ``label`` the points of fronts of several points are numbered, and the caption has
        their labels.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    check(frame, "pareto", ("latency_s",), ("protocol",), positive=("latency_s",))
    frame = frame.assign(bytes=bytes_of(frame, "pareto"))
    check(frame, "pareto", NUMBERS, positive=NUMBERS)
    drawn = figure(8.5, 5.8)
    axes = drawn.subplots()
    best = pd.Series(pareto_front(frame["bytes"], frame["latency_s"]), frame.index)
    handles: list[Line2D] = []
    notes: list[str] = []
    labels: list[Text] = []
    within = [column for column in identity(frame) if column not in APART]
    found = series_of(frame, "pareto", [*within, "limb_bits", "log2_q"])
    for one in found:
        look, rows = one.look, one.rows.sort_values(["bytes", "latency_s"])
        front = rows[pareto_front(rows["bytes"], rows["latency_s"])].drop_duplicates(list(NUMBERS))
        if len(front) > 1:
            axes.step(
                front["bytes"], front["latency_s"], where="post", color=look.colour, linestyle=look.line, zorder=1
            )
            if "label" in frame:
                first = len(notes) + 1
                notes += [f"{first + i} {label}" for i, label in enumerate(front["label"])]
                labels += _number(
                    axes, front["bytes"].to_numpy(dtype=float), front["latency_s"].to_numpy(dtype=float), first
                )
        for chosen, fill in ((~best[rows.index], "white"), (best[rows.index], look.colour)):
            points = rows[chosen]
            axes.plot(
                points["bytes"], points["latency_s"], look.mark, mfc=fill, mec=look.colour, markersize=7, ls="none"
            )
        line = look.line if len(front) > 1 else "none"
        handles.append(
            Line2D([], [], marker=look.mark, mfc="white", mec=look.colour, color=look.colour, linestyle=line)
        )
    handles.append(Line2D([], [], marker="o", mfc="0.3", mec="0.3", linestyle="none"))
    axes.set(xscale="log", yscale="log", xlabel="bytes a query, both ways (B)")
    axes.set_ylabel("latency from token to shares (s)")
    axes.margins(0.07)
    grid(axes, "both")
    legend_below(drawn, handles, [*(one.name for one in found), "filled: beaten by none in both"], 3)
    entitle(drawn, frame, title, source, *(["; ".join(notes) + "."] if notes else []))
    separate(labels, axes)
    return drawn


APART = ("protocol", "engine", "ablation", "size", "table", "tokens", "flooding_bits", "prepared", "align_bits")
"""Columns that tell series apart; configurations that differ in others are points of one series."""


def _number(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], first: int) -> list[Text]:
    """Number points from left to right; points that nearly coincide share a text."""
    apart = np.maximum(np.abs(np.diff(np.log(x))), np.abs(np.diff(np.log(y)))) > 0.05
    texts = []
    for members in np.split(np.arange(len(x)), np.flatnonzero(apart) + 1):
        text = ", ".join(str(first + k) for k in members)
        texts.append(axes.text(x[members[-1]], y[members[-1]], text, fontsize=SMALL))
    return texts


def pareto_front(first: ArrayLike, second: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other point beats in one figure without being beaten in the other; of equals all."""
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    by_first = np.lexsort((y, x))
    ordered_x, ordered_y = x[by_first], y[by_first]
    least_before = np.concatenate([[np.inf], np.minimum.accumulate(ordered_y)[:-1]])
    new = ordered_y < least_before
    # An equal of a point on the front follows it directly.
    leaders = np.maximum.accumulate(np.where(new, np.arange(len(x)), -1))
    equal = (leaders >= 0) & (ordered_x == ordered_x[leaders]) & (ordered_y == ordered_y[leaders])
    front = np.zeros(len(x), dtype=bool)
    front[by_first] = new | equal
    return front
