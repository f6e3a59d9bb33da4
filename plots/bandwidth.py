"""Latency over bandwidth, one line a protocol, crossings marked and labelled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from plots.style import GREY, check, digits, entitle, figure, grid, legend_below, order, second_text, series


class Crossing(NamedTuple):
    """Where the lines of two protocols cross."""

    rate_bit_per_s: float
    latency_s: float
    below: str  # faster of the two below this rate
    above: str  # faster above it
    fastest: bool  # whether no third protocol is faster there


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
        at = crossing.rate_bit_per_s / 1e6, crossing.latency_s
        edge, width = ("black", 1.6) if crossing.fastest else (GREY, 0.8)
        axes.plot(*at, "o", mfc="white", mec=edge, mew=width, markersize=10, zorder=5)
        axes.text(*at, str(k + 1), fontsize=7, ha="center", va="center_baseline", zorder=6)
        axes.annotate(
            f"{digits(at[0])} Mbit/s", at, (0, -15 if crossing.fastest else 9), textcoords="offset points", ha="center",
            fontsize=7, zorder=6, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="bandwidth (Mbit/s)", ylabel="latency from token to shares (s)")
    axes.margins(x=0)
    grid(axes, "both")
    legend_below(drawn, handles, order(frame["protocol"]), 2)
    notes = [_line(k, crossing) for k, crossing in enumerate(found)] or ["No two lines cross."]
    entitle(drawn, frame, title, source, "Crossings (bold: the fastest of all changes). " + " ".join(notes))
    return drawn


def _line(k: int, crossing: Crossing) -> str:
    at = f"{digits(crossing.rate_bit_per_s / 1e6)} Mbit/s, {second_text(crossing.latency_s)}"
    return f"({k + 1}) {at}: below it {crossing.below} is faster, above it {crossing.above}."


def crossings(frame: pd.DataFrame) -> list[Crossing]:
    """Where two lines cross, by rate, interpolated on logarithmic axes.

    Raises
    ------
    ValueError
        If a protocol lacks a rate that another one has.
    """
    latency = frame.pivot_table(index="rate_bit_per_s", columns="protocol", values="latency_s", sort=False).sort_index()
    if latency.isna().to_numpy().any():
        raise ValueError("frame of bandwidth: every protocol must have the same rates")
    names = [str(name) for name in latency.columns]
    rates, values = np.log(latency.index.to_numpy(dtype=float)), np.log(latency.to_numpy(dtype=float))
    first, second = np.triu_indices(len(names), 1)
    apart = values[:, first] - values[:, second]
    at, pair = np.nonzero((apart[:-1] < 0) != (apart[1:] < 0))
    before, after = apart[at, pair], apart[at + 1, pair]
    part = before / (before - after)
    rate = rates[at] + part * (rates[at + 1] - rates[at])
    all_there = values[at] + part[:, None] * (values[at + 1] - values[at])
    own = all_there[np.arange(len(at)), first[pair]]
    fastest = own <= all_there.min(axis=1, initial=np.inf) + 1e-12
    below = np.where(before < 0, first[pair], second[pair])
    above = np.where(before < 0, second[pair], first[pair])
    found = zip(np.exp(rate), np.exp(own), below, above, fastest, strict=True)
    return sorted(Crossing(float(r), float(s), names[b], names[a], bool(f)) for r, s, b, a, f in found)
