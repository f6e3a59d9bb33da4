"""Latency over bandwidth, one line a series, changes of the fastest marked and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from plots.series import Series, about, series_of
from plots.style import check, digits, entitle, figure, grid, legend_below, second_text, separate


class Crossing(NamedTuple):
    """Where the lines of two series cross."""

    rate_bit_per_s: float
    latency_s: float
    below: str  # faster of the two below this rate
    above: str  # faster above it
    fastest: bool  # whether no third series is faster there


def bandwidth(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Latency of every series over a continuous bandwidth axis; circles mark where the fastest changes.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``rate_bit_per_s`` (the same rates for every series) and ``latency_s``; further columns
        that say what a configuration is tell series apart, see :func:`plots.series.series_of`.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing, a value is not above 0, or a series has other rates than the first.
    """
    numbers = ("rate_bit_per_s", "latency_s")
    check(frame, "bandwidth", numbers, ("protocol",), positive=numbers)
    drawn = figure(8.5, 5.4)
    axes = drawn.subplots()
    found = [
        replace(one, rows=one.rows.sort_values("rate_bit_per_s")) for one in series_of(frame, "bandwidth", numbers[:1])
    ]
    found.sort(key=lambda one: -float(one.rows["latency_s"].iloc[-1]))
    handles = []
    for one in found:
        handles += axes.plot(
            one.rows["rate_bit_per_s"] / 1e6,
            one.rows["latency_s"],
            color=one.look.colour,
            linestyle=one.look.line,
            linewidth=1.7,
        )
    changes = [one for one in crossings(found) if one.fastest]
    labels = []
    for k, crossing in enumerate(changes):
        at = crossing.rate_bit_per_s / 1e6, crossing.latency_s
        axes.plot(*at, "o", mfc="white", mec="black", mew=1.4, markersize=10, zorder=5)
        axes.text(*at, str(k + 1), fontsize=7, ha="center", va="center_baseline", zorder=6)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
        labels.append(axes.text(*at, f"{digits(at[0])} Mbit/s", fontsize=7, ha="center", zorder=6, bbox=box))
    axes.set(xscale="log", yscale="log", xlabel="bandwidth (Mbit/s)", ylabel="latency from token to shares (s)")
    axes.margins(x=0)
    grid(axes, "both")
    legend_below(drawn, handles, [one.name for one in found], 3)
    notes = [_line(k, crossing) for k, crossing in enumerate(changes)] or ["One is the fastest at every rate."]
    entitle(drawn, frame, title, source, " ".join(notes), *about(found))
    separate(labels, axes)
    return drawn


def _line(k: int, crossing: Crossing) -> str:
    at = f"{digits(crossing.rate_bit_per_s / 1e6)} Mbit/s, {second_text(crossing.latency_s)}"
    return f"({k + 1}) {at}: below it {crossing.below} is faster, above it {crossing.above}."


def crossings(found: Sequence[Series]) -> list[Crossing]:
    """Where two lines cross, by rate, interpolated on logarithmic axes.

    Raises
    ------
    ValueError
        If a series lacks a rate that another one has.
    """
    columns = [one.rows.set_index("rate_bit_per_s")["latency_s"] for one in found]
    for one, column in zip(found, columns, strict=True):
        if not column.index.is_unique or not column.index.equals(columns[0].index):
            raise ValueError(
                f"frame of bandwidth: every series must have the same rates in column 'rate_bit_per_s', each once, and "
                f"{one.name} has others"
            )
    latency = pd.concat(columns, axis=1, keys=[one.name for one in found])
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
    crossed = zip(np.exp(rate), np.exp(own), below, above, fastest, strict=True)
    return sorted(Crossing(float(r), float(s), names[b], names[a], bool(f)) for r, s, b, a, f in crossed)
