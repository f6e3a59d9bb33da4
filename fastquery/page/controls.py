"""The left side of the page: a widget a field of the state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from bokeh.models import (
    AutocompleteInput,
    Checkbox,
    CheckboxGroup,
    CustomJSTickFormatter,
    Row,
    Select,
    Slider,
    Spinner,
    TextInput,
    UIElement,
    Widget,
)

from costmodel.link import PRESETS
from fastquery.figures.choices import DEGREES
from fastquery.page.offers import OFFERS
from fastquery.page.shape import SHEET, button, column, text, watch
from fastquery.page.state import State
from fastquery.page.texts import rate_text
from quantize.tables import TABLE_SHAPES

CHOSEN = "chosen"
RATE = "const mbit = 10 ** (tick - 6); return Number(mbit.toPrecision(3)) + ' Mbit/s'"
"""Script that spells the slider's logarithm."""
SLOWEST, FASTEST = 5.0, 10.5
"""log10 of the bit a second that the slider spans."""
WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": [SHEET], "margin": (4, 10)}


class Field(NamedTuple):
    """A widget of one field of the state.

    Attributes
    ----------
    widget, held
        The widget, and the name of its property that holds the value.
    shown, taken
        From the state's value to the widget's, and back.
    """

    widget: Widget
    held: str = "value"
    shown: Callable[[Any], Any] = lambda value: value
    taken: Callable[[Any], Any] = lambda value: value


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
        self.fields = _fields()
        presets = [("", "as typed below"), *((name, name) for name in PRESETS)]
        self.preset = Select(title="Link", options=presets, **WIDE)
        self.rate = Slider(
            title="Bandwidth", value=7.0, start=SLOWEST, end=FASTEST, step=0.01,
            format=CustomJSTickFormatter(code=RATE), **WIDE,
        )  # fmt: skip
        self.delay = Slider(title="Round trip (ms)", value=0, start=0, end=300, step=1, **WIDE)
        self.ring_free = button("Let ring and packing be chosen", width=230)
        self.ring_free.margin = (4, 10)
        of = {name: field.widget for name, field in self.fields.items()}
        self.layout = column(
            *_section("What is looked up", of["table"], _pair(of["tokens"], of["queries"]), of["workload"]),
            *_section("Over what", self.preset, of["link"], self.rate, self.delay, of["machine"]),
            *_section("Designs", of["designs"]),
            *_section("FastQuery's ring", _pair(of["N"], of["q"]), _pair(of["p"], of["packing"]), self.ring_free),
            *_section("This project's designs", of["flooding_bits"], of["failure"], of["prepared"]),
            *_section("All designs", of["align_bits"]),
            *_section("Constraints", of["most_bytes"], of["most_setup_bytes"], of["most_s"], of["hidden"]),
        )
        self.show(state)
        self._watch()

    def show(self, state: State) -> None:
        """Set every widget to a state, which is reported to nobody."""
        self.state, self._setting = state, True
        try:
            for name, field in self.fields.items():
                setattr(field.widget, field.held, field.shown(getattr(state, name)))
            self._show_link(state)
        finally:
            self._setting = False

    def _show_link(self, state: State) -> None:
        link = state.over
        self.preset.value = state.link if state.link in PRESETS else ""
        exponent = min(max(math.log10(link.rate_bit_per_s), SLOWEST), FASTEST)
        if abs(exponent - self.rate.value) > 0.006:  # half a step: the slider that is being dragged stays where it is
            self.rate.value = exponent
        delay_ms = 1e3 * link.round_trip_s
        if abs(delay_ms - self.delay.value) > 0.5:
            self.delay.value = min(delay_ms, self.delay.end)

    def _watch(self) -> None:
        for name, field in self.fields.items():
            watch(field.widget, field.held, partial(self._take, name))
        watch(self.preset, "value", lambda value: self._take("link", value or self.state.link))
        watch(self.rate, "value", lambda value: self._drag(10**value, None))
        watch(self.delay, "value", lambda value: self._drag(None, value))
        self.ring_free.on_click(lambda _: self.set(N=None, q="", p=None, packing=""))

    def _drag(self, rate_bit_per_s: float | None, delay_ms: float | None) -> None:
        if not self._setting:
            self.set_link(rate_bit_per_s, delay_ms)

    def set_link(self, rate_bit_per_s: float | None = None, delay_ms: float | None = None) -> None:
        """Another rate or another round trip, the other one kept."""
        link = self.state.over
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

    def _take(self, name: str, value: Any) -> None:
        """Take what a widget holds; a text that cannot be is reported, and the widget shows the state again."""
        if self._setting:
            return
        try:
            self.set(**{name: self.fields[name].taken(value)})
        except ValueError as error:
            self._complain(str(error))
            self.show(self.state)


def _fields() -> Mapping[str, Field]:
    names = list(OFFERS)
    degrees = [("", CHOSEN), *((str(degree), str(degree)) for degree in DEGREES)]
    tables = AutocompleteInput(
        title="Table", completions=list(TABLE_SHAPES), restrict=False, min_characters=0, placeholder="32000x4096",
        search_strategy="includes", **WIDE,
    )  # fmt: skip
    return {
        "table": Field(tables),
        "tokens": Field(Spinner(title="Tokens a lookup", low=1, high=2**16, step=1, mode="int", **WIDE), taken=int),
        "queries": Field(Spinner(title="Tokens a set-up", low=1, step=100, mode="int", **WIDE), taken=int),
        "workload": _typed("Session, in the place of tokens", "prompt=128,generated=64"),
        "link": _typed("Rate, round trip", "44Mbit/s,40ms"),
        "machine": _typed("Machine (a calibration file)", "built-in"),
        "designs": Field(
            CheckboxGroup(labels=[offer.legend for offer in OFFERS.values()], **WIDE),
            "active",
            shown=lambda chosen: [names.index(name) for name in chosen],
            taken=lambda active: tuple(names[k] for k in sorted(active)),
        ),
        "N": Field(Select(title="Ring degree N", options=degrees, **WIDE), shown=_text, taken=_whole),
        "q": _typed("q (bits of limbs)", CHOSEN),
        "p": _typed("p (bits)", CHOSEN, taken=_whole),
        "packing": _typed("Packing (bits)", "4,3,3"),
        "flooding_bits": Field(Slider(title="Flooding (bits)", value=0, start=0, end=64, step=1, **WIDE), taken=int),
        "failure": Field(
            Slider(title="Failure of a lookup, log2", value=-40, start=-80, end=-10, step=1, **WIDE),
            shown=round,
            taken=float,
        ),
        "prepared": Field(Checkbox(label="Prepared before the token is known", **WIDE), "active"),
        "align_bits": Field(
            Slider(title="Aligned shares (bits, 0: packed)", value=0, start=0, end=64, step=1, **WIDE), taken=int
        ),
        "most_bytes": _typed("Bytes a query, at most", "such as 1e6", taken=_real),
        "most_setup_bytes": _typed("Bytes of keys, at most", "such as 5e6", taken=_real),
        "most_s": _typed("Seconds of latency, at most", "such as 0.5", taken=_real),
        "hidden": Field(Checkbox(label="Table hidden from the client", **WIDE), "active"),
    }


def _typed(title: str, placeholder: str, taken: Callable[[str], Any] = str.strip) -> Field:
    return Field(TextInput(title=title, placeholder=placeholder, **WIDE), shown=_text, taken=taken)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whole(text: str) -> int | None:
    return int(text) if text.strip() else None


def _real(text: str) -> float | None:
    return float(text) if text.strip() else None


def _section(heading: str, *widgets: UIElement) -> tuple[UIElement, ...]:
    return text(f"<h3>{heading}</h3>", "section"), *widgets


def _pair(first: Widget, second: Widget) -> Row:
    for one in (first, second):
        one.styles = {"min-width": "0", "flex": "1 1 0"}
    return Row(first, second, sizing_mode="stretch_width", margin=0)
