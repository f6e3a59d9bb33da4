"""How latency and bytes answer to a change of each parameter: a tornado."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plots.style import DARK, LIGHT, SMALL, check, entitle, figure, grid, legend_below

NUMBERS = ("bytes_low", "bytes_high", "latency_low", "latency_high")
LOWER: dict[str, Any] = {"facecolor": DARK, "hatch": ""}
HIGHER: dict[str, Any] = {"facecolor": LIGHT, "hatch": "////"}


def sensitivity(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Relative change of latency and bytes when a parameter falls or rises, the largest on top.

    Parameters
    ----------
    frame
        Columns ``parameter``, and the relative changes ``latency_low``, ``latency_high``, ``bytes_low``, ``bytes_high``
        when it falls and rises (0.1 is 10 % more); ``text_low`` and ``text_high`` say to what value, if they are there.
        Where ``misses_low`` or ``misses_high`` is true the query no longer decrypts reliably, and is marked so.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing or a change is not finite.
    """
    check(frame, "sensitivity", NUMBERS, ("parameter",))
    drawn = figure(9.5, 1.9 + 0.34 * len(frame))
    left, right = drawn.subplots(1, 2, sharey=True)
    largest = frame[list(NUMBERS)].abs().max(axis=1)
    shown = frame.loc[largest.sort_values().index]
    _tornado(left, shown, "latency")
    _tornado(right, shown, "bytes")
    left.set_yticks(range(len(shown)), [_name(row) for _, row in shown.iterrows()], fontsize=8)
    left.set_xlabel("change of latency (%)")
    right.set_xlabel("change of bytes, both ways (%)")
    handles = [Patch(edgecolor="black", **look) for look in (LOWER, HIGHER)]
    legend_below(drawn, handles, ["parameter 10 % lower", "parameter 10 % higher"], 2)
    entitle(drawn, frame, title, source)
    return drawn


def _name(row: pd.Series[Any]) -> str:
    if "text_low" not in row:
        return str(row["parameter"])
    return f"{row['parameter']}  ({row['text_low']} / {row['text_high']})"


def _tornado(axes: Axes, shown: pd.DataFrame, figure_name: str) -> None:
    at = np.arange(len(shown))
    for side, look, shift in (("low", LOWER, 0.19), ("high", HIGHER, -0.19)):
        values = 100 * shown[f"{figure_name}_{side}"].to_numpy(dtype=float)
        axes.barh(at + shift, values, 0.36, edgecolor="black", linewidth=0.6, **look)
        missed = shown.get(f"misses_{side}")
        for k, value in enumerate(values):
            marked = "  fails" if missed is not None and bool(missed.iloc[k]) else ""
            if abs(value) >= 0.05 or marked:
                number = f"{value:+.1f}" if abs(value) >= 0.05 else ""
                axes.annotate(
                    number + marked, (value, at[k] + shift), (3 if value >= 0 else -3, 0),
                    textcoords="offset points", ha="left" if value >= 0 else "right", va="center", fontsize=SMALL - 1,
                )  # fmt: skip
    axes.axvline(0, color="black", linewidth=0.8)
    changes = shown[[f"{figure_name}_low", f"{figure_name}_high"]].to_numpy(dtype=float)
    reach = max(1.0, 100 * float(np.abs(changes).max()))
    axes.set_xlim(-1.55 * reach, 1.55 * reach)
    axes.margins(y=0.02)
    grid(axes, axis="x")
