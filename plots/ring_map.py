"""A map over ring degree and modulus: bytes and latency where a query is secure and decrypts, shaded where not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

from costmodel.grid import WIRE_COLUMNS
from plots.series import about, bytes_of, series_of
from plots.style import GREY, byte_text, check, entitle, figure, legend_below, second_text

INSECURE, FAILING = "////", "...."
STATED = ("ring_degree", "latency_s", "security_bits", "log2_failure")
NUMBERS = ("ring_degree", "log2_q", "bytes", "latency_s", "security_bits", "log2_failure")
SHOWN = {"bytes": ("query and answer (B)", "fewest", byte_text), "latency_s": ("latency (s)", "fastest", second_text)}


def ring_map(frame: pd.DataFrame, title: str = "", source: str = "") -> Figure:
    """Bytes and latency over (N, log2 q), insecure and failing rings hatched, the best of the others marked.

    Parameters
    ----------
    frame
        Columns ``ring_degree``, ``latency_s``, ``security_bits``, ``log2_failure``, ``log2_q`` or the limbs of q, and
        ``bytes`` or ``up_bytes`` and ``down_bytes``, one row for every pair of a degree and a modulus. With a column
        ``protocol`` series are drawn side by side.
        ``frame.attrs`` may have ``security_floor_bits`` (128) and ``log2_failure_target`` (-40).
    title, source
        Heading and caption; those in ``frame.attrs`` if left out.

    Raises
    ------
    ValueError
        If a column is missing, or a pair of a degree and a modulus is missing or stands twice.
    """
    check(frame, "ring-map", STATED, positive=("ring_degree", "latency_s"))
    frame = frame.assign(bytes=bytes_of(frame, "ring-map"), log2_q=_log2_q(frame))
    check(frame, "ring-map", NUMBERS, positive=("ring_degree", "log2_q", "bytes", "latency_s"))
    floor = float(frame.attrs.get("security_floor_bits", 128))
    target = float(frame.attrs.get("log2_failure_target", -40))
    found = series_of(frame, "ring-map", (*NUMBERS, *WIRE_COLUMNS)) if "protocol" in frame else []
    designs = [one.name for one in found] or [""]
    maps = [_Map(one.rows, floor, target) for one in found] or [_Map(frame, floor, target)]
    drawn = figure(4.6 * len(maps) + 1.4, 5.6)
    panels = drawn.subplots(2, len(maps), sharex=True, sharey=True, squeeze=False)
    for row, (name, (label, _, text)) in zip(panels, SHOWN.items(), strict=True):
        norm = _norm([one.good(name) for one in maps], [one.cells[name].to_numpy() for one in maps])
        for axes, one, design in zip(row, maps, designs, strict=True):
            mesh = one.draw(axes, name, norm)
            axes.set_title(f"{design}\n{one.best(axes, name)}".strip(), fontsize=8.5, loc="left")
        ticks = FuncFormatter(lambda value, _, text=text: text(value))
        bar = drawn.colorbar(
            mesh, ax=list(row), label=label, ticks=LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)), format=ticks, pad=0.01
        )
        bar.ax.minorticks_off()
        bar.ax.tick_params(labelsize=7)
        row[0].set_ylabel("ring degree N (coefficients)", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("modulus, log$_2$ q (bits)", fontsize=9)
    handles = [Patch(facecolor="white", edgecolor=GREY, hatch=hatch) for hatch in (INSECURE, FAILING)]
    labels = [f"below {floor:g} bits of security", f"fails in more than 2$^{{{target:g}}}$ of the queries"]
    legend_below(drawn, handles, labels, 2)
    entitle(drawn, frame, title, source, *about(found))
    return drawn


def _log2_q(frame: pd.DataFrame) -> pd.Series[Any]:
    """Bits of q, stated or the sum of its limbs."""
    limbs = [column for column in frame if str(column).startswith("limb_bits_")]
    if "log2_q" not in frame and not limbs:
        raise ValueError("frame of ring-map has no column 'log2_q', and no 'limb_bits_0' in its place")
    return frame["log2_q"] if "log2_q" in frame else frame[limbs].sum(axis=1)


class _Map:
    """One design's rings as matrices: rows by ring degree, columns by modulus."""

    def __init__(self, frame: pd.DataFrame, floor: float, target: float) -> None:
        if frame.duplicated(["ring_degree", "log2_q"]).any():
            raise ValueError(
                "frame of ring-map: a pair of 'ring_degree' and 'log2_q' stands twice; keep one split of q into limbs"
            )
        if len(frame) != frame["ring_degree"].nunique() * frame["log2_q"].nunique():
            raise ValueError("frame of ring-map: every 'ring_degree' must have the same values of 'log2_q'")
        self.cells = {
            name: frame.pivot(index="ring_degree", columns="log2_q", values=name).sort_index().sort_index(axis=1)
            for name in NUMBERS[2:]
        }
        self.insecure = self.cells["security_bits"].to_numpy() < floor
        self.failing = self.cells["log2_failure"].to_numpy() > target
        self.degrees = self.cells["bytes"].index.to_numpy()
        self.moduli = self.cells["bytes"].columns.to_numpy(dtype=float)

    def good(self, name: str) -> NDArray[np.float64]:
        """Values where the ring is secure and decrypts, NaN elsewhere."""
        return np.where(self.insecure | self.failing, np.nan, self.cells[name].to_numpy(dtype=float))

    def draw(self, axes: Axes, name: str, norm: LogNorm) -> Any:
        """Cells, hatches and ticks."""
        step = float(np.min(np.diff(self.moduli))) if len(self.moduli) > 1 else 1.0
        edges = np.append(self.moduli - step / 2, self.moduli[-1] + step / 2)
        rows = np.arange(len(self.degrees) + 1) - 0.5
        values = self.cells[name].to_numpy(dtype=float)
        mesh = axes.pcolormesh(edges, rows, values, norm=norm, cmap="cividis_r", rasterized=True)
        for marked, hatch in ((self.insecure, INSECURE), (self.failing, FAILING)):
            _hatch(axes, marked, edges, hatch)
        axes.set_yticks(range(len(self.degrees)), [str(degree) for degree in self.degrees], fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        return mesh

    def best(self, axes: Axes, name: str) -> str:
        """Mark the best ring; what it is."""
        good = self.good(name)
        if np.isnan(good).all():
            return "no ring of these is secure and decrypts"
        row, column = np.unravel_index(int(np.nanargmin(good)), good.shape)
        axes.plot(self.moduli[column], row, "*", mfc="white", mec="black", markersize=14)
        _, word, text = SHOWN[name]
        return f"{word}: {text(good[row, column])} at N={self.degrees[row]}, log$_2$ q={self.moduli[column]:g}"


def _norm(good: list[NDArray[np.float64]], everything: list[NDArray[np.float64]]) -> LogNorm:
    """Colours span what is good, or all values where nothing is."""
    seen = np.concatenate([values.reshape(-1) for values in good])
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        seen = np.concatenate([values.reshape(-1) for values in everything])
    return LogNorm(seen.min(), max(seen.max(), 1.001 * seen.min()), clip=True)


def _hatch(axes: Axes, cells: NDArray[np.bool_], edges: NDArray[np.float64], hatch: str) -> None:
    """Shade runs of cells along every row."""
    for row, marked in enumerate(cells):
        changes = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
        for start, stop in changes.reshape(-1, 2):
            shade = Rectangle((edges[start], row - 0.5), edges[stop] - edges[start], 1.0, hatch=hatch, linewidth=0)
            shade.set(facecolor=(1, 1, 1, 0.8), edgecolor=GREY)
            axes.add_patch(shade)
