"""The page: controls on the left, figures on the right, and two more tabs; one object for a browser and a notebook."""

from __future__ import annotations

import threading
from dataclasses import replace
from html import escape
from typing import Any

import panel as pn
from bokeh.models import Button, ColumnDataSource, CustomJS, Toggle

from costmodel.parameters import Configuration
from fastquery.figures.designs import configuration_text
from fastquery.page import designs as designs_view
from fastquery.page.bandwidth import Bandwidth
from fastquery.page.campaign import Campaign
from fastquery.page.card import Card
from fastquery.page.claims import Claims
from fastquery.page.controls import Controls
from fastquery.page.designs import Designs
from fastquery.page.front import Front, points, searched
from fastquery.page.held import Held, Refusal, hold, without
from fastquery.page.ledger import Stacked, byte_pieces, second_pieces
from fastquery.page.limits import reasons
from fastquery.page.noise import Noise
from fastquery.page.offers import OFFERS
from fastquery.page.paper import TABLE, stated
from fastquery.page.rings import Rings
from fastquery.page.shape import SHEET, button, card, column, pair, row, text
from fastquery.page.state import RING_WORDS, State
from fastquery.page.style import DARK, LIGHT, Ground
from fastquery.words import link_of

GROUND = "document.documentElement.dataset.ground = cb_obj.active ? 'dark' : 'light'"
SEARCH = "Search rings"
COPY = "navigator.clipboard.writeText(texts.data[NAME][0])"
CURVES = ("table", "tokens", "machine", "designs", "N", "p", "q", "packing", "flooding_bits", "failure", "prepared",
          "align_bits")  # fmt: skip
"""Fields of the state that another curve follows from."""


class Page(pn.viewable.Viewer):  # type: ignore[misc]  # Panel's types are not read
    """What the model says of the state that the controls hold.

    Parameters
    ----------
    state
        At first.
    """

    def __init__(self, state: State | None = None) -> None:
        super().__init__()
        self.state = state or State()
        self.ground: Ground = LIGHT
        self.priced: dict[str, Held] = {}
        self.refused: dict[str, str] = {}
        self.found: tuple[tuple[str, Configuration], ...] = ()
        self._drawn: State | None = None
        self.campaign: Campaign | None = None
        self._built()
        self.controls = Controls(self.state, self.show, self.complain)
        self.paint(LIGHT)
        self.show(self.state)

    def _built(self) -> None:
        self.bandwidth = Bandwidth(lambda rate: self.controls.set_link(rate))
        self.bytes, self.seconds = Stacked("bytes"), Stacked("seconds")
        self.rings, self.front, self.noise = Rings(lambda n, q: self.controls.set(N=n, q=q)), Front(), Noise()
        self.designs = Designs()
        self.headline, self.problem = text("", "headline"), text("", "problem", visible=False)
        self.why_not, self.spelled = text(), text()
        self.focus = pn.widgets.Select(options=[], width=220, margin=0)
        self.focus.param.watch(self._focused, "value")
        self.designs.source.selected.on_change("indices", self._row_chosen)
        self.as_shares = pn.widgets.RadioButtonGroup(
            options={"shares": True, "absolute": False}, value=True, width=140, height=26, margin=0, stylesheets=[SHEET]
        )
        self.as_shares.param.watch(lambda _: self._draw_ledgers(), "value")
        self.command, self.call = text(), text()
        self.texts = ColumnDataSource({"command": [""], "call": [""], "address": [""]})
        self.search = button(SEARCH, width=96)
        self.search.on_click(lambda _: self._search())
        self.dark = Toggle(label="Dark", width=64, height=26, margin=0, stylesheets=[SHEET])
        self.dark.on_change("active", lambda _, __, dark: self.paint(DARK if dark else LIGHT))
        self.dark.js_on_change("active", CustomJS(code=GROUND))

    def __panel__(self) -> pn.viewable.Viewable:
        return self.layout

    @property
    def layout(self) -> pn.Column:
        """Everything, as one column."""
        if not hasattr(self, "_layout"):
            self._layout = self._laid_out()
        return self._layout

    def _laid_out(self) -> pn.Column:
        self.cards = {
            "bandwidth": Card(
                "latency", "Latency over bandwidth", "A click or a drag in the figure sets the link's rate.",
                self.bandwidth.figure,
            ),
            "front": Card(
                "front", "Bytes against latency", "Filled: beaten by none in both. Pale: excluded by a constraint.",
                self.front.figure, self.search,
            ),
            "designs": Card(
                "designs", "Designs", "A click on a heading sorts, on a row spells the design out. Pale: excluded.",
                self.designs.table,
            ),
            "bytes": Card(
                "bytes", "Bytes, entry by entry", "Each entry tells its formula and source under the pointer.",
                self.bytes.figure, self.as_shares,
            ),
            "seconds": Card(
                "seconds", "Seconds, entry by entry",
                "CPU seconds, and messages at the link's rate. Round trips and overlap are in the latency alone.",
                self.seconds.figure,
            ),
            "rings": Card(
                "rings", "FastQuery's rings", "The darker, the more bytes. Lines: weak. Dots: failing. Star: fewest "
                "bytes. A click takes N and q.", self.rings.figure,
            ),
            "noise": Card(
                "noise", "Noise budget", "Right of the solid line one standard deviation decrypts wrongly. The dashed "
                "line is the failure target.", self.noise.figure,
            ),
        }  # fmt: skip
        sheets = {name: one.layout for name, one in self.cards.items()}
        spelled = card(
            row(text("<h2>Spelled out</h2>"), self.focus),
            self.spelled,
            *self._copied("Command line", "command", self.command),
            *self._copied("Python", "call", self.call),
        )
        model = row(
            column(self.controls.layout, classes=("card", "side"), width=272, sizing_mode=None),
            column(
                self.problem,
                self.headline,
                pair(sheets["bandwidth"], sheets["front"]),
                sheets["designs"],
                card(text("<h2>Why not</h2>"), self.why_not),
                pair(sheets["bytes"], sheets["seconds"]),
                pair(sheets["rings"], sheets["noise"]),
                spelled,
            ),
        )
        self.tabs = pn.Tabs(
            ("What if", model), ("Published claims", column()), ("Measured campaign", column()),
            sizing_mode="stretch_width", margin=(0, 9), stylesheets=[SHEET],
        )  # fmt: skip
        self.tabs.param.watch(lambda event: self._open(event.new), "active")
        title = text("<h1>fastquery</h1><span>what a private embedding lookup costs</span>", "title")
        self._say()
        return column(row(title, pn.pane.Bokeh(self.dark, margin=0), classes=("top",)), self.tabs, classes=("page",))

    def _open(self, tab: int) -> None:
        """Fill a tab when it is first opened: deriving every published number takes seconds."""
        if tab == 0 or len(self.tabs[tab]):
            return
        if tab == 1:
            self.tabs[tab].append(Claims().layout)
        else:
            self.campaign = Campaign()
            self.campaign.paint(self.ground)
            self.tabs[tab].append(self.campaign.layout)

    def _copied(self, label: str, name: str, code: pn.pane.HTML) -> tuple[pn.Row, pn.pane.HTML]:
        copying = Button(label="Copy", width=56, height=26, margin=0, stylesheets=[SHEET])
        copying.js_on_event("button_click", CustomJS(args={"texts": self.texts}, code=COPY.replace("NAME", repr(name))))
        return row(text(f"<b>{label}</b>"), pn.pane.Bokeh(copying, margin=0)), code

    def show(self, state: State) -> None:
        """Price a state and draw what changes, in one message to the browser."""
        with pn.io.hold():
            self._show(state)

    def _show(self, state: State) -> None:
        before, self.state = self._drawn, state
        self._drawn = state
        link = link_of(state.link)
        changed = before is None or any(getattr(before, name) != getattr(state, name) for name in CURVES)
        if changed:
            self._price()
            self.found = ()
        self.figures = {name: one.figures(link) for name, one in self.priced.items()}
        self.excluded = {
            name: "; ".join(found) for name, figures in self.figures.items() if (found := reasons(figures, state))
        }
        if changed or before is None or link_of(before.link).round_trip_s != link.round_trip_s:
            self.bandwidth.draw(self.priced, link.round_trip_s)
        if changed:
            self.noise.draw(self.priced, self.figures, state.failure, self.ground)
            self._draw_rings()
        self._draw_link()

    def complain(self, problem: str) -> None:
        """Say above the figures why what was typed cannot be; an empty text takes it back."""
        self.problem.object, self.problem.visible = escape(problem), bool(problem)

    def _price(self) -> None:
        """Hold every chosen design, and keep why others are refused."""
        held = {name: hold(self.state, name) for name in OFFERS if name in self.state.designs}
        self.priced = {name: one for name, one in held.items() if isinstance(one, Held)}
        self.refused = {name: str(one) for name, one in held.items() if isinstance(one, Refusal)}

    def _draw_link(self) -> None:
        """What a link changes: marks, bars, front, table, texts."""
        state, link = self.state, link_of(self.state.link)
        self.bandwidth.mark_link({name: one["latency_s"] for name, one in self.figures.items()}, link, self.ground)
        self._draw_ledgers()
        self._draw_front()
        self.designs.draw(self.priced, self.figures, state.queries, self.excluded)
        allowed = [name for name in self.priced if name not in self.excluded]
        over = f"{state.tokens} token(s) of {state.table} over {state.link}. "
        self.headline.object = over + designs_view.headline(self.figures, allowed, state.queries)
        self.why_not.object = designs_view.why_not(self.refused, self.excluded)
        self._spell_out()
        self._say()

    def _draw_ledgers(self) -> None:
        link, as_shares = link_of(self.state.link), bool(self.as_shares.value)
        self.bytes.draw({n: list(byte_pieces(one, self.state.queries)) for n, one in self.priced.items()}, as_shares)
        self.seconds.draw({n: list(second_pieces(one, link)) for n, one in self.priced.items()}, as_shares)

    def _draw_front(self) -> None:
        found = points(self.priced, self.found, self.state, link_of(self.state.link))
        table = next((one.configuration.table for one in self.priced.values()), None)
        about = table is not None and (table.rows, table.channels, table.tokens) == (*TABLE, 1)
        self.front.draw(found, [one for one in stated() if one.design in self.priced] if about else [], self.ground)

    def _draw_rings(self) -> None:
        base = without(self.state, "fastquery", RING_WORDS)
        own = self.priced.get("fastquery")
        if isinstance(base, Configuration):
            self.rings.draw(base, self.state.machine)
        self.rings.mark(own.configuration if own else None)

    def _spell_out(self) -> None:
        names = list(self.priced)
        options = {OFFERS[name].legend: name for name in names}
        if self.focus.options != options:
            self.focus.options = options
        focus = self.state.focus if self.state.focus in names else (names[0] if names else "")
        if focus and self.focus.value != focus:
            self.focus.value = focus
        if not focus:
            self.spelled.object = self.command.object = self.call.object = ""
            return
        command, call = self.state.command(focus), self.state.call(focus)
        self.texts.data = {"command": [command], "call": [call], "address": [self.state.address()]}
        what = configuration_text(self.priced[focus].configuration)
        self.spelled.object = designs_view.spelled_out(OFFERS[focus].legend, what, self.figures[focus])
        self.command.object = f"<pre data-copy='command'>{escape(command)}</pre>"
        self.call.object = f"<pre data-copy='call'>{escape(call)}</pre>"

    def _say(self) -> None:
        if hasattr(self, "cards"):
            self.cards["front"].say(self.front.note)
            self.cards["rings"].say(self.rings.note)

    def _focused(self, event: Any) -> None:
        if event.new:
            self.controls.set(focus=event.new)

    def _row_chosen(self, _: str, __: list[int], indices: list[int]) -> None:
        if indices:
            self.controls.set(focus=self.designs.source.data["name"][indices[0]])

    def _search(self) -> None:
        """Search beside the page, which goes on answering; the points come when they are found."""
        asked, document = self.state, pn.state.curdoc
        self.search.disabled, self.search.name = True, "Searching\N{HORIZONTAL ELLIPSIS}"

        def work() -> None:
            try:
                found, problem = searched(asked), ""
            except ValueError as error:
                found, problem = (), str(error)
            if document is None:
                self._searched(asked, found, problem)
            else:
                document.add_next_tick_callback(lambda: self._searched(asked, found, problem))

        if document is None:
            work()
        else:
            threading.Thread(target=work, daemon=True).start()

    def _searched(self, asked: State, found: tuple[tuple[str, Configuration], ...], problem: str) -> None:
        self.search.disabled, self.search.name = False, SEARCH
        same = replace(asked, link="lan") == replace(self.state, link="lan")
        self.found = found if same else ()
        self._draw_front()
        self._say()
        if problem:
            self.cards["front"].say(problem)

    def paint(self, ground: Ground) -> None:
        """Put every figure on a ground."""
        self.ground = ground
        for one in (self.bandwidth, self.bytes, self.seconds, self.rings, self.front, self.noise, self.campaign):
            if one is not None:
                one.paint(ground)
        if self._drawn is not None:
            self.noise.draw(self.priced, self.figures, self.state.failure, ground)
            self._draw_link()
