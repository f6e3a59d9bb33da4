"""Bytes and seconds of every design, stacked by the entries of its ledger, each with its formula under the pointer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter

from costmodel.estimate import Entry
from costmodel.link import FRAMING, Link
from fastquery.page.held import Held
from fastquery.page.offers import OFFERS
from fastquery.page.style import CLIENT, DOWN, KEYS, SERVER, UP, Ground, legend_above, plot, put, repaint
from fastquery.page.texts import bytes_text, seconds_text

TOOLTIPS = """
<div style="max-width: 320px">
  <b>@entry</b> (@what)<br>@design<br>@amount, @share{0.0 %}<br>@count<br>
  <i>@formula</i><br><span style="opacity: .7">@source</span>
</div>
"""
NOT_DRAWN = 1e-5
"""Share of a bar below which an entry is too thin to see."""
FROM_CLIENT, FROM_SERVER, ONCE = "client sends", "server sends", "keys, by the query"
AT_CLIENT, AT_SERVER = "client computes", "server computes"


class Piece(NamedTuple):
    """A part of a bar."""

    group: str
    entry: Entry
    amount: float


def byte_pieces(one: Held, queries: int) -> Iterator[Piece]:
    """Bytes of a query: what it sends, and its share of the setup."""
    for entry in one.entries:
        if entry.bytes:
            if entry.phase == "setup":
                yield Piece(ONCE, entry, entry.bytes / queries)
            else:
                yield Piece(FROM_CLIENT if entry.party == "client" else FROM_SERVER, entry, entry.bytes)


def second_pieces(one: Held, link: Link) -> Iterator[Piece]:
    """Seconds of a query, one after the other: CPU seconds of its work, and messages at the link's rate."""
    for entry in one.entries:
        if entry.phase == "setup":
            continue
        if entry.bytes:
            on_line = 8 * FRAMING * entry.bytes / link.rate_bit_per_s
            yield Piece(FROM_CLIENT if entry.party == "client" else FROM_SERVER, entry, on_line)
        elif entry.seconds:
            yield Piece(AT_CLIENT if entry.party == "client" else AT_SERVER, entry, entry.seconds)


class Stacked:
    """Bars of one unit."""

    COLOURS: Mapping[str, Mapping[str, str]] = {
        "bytes": {FROM_CLIENT: UP, FROM_SERVER: DOWN, ONCE: KEYS},
        "seconds": {AT_CLIENT: CLIENT, AT_SERVER: SERVER, FROM_CLIENT: UP, FROM_SERVER: DOWN},
    }

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.figure = plot(f"ledger-{unit}", y_range=FactorRange(factors=["-"]), x_range=(0, 1), tooltips=TOOLTIPS)
        self.figure.xaxis.formatter = NumeralTickFormatter()
        self.figure.xaxis.ticker.desired_num_ticks = 5
        self.colours = self.COLOURS[unit]
        self.parts = {group: ColumnDataSource({column: [] for column in PIECES}) for group in self.colours}
        self._bars = [
            self.figure.hbar(
                y="design", left="left", right="right", height=0.68, source=self.parts[group], fill_color=one,
                line_width=0.6, legend_label=group, name=group,
            )
            for group, one in self.colours.items()
        ]  # fmt: skip
        self.totals = ColumnDataSource({"design": [], "right": [], "text": []})
        self._texts = self.figure.text(
            "right", "design", "text", source=self.totals, x_offset=5, text_baseline="middle", text_font_size="12px"
        )
        self.figure.ygrid.visible = False
        legend_above(self.figure, 2)

    def draw(self, pieces: Mapping[str, list[Piece]], as_shares: bool) -> None:
        """Bars of designs from their pieces, in absolute units or as shares of each bar."""
        text = bytes_text if self.unit == "bytes" else seconds_text
        totals = {name: sum(piece.amount for piece in own) for name, own in pieces.items()}
        rows: dict[str, list[dict[str, Any]]] = {group: [] for group in self.colours}
        for name, own in pieces.items():
            total, left = totals[name] or 1.0, 0.0
            scale = 1 / total if as_shares else 1.0
            for group in self.colours:
                for piece in (one for one in own if one.group == group):
                    right = left + piece.amount * scale
                    if piece.amount > NOT_DRAWN * total:
                        rows[group].append(_row(name, piece, left, right, text(piece.amount), piece.amount / total))
                    left = right
        for group, source in self.parts.items():
            put(source, {column: [row[column] for row in rows[group]] for column in PIECES})
        legends = [OFFERS[name].legend for name in pieces]
        self.figure.y_range.factors = legends[::-1] or ["-"]
        self.figure.height = 96 + 34 * max(3, len(legends))
        ends = [1.0 if as_shares else total for total in totals.values()]
        put(self.totals, {"design": legends, "right": ends, "text": [text(total) for total in totals.values()]})
        self.figure.x_range.end = 1.22 * max(ends, default=1.0) or 1.0
        axis = self.figure.xaxis[0]
        axis.axis_label = "share of the query" if as_shares else f"{self.unit} of a query"
        axis.formatter.format = "0 %" if as_shares else "0.[000] a"
        axis.bounds = (0, 1) if as_shares else None

    def paint(self, ground: Ground) -> None:
        """Put the figure on a ground."""
        repaint(self.figure, ground)
        self._texts.glyph.text_color = ground.ink
        for bars in self._bars:
            bars.glyph.line_color = ground.surface


PIECES = ("design", "left", "right", "entry", "what", "amount", "share", "count", "formula", "source")


def _row(name: str, piece: Piece, left: float, right: float, amount: str, share: float) -> dict[str, Any]:
    entry = piece.entry
    unit = entry.unit or "times"
    return {
        "design": OFFERS[name].legend,
        "left": left,
        "right": right,
        "entry": entry.item,
        "what": f"{entry.phase}, {piece.group}",
        "amount": amount,
        "share": share,
        "count": f"{entry.count:,} {unit}",
        "formula": entry.formula,
        "source": entry.source,
    }
