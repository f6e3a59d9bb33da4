"""Bytes against latency, a mark for every configuration, Pareto fronts as lines."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from plots.style import SMALL, check, entitle, figure, grid, legend_below, order, series

NUMBERS = ("bytes", "latency_s")


def pareto(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Every configuration by bytes and latency, coloured by protocol, each protocol's own front a line.

    What no other configuration of any protocol beats in both is filled.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``bytes`` and ``latency_s``; with a column ``label`` the points of fronts of several
        points are numbered, and the caption has their labels.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    check(frame, "pareto", NUMBERS, ("protocol",), positive=NUMBERS)
    drawn = figure(8.0, 5.6)
    axes = drawn.subplots()
    best = pareto_front(frame["bytes"], frame["latency_s"])
    handles: list[Line2D] = []
    notes: list[str] = []
    names = order(frame["protocol"])
    for k, name in enumerate(names):
        look, own = series(k), (frame["protocol"] == name).to_numpy()
        rows = frame[own].sort_values(["bytes", "latency_s"])
        front = rows[pareto_front(rows["bytes"], rows["latency_s"])]
        if len(front) > 1:
            axes.step(
                front["bytes"], front["latency_s"], where="post", color=look.colour, linestyle=look.line, zorder=1
            )
            if "label" in frame:
                first = len(notes) + 1
                notes += [f"{first + i} {label}" for i, label in enumerate(front["label"])]
                _number(axes, front["bytes"].to_numpy(dtype=float), front["latency_s"].to_numpy(dtype=float), first)
        for shown, fill in ((own & ~best, "white"), (own & best, look.colour)):
            points = frame[shown]
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
    legend_below(drawn, handles, [*names, "filled: beaten by none in both"], 3)
    entitle(drawn, frame, title, source, *(["; ".join(notes) + "."] if notes else []))
    return drawn


def _number(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], first: int) -> None:
    """Number points from left to right; points that nearly coincide share a text."""
    apart = np.maximum(np.abs(np.diff(np.log(x))), np.abs(np.diff(np.log(y)))) > 0.05
    for members in np.split(np.arange(len(x)), np.flatnonzero(apart) + 1):
        text = ", ".join(str(first + k) for k in members)
        at = x[members[-1]], y[members[-1]]
        axes.annotate(text, at, (6, 3), textcoords="offset points", fontsize=SMALL)


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
