"""Latency over bandwidth, one line a protocol, crossings marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from plots.style import COLOURS, LINES, caption, figure

COLUMNS = ("protocol", "rate_bit_per_s", "latency_s")


def bandwidth(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Latency of every protocol over a continuous bandwidth axis.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``rate_bit_per_s`` (the same rates for every protocol) and ``latency_s``.
    title, source
        What is looked up over what; the configurations, for the caption.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise ValueError(f"frame has no column {missing[0]!r}; it needs {', '.join(COLUMNS)}")
    drawn = figure()
    axes = drawn.subplots()
    lines = {str(name): rows.sort_values("rate_bit_per_s") for name, rows in frame.groupby("protocol", sort=False)}
    for k, (name, rows) in enumerate(lines.items()):
        axes.plot(
            rows["rate_bit_per_s"] / 1e6,
            rows["latency_s"],
            color=COLOURS[k % len(COLOURS)],
            linestyle=LINES[k % len(LINES)],
            label=name,
        )
    for rate, latency in crossings(frame):
        axes.plot(rate / 1e6, latency, "o", mfc="none", color="0.4", markersize=7)
    axes.set(xscale="log", yscale="log", xlabel="bandwidth (Mbit/s)", ylabel="latency from token to shares (s)")
    axes.set_title(title, fontsize=10)
    axes.grid(True, which="both", color="0.9", linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)
    caption(drawn, source)
    return drawn


def crossings(frame: pd.DataFrame) -> list[tuple[float, float]]:
    """Rates and latencies at which the fastest protocol changes, interpolated on logarithmic axes."""
    latency = frame.pivot_table(index="rate_bit_per_s", columns="protocol", values="latency_s").sort_index()
    rates, values = np.log(latency.index.to_numpy(dtype=float)), np.log(latency.to_numpy(dtype=float))
    fastest = values.argmin(axis=1)
    found = []
    for i in np.flatnonzero(fastest[1:] != fastest[:-1]):
        old, new = fastest[i], fastest[i + 1]
        before, after = values[i, old] - values[i, new], values[i + 1, old] - values[i + 1, new]
        part = before / (before - after)
        rate = rates[i] + part * (rates[i + 1] - rates[i])
        at = values[i, old] + part * (values[i + 1, old] - values[i, old])
        found.append((float(np.exp(rate)), float(np.exp(at))))
    return found
