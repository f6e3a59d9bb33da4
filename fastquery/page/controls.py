"""The left side of the page: a widget a field of the state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import panel as pn
from bokeh.models import CustomJSTickFormatter

from costmodel.link import PRESETS
from fastquery.page.offers import OFFERS
from fastquery.page.shape import button, column, text
from fastquery.page.state import State
from fastquery.page.texts import rate_text
from fastquery.words import link_of
from quantize.tables import TABLE_SHAPES

DEGREES = (1024, 2048, 4096, 8192, 16384)
CHOSEN = "chosen"
RATE = "const mbit = 10 ** (tick - 6); return Number(mbit.toPrecision(3)) + ' Mbit/s'"
"""Script that spells the slider's logarithm."""
SLOWEST, FASTEST = 5.0, 10.5
"""log10 of the bit a second that the slider spans."""


class Controls:
    """Widgets that hold a state.

    Parameters
    ----------
    state
        At first.
    changed
        Called with the new state after every change.
    complain
        Called with why a text cannot be, and with an empty text once one can.
    """

    def __init__(self, state: State, changed: Callable[[State], None], complain: Callable[[str], None]) -> None:
        self.state, self._changed, self._complain, self._setting = state, changed, complain, False
        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        self.table = pn.widgets.AutocompleteInput(
            name="Table", options=list(TABLE_SHAPES), restrict=False, min_characters=0, placeholder="32000x4096",
            search_strategy="includes", **wide,
        )  # fmt: skip
        self.tokens = pn.widgets.IntInput(name="Tokens a lookup", start=1, end=2**16, **wide)
        self.queries = pn.widgets.IntInput(name="Tokens a set-up", start=1, step=100, **wide)
        self.preset = pn.widgets.Select(name="Link", options=["", *PRESETS], **wide)
        self.link = pn.widgets.TextInput(name="Rate, round trip", placeholder="44Mbit/s,40ms", **wide)
        self.rate = pn.widgets.FloatSlider(
            name="Bandwidth", start=SLOWEST, end=FASTEST, step=0.01, format=CustomJSTickFormatter(code=RATE), **wide
        )
        self.delay = pn.widgets.FloatSlider(name="Round trip", start=0, end=300, step=1, format="0 ms", **wide)
        self.machine = pn.widgets.TextInput(name="Machine (a calibration file)", placeholder="built-in", **wide)
        self.designs = pn.widgets.CheckBoxGroup(options={offer.legend: name for name, offer in OFFERS.items()}, **wide)
        self.N = pn.widgets.Select(name="Ring degree N", options={CHOSEN: None, **{str(n): n for n in DEGREES}}, **wide)
        self.q = pn.widgets.TextInput(name="q (bits of limbs)", placeholder=CHOSEN, **wide)
        self.p = pn.widgets.TextInput(name="p (bits)", placeholder=CHOSEN, **wide)
        self.packing = pn.widgets.TextInput(name="Packing (bits)", placeholder="4,3,3", **wide)
        self.flooding_bits = pn.widgets.IntSlider(name="Flooding (bits)", start=0, end=64, **wide)
        self.failure = pn.widgets.IntSlider(name="Failure of a lookup, log2", start=-80, end=-10, **wide)
        self.prepared = pn.widgets.Checkbox(name="Prepared before the token is known", **wide)
        self.align_bits = pn.widgets.IntSlider(name="Aligned shares (bits, 0: packed)", start=0, end=64, **wide)
        self.most_bytes = pn.widgets.TextInput(name="Bytes a query, at most", placeholder="such as 1e6", **wide)
        self.most_setup_bytes = pn.widgets.TextInput(name="Bytes of keys, at most", placeholder="such as 5e6", **wide)
        self.most_s = pn.widgets.TextInput(name="Seconds of latency, at most", placeholder="such as 0.5", **wide)
        self.hidden = pn.widgets.Checkbox(name="Table hidden from the client", **wide)
        self.ring_free = button("Let ring and packing be chosen", margin=(4, 10), sizing_mode="stretch_width")
        self.layout = column(
            *self._section("What is looked up", self.table, _pair(self.tokens, self.queries)),
            *self._section("Over what", self.preset, self.link, self.rate, self.delay, self.machine),
            *self._section("Designs", self.designs),
            *self._section("FastQuery's ring", _pair(self.N, self.q), _pair(self.p, self.packing), self.ring_free),
            *self._section("This project's designs", self.flooding_bits, self.failure, self.prepared),
            *self._section("All designs", self.align_bits),
            *self._section("Constraints", self.most_bytes, self.most_setup_bytes, self.most_s, self.hidden),
        )
        self.show(state)
        self._watch()

    def _section(self, heading: str, *widgets: Any) -> tuple[Any, ...]:
        return text(f"<h3>{heading}</h3>", "section"), *widgets

    def show(self, state: State) -> None:
        """Set every widget to a state, which is reported to nobody."""
        self.state, self._setting = state, True
        try:
            for name in PLAIN:
                getattr(self, name).value = getattr(state, name)
            self.designs.value = list(state.designs)
            self.p.value = "" if state.p is None else str(state.p)
            self.failure.value = round(state.failure)
            for name in BOUNDS:
                bound = getattr(state, name)
                getattr(self, name).value = "" if bound is None else f"{bound:g}"
            self._show_link(state.link)
        finally:
            self._setting = False

    def _show_link(self, text: str) -> None:
        link = link_of(text)
        self.link.value = text
        self.preset.value = text if text in PRESETS else ""
        exponent = min(max(math.log10(link.rate_bit_per_s), SLOWEST), FASTEST)
        if abs(exponent - self.rate.value) > 0.006:  # half a step: the slider that is being dragged stays where it is
            self.rate.value = exponent
        delay_ms = 1e3 * link.round_trip_s
        if abs(delay_ms - self.delay.value) > 0.5:
            self.delay.value = min(delay_ms, self.delay.end)

    def _watch(self) -> None:
        for name in (*PLAIN, "p", *BOUNDS):
            getattr(self, name).param.watch(lambda event, name=name: self._changes(name, event.new), "value")
        self.designs.param.watch(lambda event: self._changes("designs", tuple(event.new)), "value")
        self.failure.param.watch(lambda event: self._changes("failure", float(event.new)), "value")
        self.link.param.watch(lambda event: self._changes("link", event.new), "value")
        self.preset.param.watch(self._preset_taken, "value")
        self.rate.param.watch(lambda event: self._drag(10**event.new, None), "value")
        self.delay.param.watch(lambda event: self._drag(None, event.new), "value")
        self.ring_free.on_click(lambda _: self.set(N=None, q="", p=None, packing=""))

    def _preset_taken(self, event: Any) -> None:
        if event.new:
            self._changes("link", event.new)

    def _drag(self, rate_bit_per_s: float | None, delay_ms: float | None) -> None:
        if not self._setting:
            self.set_link(rate_bit_per_s, delay_ms)

    def set_link(self, rate_bit_per_s: float | None = None, delay_ms: float | None = None) -> None:
        """Another rate or another round trip, the other one kept."""
        link = link_of(self.state.link)
        rate = link.rate_bit_per_s if rate_bit_per_s is None else rate_bit_per_s
        delay = 1e3 * link.round_trip_s if delay_ms is None else delay_ms
        self.set(link=f"{rate_text(rate)},{delay:g}ms")

    def set(self, **changes: Any) -> None:
        """Change the state, show it, and report it."""
        changed = replace(self.state, **changes)
        if changed != self.state:
            self._complain("")
            self.show(changed)
            self._changed(changed)

    def _changes(self, name: str, value: Any) -> None:
        """Take what a widget holds; a text that cannot be is reported where it stands."""
        if self._setting:
            return
        try:
            if name == "p":
                value = None if not value.strip() else int(value)
            elif name in BOUNDS:
                value = None if not value.strip() else float(value)
            self.set(**{name: value})
        except ValueError as error:
            self._complain(str(error))
            self.show(self.state)


PLAIN = (
    "table",
    "tokens",
    "queries",
    "machine",
    "N",
    "q",
    "packing",
    "flooding_bits",
    "prepared",
    "align_bits",
    "hidden",
)
BOUNDS = ("most_bytes", "most_setup_bytes", "most_s")


def _pair(first: Any, second: Any) -> pn.Row:
    return pn.Row(first, second, sizing_mode="stretch_width", margin=0)
