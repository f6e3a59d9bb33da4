"""A map over ring degree and modulus: bytes and latency where a query is secure and decrypts, shaded where not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from plots.style import GREY, byte_text, check, entitle, figure, legend_below, second_text

INSECURE = {"hatch": "////", "label": "below the security level asked for"}
FAILING = {"hatch": "....", "label": "decrypts wrongly too often"}
NUMBERS = ("ring_degree", "log2_q", "bytes", "latency_s", "security_bits", "log2_failure")


def ring_map(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Bytes and latency over (N, log2 q), insecure and failing rings hatched, the best of each marked.

    Parameters
    ----------
    frame
        Columns ``ring_degree``, ``log2_q``, ``bytes``, ``latency_s``, ``security_bits`` and ``log2_failure``, one row for every
        pair of a degree and a modulus. ``frame.attrs`` may have ``security_floor_bits`` (128) and
        ``log2_failure_target`` (-40).
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing, or a pair of a degree and a modulus is missing or stands twice.
    """
    check(frame, "ring-map", NUMBERS, positive=("ring_degree", "log2_q", "bytes", "latency_s"))
    floor = float(frame.attrs.get("security_floor_bits", 128))
    target = float(frame.attrs.get("log2_failure_target", -40))
    if frame.duplicated(["ring_degree", "log2_q"]).any():
        raise ValueError("frame of ring-map: a pair of ring_degree and log2_q stands twice")
    if len(frame) != frame["ring_degree"].nunique() * frame["log2_q"].nunique():
        raise ValueError("frame of ring-map: every ring_degree must have the same log2_q")
    cells = {
        name: frame.pivot(index="ring_degree", columns="log2_q", values=name).sort_index().sort_index(axis=1)
        for name in NUMBERS[2:]
    }
    insecure = cells["security_bits"].to_numpy() < floor
    failing = cells["log2_failure"].to_numpy() > target
    drawn = figure(8.5, 6.0)
    panels = drawn.subplots(2, 1, sharex=True)
    for axes, name, label, text in (
        (panels[0], "bytes", "query and answer (B)", byte_text),
        (panels[1], "latency_s", "latency (s)", second_text),
    ):
        values = cells[name].to_numpy(dtype=float)
        degrees, moduli = cells[name].index.to_numpy(), cells[name].columns.to_numpy(dtype=float)
        step = float(np.min(np.diff(moduli))) if len(moduli) > 1 else 1.0
        edges = np.concatenate([moduli - step / 2, [moduli[-1] + step / 2]])
        mesh = axes.pcolormesh(
            edges, np.arange(len(degrees) + 1) - 0.5, values, norm=LogNorm(), cmap="cividis_r", rasterized=True
        )
        drawn.colorbar(mesh, ax=axes, label=label, format=ticker.LogFormatterSciNotation(), pad=0.01)
        _hatch(axes, insecure, edges, INSECURE["hatch"])
        _hatch(axes, failing, edges, FAILING["hatch"])
        axes.set_yticks(range(len(degrees)), [f"{degree:,}".replace(",", " ") for degree in degrees])
        axes.set_ylabel("ring degree N\n(coefficients)")
        good = np.where(insecure | failing, np.inf, values)
        if np.isfinite(good).any():
            row, column = np.unravel_index(int(np.argmin(good)), good.shape)
            axes.plot(moduli[column], row, "*", mfc="white", mec="black", markersize=15)
            axes.set_title(
                f"fewest: {text(good[row, column])} at N = {degrees[row]}, log$_2$ q = {moduli[column]:g}"
                if name == "bytes"
                else f"fastest: {text(good[row, column])} at N = {degrees[row]}, log$_2$ q = {moduli[column]:g}",
                fontsize=9,
                loc="left",
            )
        else:
            axes.set_title("no ring of these is secure and decrypts", fontsize=9, loc="left")
    panels[1].set_xlabel("modulus, log$_2$ q (bits)")
    handles = [Patch(facecolor="white", edgecolor=GREY, hatch=INSECURE["hatch"]),
               Patch(facecolor="white", edgecolor=GREY, hatch=FAILING["hatch"])]  # fmt: skip
    labels = [f"below {floor:g} bits of security", f"fails in more than 2$^{{{target:g}}}$ of the queries"]
    legend_below(drawn, handles, labels, 2)
    entitle(drawn, frame, title, source)
    return drawn


def _hatch(axes: Axes, cells: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], edges: np.ndarray[tuple[int, ...], np.dtype[np.float64]], hatch: str) -> None:
    """Shade runs of cells along every row."""
    for row, marked in enumerate(cells):
        changes = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
        for start, stop in changes.reshape(-1, 2):
            width = edges[stop] - edges[start]
            axes.add_patch(
                Rectangle((edges[start], row - 0.5), width, 1.0, facecolor=(1, 1, 1, 0.72), edgecolor=GREY, hatch=hatch, linewidth=0)
            )
