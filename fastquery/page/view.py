"""The page: controls on the left, figures on the right, and two more tabs; one object for a browser and a notebook."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import Any

from bokeh.models import Column, ColumnDataSource, CustomJS, Div, RadioButtonGroup, Row, Select, TabPanel, Tabs, Toggle

from costmodel.html import filled
from costmodel.parameters import Configuration
from fastquery.figures.designs import configuration_text
from fastquery.page import designs as designs_view
from fastquery.page.bandwidth import Bandwidth
from fastquery.page.campaign import Campaign
from fastquery.page.card import figure_card
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
from fastquery.page.sessions import Sessions
from fastquery.page.shape import SHEET, button, card, column, pair, row, text, watch
from fastquery.page.state import RING_WORDS, State
from fastquery.page.style import DARK, LIGHT, Ground
from fastquery.page.told import Told

GROUND = "document.documentElement.dataset.ground = cb_obj.active ? 'dark' : 'light'"
SEARCH = "Search rings"
COPY = "navigator.clipboard.writeText(texts.data[NAME][0])"
CURVES = ("table", "tokens", "workload", "machine", "designs", "N", "p", "q", "packing", "flooding_bits", "failure",
          "prepared", "align_bits")  # fmt: skip
"""Fields of the state that another curve follows from."""
TOLD = {
    "headline": "headline",
    "why_not": "",
    "spelled": "",
    "command": "",
    "call": "",
    "front": "note",
    "rings": "note",
}
"""Texts that follow the state, with the CSS class of each."""


class Page:
    """What the model says of the state that the controls hold.

    Parameters
    ----------
    state
        At first.
    """

    def __init__(self, state: State | None = None) -> None:
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
        self.designs, self.sessions = Designs(), Sessions()
        self.problem = text("", "problem", visible=False)
        self.told = Told(TOLD)
        self.focus = Select(options=[], width=220, margin=0, stylesheets=[SHEET])
        watch(self.focus, "value", self._focus)
        watch(self.designs.source.selected, "indices", self._row_chosen)
        self.as_shares = RadioButtonGroup(
            labels=["shares", "absolute"], active=0, width=140, height=26, margin=0, stylesheets=[SHEET]
        )
        watch(self.as_shares, "active", lambda _: self._all_ledgers())
        self.texts = ColumnDataSource({"command": [""], "call": [""], "address": [""]})
        self.search = button(SEARCH, 96)
        self.search.on_click(lambda _: self._search())
        self.dark = Toggle(label="Dark", width=64, height=26, margin=0, stylesheets=[SHEET])
        watch(self.dark, "active", lambda dark: self.paint(DARK if dark else LIGHT))
        self.dark.js_on_change("active", CustomJS(code=GROUND))

    def __panel__(self) -> Any:
        """What Panel takes the page for."""
        import panel as pn

        return pn.pane.Bokeh(self.layout, sizing_mode="stretch_width")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """What a notebook shows, whose events reach the page through Panel."""
        return self.__panel__()._repr_mimebundle_(include, exclude)

    @property
    def layout(self) -> Column:
        """Everything, as one column."""
        if not hasattr(self, "_layout"):
            self._layout = self._laid_out()
        return self._layout

    def _laid_out(self) -> Column:
        told = self.told.places
        bandwidth = figure_card(
            "latency", "Latency over bandwidth", "A click or a drag in the figure sets the link's rate.",
            self.bandwidth.figure,
        )  # fmt: skip
        front = figure_card(
            "front", "Bytes against latency", "Filled: beaten by none in both. Pale: excluded by a constraint.",
            self.front.figure, [self.search], [told["front"]],
        )  # fmt: skip
        designs = figure_card(
            "designs", "Designs", "A click on a heading sorts, on a row spells the design out. Pale: excluded.",
            self.designs.table, [self.designs.search],
        )  # fmt: skip
        self.session_card = figure_card(
            "sessions", "Sessions",
            "A set-up, the prompt's lookup, then token after token. All else on this page is of the prompt's lookup.",
            self.sessions.table,
        )  # fmt: skip
        self.session_card.visible = bool(self.state.workload)
        sizes = figure_card(
            "bytes", "Bytes, entry by entry", "Each entry tells its formula and source under the pointer.",
            self.bytes.figure, [self.as_shares],
        )  # fmt: skip
        seconds = figure_card(
            "seconds", "Seconds, entry by entry",
            "CPU seconds, and messages at the link's rate. Round trips and overlap are in the latency alone.",
            self.seconds.figure,
        )  # fmt: skip
        rings = figure_card(
            "rings", "FastQuery's rings",
            "The darker, the more bytes. Lines: weak. Dots: failing. Star: fewest bytes. A click takes N and q.",
            self.rings.figure, notes=[told["rings"]],
        )  # fmt: skip
        noise = figure_card(
            "noise", "Noise budget",
            "Right of the solid line one standard deviation decrypts wrongly. The dashed line is the failure target.",
            self.noise.figure,
        )  # fmt: skip
        spelled = card(
            row(text("<h2>Spelled out</h2>"), self.focus),
            told["spelled"],
            *self._copied("Command line", "command"),
            *self._copied("Python", "call"),
        )
        model = row(
            column(self.controls.layout, classes=("card", "side"), width=272, sizing_mode=None),
            column(
                self.problem,
                told["headline"],
                pair(bandwidth, front),
                designs,
                self.session_card,
                card(text("<h2>Why not</h2>"), told["why_not"]),
                pair(sizes, seconds),
                pair(rings, noise),
                spelled,
            ),
        )
        self.rest = {
            "Published claims": column(text("Deriving every published number\N{HORIZONTAL ELLIPSIS}", "note")),
            "Measured campaign": column(text("Reading the measured campaign\N{HORIZONTAL ELLIPSIS}", "note")),
        }
        panels = [TabPanel(title=title, child=child) for title, child in (("What if", model), *self.rest.items())]
        self.tabs = Tabs(tabs=panels, sizing_mode="stretch_width", margin=(0, 9), stylesheets=[SHEET])
        watch(self.tabs, "active", lambda tab: self._open(self.tabs.tabs[tab].title))
        title = text("<h1>fastquery</h1><span>what a private embedding lookup costs</span>", "title")
        return column(row(title, self.dark, classes=("top",)), self.tabs, classes=("page",))

    def _open(self, title: str) -> None:
        """Fill a tab when it is first opened: deriving every published number takes seconds."""
        tab = self.rest.pop(title, None)
        if tab is None:
            return
        if title == "Published claims":
            tab.children = [Claims().layout]
        else:
            self.campaign = Campaign()
            self.campaign.paint(self.ground)
            tab.children = [self.campaign.layout]

    def _copied(self, label: str, name: str) -> tuple[Row, Div]:
        copying = button("Copy", 56)
        copying.js_on_event("button_click", CustomJS(args={"texts": self.texts}, code=COPY.replace("NAME", repr(name))))
        return row(text(f"<b>{label}</b>"), copying), self.told.places[name]

    def show(self, state: State) -> None:
        """Price a state and draw what changes, in one message to the browser."""
        with self._at_once():
            self._show(state)

    def _show(self, state: State) -> None:
        before, self.state = self._drawn, state
        self._drawn = state
        link = state.over
        changed = before is None or any(getattr(before, name) != getattr(state, name) for name in CURVES)
        if changed:
            self._price()
            self.found = ()
        self.figures = {name: one.figures(link) for name, one in self.priced.items()}
        self.excluded = {
            name: "; ".join(found) for name, figures in self.figures.items() if (found := reasons(figures, state))
        }
        if changed or before is None or before.over.round_trip_s != link.round_trip_s:
            self.bandwidth.draw(self.priced, link.round_trip_s)
        if changed:
            self.noise.draw(self.priced, self.figures, state.failure, self.ground)
            self._draw_rings()
        if before is None or replace(before, link=state.link, focus=state.focus) != state:
            self._draw_bytes()
        self._draw_link()

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Hold what changes in the page's document until all has changed, each property once."""
        document = self.layout.document
        holds = document is not None and not document.callbacks.hold_value
        if holds:
            document.hold("combine")
        try:
            yield
            self.told.send()
        finally:
            if holds:
                document.unhold()

    def complain(self, problem: str) -> None:
        """Say above the figures why what was typed cannot be; an empty text takes it back."""
        self.problem.text, self.problem.visible = escape(problem), bool(problem)

    def _price(self) -> None:
        """Hold every chosen design, and keep why others are refused."""
        held = {name: hold(self.state, name) for name in OFFERS if name in self.state.designs}
        self.priced = {name: one for name, one in held.items() if isinstance(one, Held)}
        self.refused = {name: str(one) for name, one in held.items() if isinstance(one, Refusal)}

    def _draw_link(self) -> None:
        """What a link changes: marks, bars, front, table, texts."""
        state, link = self.state, self.state.over
        self.bandwidth.mark_link({name: one["latency_s"] for name, one in self.figures.items()}, link, self.ground)
        self._draw_seconds()
        self._draw_front()
        self._draw_sessions()
        self.designs.draw(self.priced, self.figures, state.queries, self.excluded)
        allowed = [name for name in self.priced if name not in self.excluded]
        tokens = state.session.prompt if state.session else state.tokens
        lookup = f"{tokens} {'token' if tokens == 1 else 'tokens'} of {state.table} over {state.link}."
        headline = designs_view.headline(lookup, self.figures, allowed, state.queries)
        self.told.tell(headline=headline, why_not=designs_view.why_not(self.refused, self.excluded))
        self._spell_out()

    def _draw_sessions(self) -> None:
        session, link = self.state.session, self.state.over
        self.session_figures = (
            {name: one.session(session, link) for name, one in self.priced.items()} if session else {}
        )
        self.session_card.visible = session is not None
        self.sessions.draw(self.session_figures, self.excluded)

    def _all_ledgers(self) -> None:
        with self._at_once():
            self._draw_bytes()
            self._draw_seconds()

    def _draw_bytes(self) -> None:
        pieces = {name: list(byte_pieces(one, self.state.queries)) for name, one in self.priced.items()}
        self.bytes.draw(pieces, as_shares=self.as_shares.active == 0)

    def _draw_seconds(self) -> None:
        link = self.state.over
        pieces = {name: list(second_pieces(one, link)) for name, one in self.priced.items()}
        self.seconds.draw(pieces, as_shares=self.as_shares.active == 0)

    def _draw_front(self) -> None:
        found = points(self.priced, self.figures, self.found, self.state, self.state.over)
        table = next((one.configuration.table for one in self.priced.values()), None)
        about = table is not None and (table.rows, table.channels, table.tokens) == (*TABLE, 1)
        self.front.draw(found, [one for one in stated() if one.design in self.priced] if about else [], self.ground)
        self.told.tell(front=self.front.note)

    def _draw_rings(self) -> None:
        base = without(self.state, "fastquery", RING_WORDS)
        own = self.priced.get("fastquery")
        if isinstance(base, Configuration):
            self.rings.draw(base, self.state.machine)
        self.rings.mark(own.configuration if own else None)
        self.told.tell(rings=self.rings.note)

    def _spell_out(self) -> None:
        names = list(self.priced)
        options = [(name, OFFERS[name].legend) for name in names]
        if self.focus.options != options:
            self.focus.options = options
        focus = self.state.focus if self.state.focus in names else (names[0] if names else "")
        if focus and self.focus.value != focus:
            self.focus.value = focus
        if not focus:
            self.told.tell(spelled="", command="", call="")
            return
        command, call = self.state.command(focus), self.state.call(focus)
        self.texts.data = {"command": [command], "call": [call], "address": [self.state.address()]}
        what = configuration_text(self.priced[focus].configuration)
        self.told.tell(
            spelled=designs_view.spelled_out(OFFERS[focus].legend, what, (self.session_figures or self.figures)[focus]),
            command=filled("fastquery/page/copied.html", name="command", text=command),
            call=filled("fastquery/page/copied.html", name="call", text=call),
        )

    def _focus(self, name: str) -> None:
        if name:
            self.controls.set(focus=name)

    def _row_chosen(self, indices: list[int]) -> None:
        if indices:
            self.controls.set(focus=self.designs.source.data["name"][indices[0]])

    def _search(self) -> None:
        """Search beside the page, which goes on answering; the points come when they are found."""
        asked, document = self.state, self.layout.document
        self.search.disabled, self.search.label = True, "Searching\N{HORIZONTAL ELLIPSIS}"
        served = document is not None and document.session_context is not None

        def work() -> None:
            try:
                found, problem = searched(asked), ""
            except ValueError as error:
                found, problem = (), str(error)
            if not served:
                self._searched(asked, found, problem)
            else:
                document.add_next_tick_callback(lambda: self._searched(asked, found, problem))

        if served:
            threading.Thread(target=work, daemon=True).start()
        else:
            work()

    def _searched(self, asked: State, found: tuple[tuple[str, Configuration], ...], problem: str) -> None:
        self.search.disabled, self.search.label = False, SEARCH
        same = replace(asked, link="lan") == replace(self.state, link="lan")
        self.found = found if same else ()
        with self._at_once():
            self._draw_front()
            if problem:
                self.told.tell(front=escape(problem))

    def paint(self, ground: Ground) -> None:
        """Put every figure on a ground."""
        self.ground = ground
        with self._at_once():
            self._paint(ground)

    def _paint(self, ground: Ground) -> None:
        for one in (self.bandwidth, self.bytes, self.seconds, self.rings, self.front, self.noise, self.campaign):
            if one is not None:
                one.paint(ground)
        if self._drawn is not None:
            self.noise.draw(self.priced, self.figures, self.state.failure, ground)
            self._draw_link()
