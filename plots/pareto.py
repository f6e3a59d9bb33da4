"""Bytes against latency, a mark for every configuration, Pareto fronts as lines."""

from __future__ import annotations

import numpy as np
import pandas as pd
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
        alignment. With a column ``label`` both ends of a front are numbered, and the caption has their labels.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    check(frame, "pareto", ("latency_s",), ("protocol",), positive=("latency_s",))
    frame = frame.assign(bytes=bytes_of(frame, "pareto")).reset_index(drop=True)
    check(frame, "pareto", NUMBERS, positive=NUMBERS)
    drawn = figure(8.5, 5.8)
    axes = drawn.subplots()
    best = pd.Series(pareto_front(frame["bytes"], frame["latency_s"]), frame.index)
    handles: list[Line2D] = []
    notes: list[str] = []
    labels: list[Text] = []
    within = [str(column) for column in identity(frame) if column not in APART]
    found = series_of(frame, "pareto", [*within, "limb_bits", "log2_q"])
    for one in found:
        look, rows = one.look, one.rows.sort_values(["bytes", "latency_s"])
        front = rows[pareto_front(rows["bytes"], rows["latency_s"])].drop_duplicates(list(NUMBERS))
        if len(front) > 1:
            axes.step(
                front["bytes"], front["latency_s"], where="post", color=look.colour, linestyle=look.line, zorder=1
            )
            if "label" in frame:
                for _, end in front.iloc[[0, -1]].iterrows():
                    notes.append(f"{len(notes) + 1} {end['label']}")
                    labels.append(axes.text(end["bytes"], end["latency_s"], str(len(notes)), fontsize=SMALL))
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
    separate(labels, axes, frame["bytes"], frame["latency_s"])
    return drawn


APART = ("protocol", "engine", "ablation", "size", "table", "tokens", "flooding_bits", "prepared", "align_bits")
"""Columns that tell series apart; configurations that differ in others are points of one series."""


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
