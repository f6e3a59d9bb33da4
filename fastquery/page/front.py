"""Bytes against latency: the chosen designs, what a search adds, the front of both, its winner, the paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, HoverTool, Range1d

from costmodel.link import Link
from costmodel.parameters import Configuration
from fastquery.figures.designs import configuration_text
from fastquery.optimizer import optimize
from fastquery.page.held import Held, hold_configuration
from fastquery.page.limits import bytes_of_query, reasons
from fastquery.page.offers import OFFERS
from fastquery.page.paper import Stated
from fastquery.page.state import State
from fastquery.page.style import Ground, colour, legend_above, mark, plot, put, repaint
from fastquery.page.texts import bytes_text, seconds_text
from fastquery.search import pareto_mask

TOOLTIPS = [("", "@design"), ("", "@text"), ("", "@what"), ("", "@why")]


class Point(NamedTuple):
    """A design of the front."""

    design: str
    bytes: float
    latency_s: float
    what: str
    why: str
    searched: bool


def searched(state: State) -> tuple[tuple[str, Configuration], ...]:
    """The fronts of the chosen designs that this project executes: every ring, packing and wire that holds.

    Raises
    ------
    ValueError
        If nothing holds the constraints, or no chosen design is executed here.
    """
    own = [name for name in state.designs if OFFERS[name].own]
    if not own:
        raise ValueError("designs has none that this project executes; choose one to search")
    over: dict[str, Any] = (
        {"workload": state.workload} if state.workload else {"tokens": state.tokens, "queries": state.queries}
    )
    found: list[tuple[str, Configuration]] = []
    refused = []
    for name in own:
        try:
            best = optimize(
                state.table, protocol=name, link=state.link, flooding_bits=state.flooding_bits,
                log2_failure=state.failure, prepared=state.prepared, align_bits=state.align_bits, **over,
            )  # fmt: skip
        except ValueError as error:
            refused.append(str(error))
            continue
        found += [(name, one) for one in best.configurations]
    if not found:
        raise ValueError("; ".join(dict.fromkeys(refused)))
    return tuple(found)


def points(
    designs: Mapping[str, Held],
    figures_of: Mapping[str, Mapping[str, float]],
    more: Sequence[tuple[str, Configuration]],
    state: State,
    link: Link,
) -> list[Point]:
    """Every design as a point: the chosen ones with their figures first, then more, which are priced on the link."""
    held = [(name, one, figures_of[name], False) for name, one in designs.items()]
    for name, configuration in more:
        one = hold_configuration(configuration, state.machine)
        held.append((name, one, one.figures(link), True))
    found = []
    for name, one, figures, is_searched in held:
        size = bytes_of_query(figures, state.queries)
        why = "; ".join(reasons(figures, state))
        what = configuration_text(one.configuration)
        found.append(Point(name, size, figures["latency_s"], what, why and f"excluded: {why}", is_searched))
    return found


def front_of(found: Sequence[Point]) -> list[Point]:
    """Points that hold all constraints and that no other such point beats, by rising bytes."""
    allowed = [one for one in found if not one.why]
    if not allowed:
        return []
    kept = pareto_mask(np.array([one.bytes for one in allowed]), np.array([one.latency_s for one in allowed]))
    return sorted((one for one, on_front in zip(allowed, kept, strict=True) if on_front), key=lambda one: one.bytes)


class Front:
    """The figure."""

    def __init__(self) -> None:
        self.figure = plot(
            "front", x_axis_type="log", y_axis_type="log", x_axis_label="bytes a query, keys' share included (B)",
            y_axis_label="latency (s)", height=380, x_range=(1.0, 10.0), y_range=(1.0, 10.0),
        )  # fmt: skip
        self.figure.xaxis.formatter = CustomJSTickFormatter(code=SHORT_BYTES)
        self.step = ColumnDataSource({"bytes": [], "latency": []})
        self.points = ColumnDataSource({column: [] for column in COLUMNS})
        self.winner = ColumnDataSource({"bytes": [], "latency": []})
        self.stated = ColumnDataSource({"bytes": [], "latency": [], "design": [], "text": [], "what": [], "why": []})
        self._step = self.figure.step(
            "bytes", "latency", source=self.step, mode="after", line_width=1.5, legend_label="front"
        )
        marks = self.figure.scatter(
            "bytes", "latency", source=self.points, marker="mark", size="size", line_color="colour", fill_color="fill",
            line_width=1.5, alpha="alpha", name="designs",
        )  # fmt: skip
        self._winner = self.figure.scatter(
            "bytes", "latency", source=self.winner, marker="circle", size=24, fill_color=None, line_width=2,
            legend_label="least latency within the constraints",
        )  # fmt: skip
        self._stated = self.figure.scatter(
            "bytes", "latency", source=self.stated, marker="diamond", size=13, fill_color="#FFFFFF", line_width=1.8,
            legend_label="the paper's Table 6", name="paper",
        )  # fmt: skip
        self.figure.add_tools(HoverTool(tooltips=TOOLTIPS, renderers=[marks, self._stated]))
        legend_above(self.figure, 2)
        self.note = ""

    def draw(self, found: Sequence[Point], paper: Sequence[Stated], ground: Ground) -> None:
        """Points, their front, its winner, and what the paper states."""
        front = front_of(found)
        shown = {id(one) for one in front}
        colours = [colour(OFFERS[one.design].look, ground) for one in found]
        data: dict[str, list[Any]] = {
            "design": [OFFERS[one.design].legend + (", searched" if one.searched else "") for one in found],
            "bytes": [one.bytes for one in found],
            "latency": [one.latency_s for one in found],
            "text": [f"{bytes_text(one.bytes)}, {seconds_text(one.latency_s)}" for one in found],
            "what": [one.what for one in found],
            "why": [one.why for one in found],
            "mark": [mark(OFFERS[one.design].look) for one in found],
            "size": [8 if one.searched else 12 for one in found],
            "colour": colours,
            "fill": [own if id(one) in shown else ground.surface for one, own in zip(found, colours, strict=True)],
            "alpha": [0.45 if one.why else 1.0 for one in found],
        }
        put(self.points, data)
        put(self.step, _places(front))
        best = min(front, key=lambda one: one.latency_s, default=None)
        put(self.winner, _places([best] if best else []))
        self.note = (
            "No design holds all constraints."
            if best is None
            else f"Fastest within the constraints: {OFFERS[best.design].legend}, {seconds_text(best.latency_s)} "
            f"and {bytes_text(best.bytes)} a query ({escape(best.what)})."
        )
        stated: dict[str, list[Any]] = {
            "design": [OFFERS[one.design].legend for one in paper],
            "bytes": [one.bytes for one in paper],
            "latency": [one.seconds for one in paper],
            "text": [f"{bytes_text(one.bytes)}, {seconds_text(one.seconds)} on the server" for one in paper],
            "what": [one.source for one in paper],
            "why": ["" for _ in paper],
        }
        put(self.stated, stated)
        _span(self.figure.x_range, [*self.points.data["bytes"], *self.stated.data["bytes"]])
        _span(self.figure.y_range, [*self.points.data["latency"], *self.stated.data["latency"]])

    def paint(self, ground: Ground) -> None:
        """Put the figure on a ground."""
        repaint(self.figure, ground)
        self._step.glyph.line_color = ground.faint
        self._winner.glyph.line_color = ground.ink
        self._stated.glyph.line_color = "#D55E00"
        self._stated.glyph.fill_color = ground.surface


def _span(axis: Range1d, values: Sequence[float]) -> None:
    """Span values on a logarithmic axis from one quarter of a decade to another, so that it rests as one drags."""
    if values:
        exponents = 4 * np.log10(values)
        ends = 10 ** (np.array([np.floor(exponents.min() - 0.3), np.ceil(exponents.max() + 0.3)]) / 4)
        axis.update(start=float(ends[0]), end=float(ends[1]))


def _places(found: Sequence[Point]) -> dict[str, list[float]]:
    return {"bytes": [one.bytes for one in found], "latency": [one.latency_s for one in found]}


COLUMNS = ("design", "bytes", "latency", "text", "what", "why", "mark", "size", "colour", "fill", "alpha")
SHORT_BYTES = """
for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]])
  if (tick >= factor) return Number((tick / factor).toPrecision(3)) + " " + unit
return tick + " B"
"""
