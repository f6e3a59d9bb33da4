"""Latency over bandwidth, a line a design, the link under the cursor marked on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from bokeh.events import Pan, Tap
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, Legend, LegendItem, Span

from costmodel.link import Link
from fastquery.page.held import Floats, Held
from fastquery.page.offers import OFFERS
from fastquery.page.style import LIGHT, Ground, colour, dash, legend_above, mark, plot, repaint

RATES_BIT_PER_S = np.geomspace(1e6, 1e10, 121, dtype=np.float64)


class Bandwidth:
    """The figure; a click or a drag sets the rate."""

    def __init__(self, set_rate: Callable[[float], None]) -> None:
        self.figure = plot(
            "bandwidth", x_axis_type="log", y_axis_type="log", x_axis_label="bandwidth (bit/s)",
            y_axis_label="latency from token to shares (s)", x_range=(1e6, 1e10), height=380,
            tooltips=[("", "@design"), ("bandwidth", "@rate{0.000a}bit/s"), ("latency", "@latency{0.0000} s")],
        )  # fmt: skip
        self.figure.xaxis.formatter = CustomJSTickFormatter(code=SHORT)
        self.marks = ColumnDataSource({"rate": [], "latency": [], "design": [], "mark": [], "colour": []})
        self._items: dict[str, LegendItem] = {}
        self._ground = LIGHT
        self._marks = self.figure.scatter(
            "rate", "latency", source=self.marks, marker="mark", size=10, line_color="colour", fill_color="colour",
            name="at the link",
        )  # fmt: skip
        self.cursor = Span(dimension="height", location=1e8, line_width=1.5, line_dash=[4, 3], level="underlay")
        self.figure.add_layout(self.cursor)
        self.figure.add_layout(Legend(items=[]), "above")
        legend_above(self.figure)
        for event in (Tap, Pan):
            self.figure.on_event(event, lambda at: set_rate(float(np.clip(at.x, 1e3, 1e12))))

    def draw(self, designs: Mapping[str, Held], round_trip_s: float) -> None:
        """Curves of the designs that are chosen; a curve that is drawn already is sent its latencies alone."""
        for name, one in designs.items():
            found = one.latency_s(RATES_BIT_PER_S, round_trip_s)
            if name not in self._items:
                self._add(name, found)
            else:
                source = self._items[name].renderers[0].data_source
                if not np.array_equal(source.data["latency"], found):
                    source.data["latency"] = found
        for name, item in self._items.items():
            item.visible = item.renderers[0].visible = name in designs

    def _add(self, name: str, latencies_s: Floats) -> None:
        look, legend = OFFERS[name].look, OFFERS[name].legend
        data = {"rate": RATES_BIT_PER_S, "latency": latencies_s, "design": [legend] * len(RATES_BIT_PER_S)}
        line = self.figure.line(
            "rate", "latency", source=ColumnDataSource(data), line_width=2, line_dash=dash(look),
            line_color=colour(look, self._ground), name=legend,
        )  # fmt: skip
        self._items[name] = LegendItem(label=legend, renderers=[line])
        self.figure.legend[0].items = [self._items[one] for one in OFFERS if one in self._items]

    def mark_link(self, latencies_s: Mapping[str, float], link: Link, ground: Ground) -> None:
        """Put the cursor and a mark a design on the link."""
        self.cursor.location = link.rate_bit_per_s
        names = list(latencies_s)
        self.marks.data = {
            "rate": [link.rate_bit_per_s] * len(names),
            "latency": list(latencies_s.values()),
            "design": [OFFERS[name].legend for name in names],
            "mark": [mark(OFFERS[name].look) for name in names],
            "colour": [colour(OFFERS[name].look, ground) for name in names],
        }

    def paint(self, ground: Ground) -> None:
        """Put the figure on a ground."""
        repaint(self.figure, ground)
        self.cursor.line_color = ground.faint
        self._ground = ground
        for name, item in self._items.items():
            item.renderers[0].glyph.line_color = colour(OFFERS[name].look, ground)


SHORT = """
for (const [unit, factor] of [["G", 1e9], ["M", 1e6], ["k", 1e3]])
  if (tick >= factor) return tick / factor + " " + unit
return String(tick)
"""
"""Ticks as 10 M, 1 G."""
