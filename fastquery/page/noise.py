"""The noise budget: how far answers stay from a wrong decryption, and where FastQuery's noise comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, Span

from costmodel.grid import Grid
from costmodel.noise import required_ratio
from costmodel.parameters import Configuration
from costmodel.results import failure_text
from fastquery.figures.choices import noise_steps
from fastquery.page.held import Held
from fastquery.page.offers import OFFERS
from fastquery.page.style import Ground, colour, plot, put, repaint

FLOOR_BITS, WRONG_BITS = -1e4, -1.0
"""Where bars begin, out of sight, and where an error of one standard deviation decrypts wrongly."""


@lru_cache(maxsize=256)
def steps_of(configuration: Configuration) -> tuple[tuple[str, float], ...]:
    """log2 of the standard deviation over q/t of every step of FastQuery's answers on residues."""
    grid = Grid.of(configuration)
    scale = 2.0 * (float(grid.log2_plaintext_modulus) - float(grid.log2_q))
    return tuple(
        (step, 0.5 * (float(np.log2(variance)) + scale)) for step, variance in noise_steps(grid).items() if variance > 0
    )


def target_bits(one: Held, log2_failure: float) -> float:
    """log2 of the standard deviation over q/t with which all answers together just reach a failure target."""
    return float(np.log2(0.5 / required_ratio(log2_failure, one.grid.tokens * one.grid.coefficients)))


class Noise:
    """The figure."""

    def __init__(self) -> None:
        self.figure = plot(
            "noise", y_range=FactorRange(factors=["-"]), x_range=(-40.0, 1.0),
            x_axis_label="log2 of the noise's standard deviation over q/t (bits)",
            tooltips=[("", "@row"), ("noise", "2^@bits{0.0} of q/t"), ("fails", "@fails")],
        )  # fmt: skip
        self.rows = ColumnDataSource({"row": [], "bits": [], "colour": [], "alpha": [], "fails": []})
        self._bars = self.figure.hbar(
            y="row", left=FLOOR_BITS, right="bits", height=0.62, source=self.rows, fill_color="colour",
            fill_alpha="alpha", line_color=None, name="noise",
        )  # fmt: skip
        self.wrong = Span(location=WRONG_BITS, dimension="height", line_width=1.5)
        self.target = Span(location=-4.0, dimension="height", line_width=1.5, line_dash=[5, 4])
        for span in (self.wrong, self.target):
            self.figure.add_layout(span)
        self.figure.ygrid.visible = False

    def draw(self, designs: Mapping[str, Held], figures: Mapping[str, Mapping[str, float]], log2_failure: float,
             ground: Ground) -> None:  # fmt: skip
        """A bar a design, and one a step of FastQuery as this project executes it."""
        rows = list(self._rows(designs, figures, ground))
        columns = ("row", "bits", "colour", "alpha", "fails")
        put(self.rows, {name: [row[k] for row in rows] for k, name in enumerate(columns)})
        self.figure.y_range.factors = [row[0] for row in rows][::-1] or ["-"]
        self.figure.height = 70 + 27 * max(3, len(rows))
        self.figure.x_range.start = 5 * math.floor(min([row[1] for row in rows], default=-20.0) / 5) - 5
        targets = [target_bits(one, log2_failure) for one in designs.values()]
        self.target.location = min(targets, default=-4.0)

    def _rows(
        self, designs: Mapping[str, Held], figures: Mapping[str, Mapping[str, float]], ground: Ground
    ) -> Iterator[tuple[str, float, str, float, str]]:
        for name, one in designs.items():
            own = colour(OFFERS[name].look, ground)
            failure = figures[name]["log2_failure"]
            fails = failure_text(failure)
            yield OFFERS[name].legend, figures[name]["noise_bits"], own, 1.0, fails
            if name == "fastquery":
                for step, bits in steps_of(one.configuration):
                    yield f"\N{MIDDLE DOT} {step}", bits, own, 0.45, ""

    def paint(self, ground: Ground) -> None:
        """Put the figure on a ground."""
        repaint(self.figure, ground)
        self.wrong.line_color, self.target.line_color = "#D55E00", ground.faint
