"""The map of FastQuery's rings: bytes by degree and modulus, weak and failing ones hatched; a click takes a ring."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import CDSView, ColumnDataSource, FactorRange, GroupFilter, HoverTool, LogColorMapper, TapTool
from bokeh.palettes import Cividis256

from costmodel.limits import SECURITY_FLOOR_BITS
from costmodel.link import PRESETS
from costmodel.parameters import Configuration
from fastquery.figures.choices import DEGREES, rings_frame
from fastquery.page.held import machine_of
from fastquery.page.shape import watch
from fastquery.page.style import Ground, plot, put, repaint
from fastquery.page.texts import bytes_text

TOOLTIPS = [("ring", "N=@degree, log2 q=@bits"), ("bytes a query", "@text"), ("security", "@security{0} bits"),
            ("fails", "2^@failure{0}"), ("", "@verdict")]  # fmt: skip
WEAK, FAILING, HOLDS = f"below {SECURITY_FLOOR_BITS} bits of security", "fails too often", "holds"
LOOKS = {WEAK: ("right_diagonal_line", 0.15), FAILING: ("dot", 0.15), HOLDS: ("blank", 1.0)}
"""By verdict, the hatch of its rings and how much their colour covers."""


def limbs_text(bits: int) -> str:
    """Q of so many bits as one limb, or as two where one is too small."""
    return str(bits) if bits <= 60 else f"{(bits + 1) // 2}+{bits // 2}"


@lru_cache(maxsize=64)
def rings_of(base: Configuration, machine: str) -> pd.DataFrame:
    """The map of a configuration, with a verdict a ring; bytes alone are read, which no link changes."""
    frame = rings_frame(base, PRESETS["lan"], machine_of(machine))
    weak = frame["security_bits"] < SECURITY_FLOOR_BITS
    frame["verdict"] = np.where(weak, WEAK, np.where(frame["log2_failure"] > base.log2_failure, FAILING, HOLDS))
    return frame


class Rings:
    """The figure."""

    def __init__(self, take: Callable[[int, str], None]) -> None:
        degrees = [str(degree) for degree in DEGREES]
        self.figure = plot(
            "rings", y_range=FactorRange(factors=degrees), x_axis_label="log2 q (bits)", y_axis_label="ring degree N",
            x_range=(23.5, 120.5), height=300,
        )  # fmt: skip
        self.cells = ColumnDataSource({column: [] for column in CELLS})
        self.best = ColumnDataSource({"bits": [], "degree": []})
        self.taken = ColumnDataSource({"bits": [], "degree": []})
        self._colours = LogColorMapper(palette=Cividis256[::-1], low=1e5, high=1e6)
        # A renderer a verdict: the browser would make a pattern for every cell of a column of patterns.
        self._shown = [
            self.figure.rect(
                "bits", "degree", 1, 0.94, source=self.cells, view=CDSView(filter=GroupFilter("verdict", verdict)),
                line_color=None, hatch_pattern=hatch, hatch_scale=7, hatch_weight=0.8, name=verdict,
                fill_color={"field": "bytes", "transform": self._colours}, fill_alpha=alpha,
                nonselection_fill_alpha=alpha, selection_fill_alpha=alpha,
            )
            for verdict, (hatch, alpha) in LOOKS.items()
        ]  # fmt: skip
        self.figure.add_tools(HoverTool(tooltips=TOOLTIPS, renderers=self._shown), TapTool(renderers=self._shown))
        self._best = self.figure.scatter("bits", "degree", source=self.best, marker="star", size=18, fill_color="white")
        self._taken = self.figure.rect("bits", "degree", 1.6, 0.98, source=self.taken, fill_color=None, line_width=2.5)
        self.figure.grid.visible = False
        self._take = take
        watch(self.cells.selected, "indices", self._tapped)
        self.note = ""

    def draw(self, base: Configuration, machine: str) -> None:
        """The rings of a configuration."""
        frame = rings_of(base, machine)
        holds = (frame["verdict"] == HOLDS).to_numpy()
        sizes = frame["bytes"].to_numpy()
        good = sizes[holds] if holds.any() else sizes
        self._colours.update(low=float(good.min()), high=float(max(good.max(), 1.001 * good.min())))
        data = {
            "degree": frame["ring_degree"].astype(str).tolist(),
            "bits": frame["log2_q"].tolist(),
            "bytes": sizes.tolist(),
            "text": [bytes_text(size) for size in sizes],
            "security": frame["security_bits"].tolist(),
            "failure": np.maximum(frame["log2_failure"], -9999).tolist(),
            "verdict": frame["verdict"].tolist(),
        }
        put(self.cells, data)
        where = int(np.flatnonzero(holds)[np.argmin(sizes[holds])]) if holds.any() else None
        row = None if where is None else frame.iloc[where]
        best: dict[str, list[Any]] = {
            "bits": [] if row is None else [int(row["log2_q"])],
            "degree": [] if row is None else [str(int(row["ring_degree"]))],
        }
        put(self.best, best)
        self.note = (
            "No ring of these is secure and decrypts."
            if row is None
            else f"Fewest bytes: N={int(row['ring_degree'])}, log2 q={int(row['log2_q'])}, {bytes_text(row['bytes'])}."
        )

    def mark(self, taken: Configuration | None) -> None:
        """Frame the ring that is in use."""
        ring = taken.ring if taken else None
        put(self.taken, {"bits": [ring.log2_q] if ring else [], "degree": [str(ring.degree)] if ring else []})

    def paint(self, ground: Ground) -> None:
        """Put the figure on a ground."""
        repaint(self.figure, ground)
        for shown in self._shown:
            for glyph in (shown.glyph, shown.nonselection_glyph, shown.selection_glyph):
                glyph.hatch_color = ground.faint
        self._best.glyph.line_color = "#1c1e21"
        self._taken.glyph.line_color = "#D55E00"

    def _tapped(self, indices: list[int]) -> None:
        if indices:
            k = indices[0]
            self.cells.selected.indices = []
            self._take(int(self.cells.data["degree"][k]), limbs_text(int(self.cells.data["bits"][k])))


CELLS = ("degree", "bits", "bytes", "text", "security", "failure", "verdict")
