"""Bytes against latency, a mark for every configuration, the Pareto front as a line."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from plots.style import SMALL, check, entitle, figure, grid, legend_below, order, series

NUMBERS = ("bytes", "latency_s")


def pareto(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Every configuration by bytes and latency, coloured by protocol; what no other one beats in both on a line.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``bytes`` and ``latency_s``; ``label`` is written beside the points on the front if there is
        one.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    check(frame, "pareto", NUMBERS, ("protocol",), positive=NUMBERS)
    drawn = figure(8.0, 5.8)
    axes = drawn.subplots()
    front = pareto_front(frame["bytes"], frame["latency_s"])
    best = frame[front].sort_values("bytes")
    axes.step(best["bytes"], best["latency_s"], where="post", color="0.45", linewidth=1.2, zorder=1)
    handles: list[Line2D] = []
    names = order(frame["protocol"])
    for k, name in enumerate(names):
        look, own = series(k), (frame["protocol"] == name).to_numpy()
        for shown, fill in ((own & ~front, "white"), (own & front, look.colour)):
            rows = frame[shown]
            axes.plot(
                rows["bytes"], rows["latency_s"], look.mark, mfc=fill, mec=look.colour, markersize=7.5, linestyle="none"
            )
        handles.append(Line2D([], [], marker=look.mark, mfc="0.6", mec=look.colour, color=look.colour, linestyle="none"))
    if "label" in frame:
        for number, (_, row) in enumerate(best.iterrows()):
            above = number % 2 == 0
            axes.annotate(
                str(row["label"]),
                (row["bytes"], row["latency_s"]),
                (6, 7 if above else -11),
                textcoords="offset points",
                fontsize=SMALL - 0.5,
                ha="left",
            )
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("query and answer, both ways, without keys (B)")
    axes.set_ylabel("latency from token to shares (s)")
    axes.margins(0.07)
    grid(axes, "both")
    handles.append(Line2D([], [], color="0.45", linewidth=1.2))
    legend_below(drawn, handles, [*names, "front (filled): beaten by none in both"], 3)
    entitle(drawn, frame, title, source)
    return drawn


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
