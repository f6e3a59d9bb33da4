"""Predicted against measured, one panel a figure of the results."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from costmodel.system import Look
from plots.series import look_of_position, series_of
from plots.style import SMALL, check, entitle, figure, grid, legend_below

PREFIX = "predicted_"


class Quantity(NamedTuple):
    """How a figure of the results is drawn."""

    label: str
    logarithmic: bool
    inner: float  # bound of the error that the median must keep: relative, or in units where the axis is linear
    outer: float  # bound of the worst


QUANTITIES = {
    "up_bytes": Quantity("query (B)", True, 0.0, 0.0),
    "down_bytes": Quantity("answer (B)", True, 0.0, 0.0),
    "setup_bytes": Quantity("setup (B)", True, 0.0, 0.0),
    "server_s": Quantity("server (CPU s)", True, 0.10, 0.25),
    "client_s": Quantity("client (CPU s)", True, 0.10, 0.25),
    "latency_s": Quantity("latency (s)", True, 0.10, 0.25),
    "noise_bits": Quantity("noise over q/t (log$_2$, bits)", False, 0.5, 0.5),
}
"""Those that have a panel, in order."""


def measured(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Every quantity that has a column and one of the same name with ``predicted_`` before it, against each other.

    Parameters
    ----------
    frame
        A row a run. Of ``up_bytes``, ``down_bytes``, ``setup_bytes``, ``server_s``, ``client_s``, ``latency_s`` and
        ``noise_bits`` those that are there with their prediction are drawn. ``protocol`` tells runs apart, and
        ``held_out`` those that were not calibrated on, if these columns are there.
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If no quantity has a prediction, or a value is not finite.
    """
    names = [name for name in QUANTITIES if name in frame and PREFIX + name in frame]
    if not names:
        raise ValueError(
            f"frame of measured has no pair of a quantity and its prediction; it needs one of {', '.join(QUANTITIES)} "
            f"and the same with {PREFIX!r} before it"
        )
    pairs = [column for name in names for column in (name, PREFIX + name)]
    check(frame, "measured", pairs, positive=[c for c in pairs if QUANTITIES[c.removeprefix(PREFIX)].logarithmic])
    found = _protocols(frame)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    drawn = figure(3.2 * columns + 0.4, 3.1 * rows + 0.9)
    panels = drawn.subplots(rows, columns, squeeze=False).flatten()
    for axes, name in zip(panels, names, strict=False):
        _panel(axes, frame, name, found)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    handles = [
        Line2D([], [], marker=look.mark, mfc=look.colour, mec=look.colour, linestyle="none") for look in found.values()
    ]
    labels = list(found)
    if "held_out" in frame:
        handles.append(Line2D([], [], marker="o", mfc="white", mec="black", linestyle="none"))
        labels.append("hollow: calibrated on")
    bands = [Patch(facecolor=shade) for shade in (INNER, OUTER)]
    legend_below(drawn, [*handles, *bands], [*labels, "bound of the median", "bound of the worst"], 3)
    entitle(drawn, frame, title, source)
    return drawn


INNER, OUTER = "0.78", "0.90"


def _protocols(frame: pd.DataFrame) -> dict[str, Look]:
    """The look of every system by its legend; of an engine as well where a system ran on several."""
    if "protocol" not in frame:
        return {"runs": look_of_position(0)}
    kept = [name for name in ("protocol", "engine") if name in frame]
    return {one.name: one.look for one in series_of(frame[kept], "measured")}


def _names(frame: pd.DataFrame) -> pd.Series[Any]:
    """The legend of every row."""
    names = pd.Series("runs", range(len(frame)))
    if "protocol" in frame:
        for one in series_of(frame[[name for name in ("protocol", "engine") if name in frame]], "measured"):
            names[one.rows.index] = one.name
    return names


def _panel(axes: Axes, frame: pd.DataFrame, name: str, found: dict[str, Look]) -> None:
    quantity = QUANTITIES[name]
    held_out = frame["held_out"].to_numpy(dtype=bool) if "held_out" in frame else np.ones(len(frame), dtype=bool)
    judged = held_out if held_out.any() else ~held_out
    seen, predicted = (frame[column].to_numpy(dtype=float) for column in (name, PREFIX + name))
    low, high = min(seen.min(), predicted.min()), max(seen.max(), predicted.max())
    if quantity.logarithmic:
        span = np.array([low / 1.5, high * 1.5])
        axes.set(xscale="log", yscale="log")
        error = np.abs(predicted / seen - 1)[judged]
        text = (
            f"error: median {np.median(error):.1%}, worst {error.max():.1%}"
            if error.max() > 0
            else "equal in every run"
        )
    else:
        margin = max(1.0, 0.05 * (high - low))
        span = np.array([low - margin, high + margin])
        error = np.abs(predicted - seen)[judged]
        text = f"error: median {np.median(error):.2f}, worst {error.max():.2f} bits"
    for bound, shade in ((quantity.outer, OUTER), (quantity.inner, INNER)):
        if bound:
            edges = (span * (1 - bound), span * (1 + bound)) if quantity.logarithmic else (span - bound, span + bound)
            axes.fill_between(span, *edges, color=shade, linewidth=0, zorder=0)
    axes.plot(span, span, color="black", linewidth=0.8, zorder=1)
    own = _names(frame)
    for protocol, look in found.items():
        for chosen, fill in ((held_out, look.colour), (~held_out, "white")):
            at = (own == protocol).to_numpy() & chosen
            axes.plot(
                seen[at],
                predicted[at],
                look.mark,
                mfc=fill,
                mec=look.colour,
                markersize=5,
                linestyle="none",
                alpha=0.85,
            )
    axes.set(xlim=span, ylim=span)
    axes.set_xlabel(f"measured {quantity.label}", fontsize=8.5)
    axes.set_ylabel(f"predicted {quantity.label}", fontsize=8.5)
    axes.set_title(f"{judged.sum()} runs{' held out' if 'held_out' in frame else ''}; {text}", fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    grid(axes)
