"""Latency over bandwidth, one line a protocol, crossings marked and labelled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from plots.style import check, digits, entitle, figure, grid, legend_below, order, second_text, series


class Crossing(NamedTuple):
    """Where the fastest protocol changes."""

    rate_bit_per_s: float
    latency_s: float
    slower_link: str  # fastest below this rate
    faster_link: str  # fastest above it


def bandwidth(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Latency of every protocol over a continuous bandwidth axis.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``rate_bit_per_s`` (the same rates for every protocol) and ``latency_s``.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing, a value is not above 0, or protocols have other rates than the first.
    """
    numbers = ("rate_bit_per_s", "latency_s")
    check(frame, "bandwidth", numbers, ("protocol",), positive=numbers)
    drawn = figure(7.5, 5.2)
    axes = drawn.subplots()
    handles = []
    for k, name in enumerate(order(frame["protocol"])):
        rows = frame[frame["protocol"] == name].sort_values("rate_bit_per_s")
        look = series(k)
        handles += axes.plot(
            rows["rate_bit_per_s"] / 1e6, rows["latency_s"], color=look.colour, linestyle=look.line, linewidth=1.7
        )
    found = crossings(frame)
    for k, crossing in enumerate(found):
        rate = crossing.rate_bit_per_s / 1e6
        axes.plot(rate, crossing.latency_s, "o", mfc="white", mec="black", markersize=10, zorder=5)
        axes.text(rate, crossing.latency_s, str(k + 1), fontsize=7, ha="center", va="center", zorder=6)
    axes.set(xscale="log", yscale="log", xlabel="bandwidth (Mbit/s)", ylabel="latency from token to shares (s)")
    axes.margins(x=0)
    grid(axes, "both")
    legend_below(drawn, handles, order(frame["protocol"]), 2)
    lines = [_line(k, crossing) for k, crossing in enumerate(found)] or ["one protocol is fastest at every bandwidth"]
    text = source or str(frame.attrs.get("source", "source: a data frame without a stated origin"))
    entitle(drawn, frame, title, "\n".join([*lines, text]))
    return drawn


def _line(k: int, crossing: Crossing) -> str:
    return (
        f"({k + 1}) {digits(crossing.rate_bit_per_s / 1e6)} Mbit/s, {second_text(crossing.latency_s)}: "
        f"{crossing.slower_link} is fastest below, {crossing.faster_link} above"
    )


def crossings(frame: pd.DataFrame) -> list[Crossing]:
    """Rates and latencies at which the fastest protocol changes, interpolated on logarithmic axes.

    Raises
    ------
    ValueError
        If a protocol lacks a rate that another one has.
    """
    latency = frame.pivot_table(index="rate_bit_per_s", columns="protocol", values="latency_s", sort=False).sort_index()
    if latency.isna().to_numpy().any():
        raise ValueError("frame of bandwidth: every protocol must have the same rates")
    rates, values = np.log(latency.index.to_numpy(dtype=float)), np.log(latency.to_numpy(dtype=float))
    fastest = values.argmin(axis=1)
    at = np.flatnonzero(fastest[1:] != fastest[:-1])
    old, new = fastest[at], fastest[at + 1]
    before, after = values[at, old] - values[at, new], values[at + 1, old] - values[at + 1, new]
    part = before / (before - after)
    rate = np.exp(rates[at] + part * (rates[at + 1] - rates[at]))
    crossed = np.exp(values[at, old] + part * (values[at + 1, old] - values[at, old]))
    names = [str(name) for name in latency.columns]
    return [
        Crossing(float(r), float(s), names[a], names[b]) for r, s, a, b in zip(rate, crossed, old, new, strict=True)
    ]
