"""Noise of an answer by the step that it comes from, against what decryption bears."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plots.series import about, series_of
from plots.style import SMALL, check, entitle, figure, grid, legend_below, order

LIMIT_BITS = -1.0
"""log2 of half a decoding interval."""


def noise(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Standard deviation that every step adds, in bits below the decoding interval q/t, and their sum.

    Parameters
    ----------
    frame
        Columns ``protocol``, ``step`` and ``noise_bits`` (log2 of the standard deviation over q/t); the last step is
        the sum. ``target_bits`` is the sum at which answers would fail as often as allowed, if it is there.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or noise is not finite.
    """
    check(frame, "noise", ("noise_bits",), ("protocol", "step"))
    found, steps = series_of(frame, "noise"), order(frame["step"])
    drawn = figure(8.5, 2.0 + 0.2 * len(steps) * len(found))
    axes = drawn.subplots()
    height = 0.84 / len(found)
    floor = np.floor(float(frame["noise_bits"].min())) - 3
    for k, one in enumerate(found):
        rows, look = one.rows, one.look
        at = np.array([steps.index(str(s)) for s in rows["step"]]) + (k - (len(found) - 1) / 2) * height
        bits = rows["noise_bits"].to_numpy(dtype=float)
        axes.barh(
            at,
            bits - floor,
            height * 0.9,
            left=floor,
            color=look.fill,
            hatch=look.hatch,
            edgecolor="black",
            linewidth=0.6,
        )
        for y, value in zip(at, bits, strict=True):
            axes.annotate(
                f"{value:.1f}", (value, y), (-4, 0), textcoords="offset points", va="center", ha="right",
                fontsize=SMALL - 0.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.7},
            )  # fmt: skip
    lines = [axes.axvline(LIMIT_BITS, color="black", linewidth=1.6)]
    meanings = ["above it decryption fails"]
    if "target_bits" in frame:
        target = float(frame["target_bits"].max())
        lines.append(axes.axvline(target, color="black", linewidth=1.2, linestyle="--"))
        meanings.append("most that the sum may have")
    axes.set_xlim(floor, LIMIT_BITS + 1.0)
    axes.set_ylim(len(steps) - 0.45, -0.55)
    axes.set_yticks(range(len(steps)), steps, fontsize=8.5)
    axes.set_xlabel("standard deviation of the error over the decoding interval q/t (log$_2$, bits)")
    grid(axes, axis="x")
    handles = [Patch(facecolor=one.look.fill, hatch=one.look.hatch, edgecolor="black") for one in found]
    legend_below(drawn, [*handles, *lines], [*(one.name for one in found), *meanings], 2)
    entitle(drawn, frame, title, source, *about(found))
    return drawn
