"""Latency over the round-trip time, with TCP's slow start and without."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plots.series import about, series_of
from plots.style import GREY, check, entitle, figure, grid, legend_below

NUMBERS = ("round_trip_s", "latency_s", "latency_without_slow_start_s")


def round_trip(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Latency of every series over round-trip times, a band from no slow start up to slow start.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``round_trip_s``, ``latency_s`` (connection new or idle) and
        ``latency_without_slow_start_s`` (its window already large).
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a value is not above 0.
    """
    check(frame, "round-trip", NUMBERS, ("protocol",), positive=NUMBERS)
    drawn = figure(8.5, 5.4)
    axes = drawn.subplots()
    found = series_of(frame, "round-trip", NUMBERS)
    found = [replace(one, rows=one.rows.sort_values("round_trip_s")) for one in found]
    found.sort(key=lambda one: -float(one.rows["latency_s"].iloc[-1]))
    handles = []
    for k, one in enumerate(found):
        rows, look = one.rows, one.look
        delay = rows["round_trip_s"] * 1e3
        axes.fill_between(
            delay, rows["latency_without_slow_start_s"], rows["latency_s"], color=look.colour, alpha=0.18, linewidth=0
        )
        axes.plot(delay, rows["latency_without_slow_start_s"], color=look.colour, linestyle=look.line, linewidth=0.7)
        handles += axes.plot(
            delay,
            rows["latency_s"],
            color=look.colour,
            linestyle=look.line,
            linewidth=1.8,
            marker=look.mark,
            markersize=4.5,
            markevery=(3 * k % max(1, len(rows) // 8), max(1, len(rows) // 8)),
        )
    axes.set(xscale="log", yscale="log", xlabel="round-trip time (ms)", ylabel="latency from token to shares (s)")
    axes.margins(x=0)
    grid(axes, "both")
    thick, thin = (Line2D([], [], color=GREY, linewidth=width) for width in (1.8, 0.7))
    models = ["thick: with slow start", "thin: window already open"]
    legend_below(drawn, [*handles, thick, thin], [*(one.name for one in found), *models], 3)
    entitle(drawn, frame, title, source, *about(found))
    return drawn
