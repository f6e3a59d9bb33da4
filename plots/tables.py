"""What a table is like: magnitudes of its channels, frequencies of its tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plots.series import look_of_position
from plots.style import DARK, LIGHT, check, entitle, figure, grid, legend_below, order


def figure_7(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Mean absolute value of every channel, the salient ones apart; below, the same sorted.

    Parameters
    ----------
    frame
        Columns ``channel``, ``mean_magnitude`` and ``salient`` (true for those that get the wider field).
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a magnitude is not finite.
    """
    check(frame, "figure-7", ("channel", "mean_magnitude"), ("salient",))
    drawn = figure(8.5, 5.4)
    upper, lower = drawn.subplots(2, 1)
    ordered = frame.sort_values("channel")
    ranked = frame.sort_values("mean_magnitude", ascending=False)
    for axes, rows, at in (
        (upper, ordered, ordered["channel"].to_numpy(dtype=float)),
        (lower, ranked, np.arange(1.0, len(ranked) + 1)),
    ):
        heights, wide = rows["mean_magnitude"].to_numpy(dtype=float), rows["salient"].to_numpy(dtype=bool)
        for chosen, colour in ((~wide, LIGHT), (wide, DARK)):
            axes.bar(at[chosen], heights[chosen], 1.0, color=colour, linewidth=0)
        axes.set_ylim(0, 1.05 * heights.max())
        axes.margins(x=0.01)
        axes.set_ylabel("mean |w| (units of\nthe table's values)", fontsize=9)
        grid(axes, axis="y")
    upper.set_xlabel("channel (index)", fontsize=9)
    lower.set_xlabel("rank of the channel (1 is the largest)", fontsize=9)
    legend_below(drawn, [Patch(color=DARK), Patch(color=LIGHT)], ["salient: the wider field", "others"], 2)
    entitle(drawn, frame, title, source)
    return drawn


def figure_8(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Frequencies of the most frequent tokens, linear as in the paper and on logarithmic axes.

    Parameters
    ----------
    frame
        Columns ``origin`` (what was counted or assumed), ``rank`` from 1 and ``frequency``.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a frequency is not above 0.
    """
    numbers = ("rank", "frequency")
    check(frame, "figure-8", numbers, ("origin",), positive=numbers)
    drawn = figure(8.5, 3.9)
    left, right = drawn.subplots(1, 2)
    handles = []
    for k, name in enumerate(order(frame["origin"])):
        rows, look = frame[frame["origin"] == name].sort_values("rank"), look_of_position(k)
        for axes in (left, right):
            drawn_lines = axes.plot(
                rows["rank"], 100 * rows["frequency"], color=look.colour, linestyle=look.line, linewidth=1.6
            )
        handles += drawn_lines
    right.set(xscale="log", yscale="log")
    for axes in (left, right):
        axes.set_xlabel("rank of the token (1 is the most frequent)", fontsize=9)
        grid(axes, "both")
    left.set_ylabel("frequency (% of all tokens)", fontsize=9)
    left.set_ylim(bottom=0)
    legend_below(drawn, handles, order(frame["origin"]), 2)
    entitle(drawn, frame, title, source)
    return drawn
