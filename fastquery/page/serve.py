"""The page in a browser: a server on this machine that sends everything itself."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import resources

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.models import CustomJS
from bokeh.resources import Resources
from bokeh.server.server import Server
from bokeh.settings import settings

from fastquery.page.state import State
from fastquery.page.view import Page

HOST = "127.0.0.1"
TITLE = "fastquery explore"
ADDRESS = """
const query = cb_obj.data.address[0]
clearTimeout(window.addressing)
window.addressing = setTimeout(() => history.replaceState(null, "", query ? "?" + query : location.pathname), 250)
"""
"""Script that has the address say the state, once it stands still: browsers refuse an address a frame."""

PREFERRED = "dark.active = window.matchMedia('(prefers-color-scheme: dark)').matches"
"""Script that takes the ground that the browser prefers."""

SCRIPTS = Resources(mode="server", root_url="/", components=["bokeh", "bokeh-widgets", "bokeh-tables"]).render_js()
"""The scripts that the page needs; Bokeh would send those of mathematics and of WebGL too, half as much again."""

TEMPLATE = """
{% block js_resources %}SCRIPTS{% endblock %}
{% block postamble %}<meta name="viewport" content="width=device-width, initial-scale=1">
<style>STYLE</style>{% endblock %}
{% block contents %}<main>{{ embed(roots.page) }}</main>{% endblock %}
"""


class Pages:
    """Pages for browsers, the first one built before its browser asks.

    Parameters
    ----------
    default
        The state of an address without one.
    """

    def __init__(self, default: State) -> None:
        self.default = default
        self._ready: Page | None = Page(default)

    def fill(self, document: Document) -> None:
        """Put a page into the document of one browser, at the state of its address."""
        context = document.session_context
        query = context.request.query if context and context.request else ""
        if query:
            page, problem = self._of_address(query)
            page.complain(problem)
        else:
            page, self._ready = self._ready or Page(self.default), None
        _put(page, document)

    def _of_address(self, query: str) -> tuple[Page, str]:
        try:
            return Page(State.of_address(query)), ""
        except ValueError as error:
            return Page(self.default), str(error)


def _put(page: Page, document: Document) -> None:
    page.texts.js_on_change("data", CustomJS(code=ADDRESS))
    style = resources.files("fastquery.page").joinpath("page.css").read_text(encoding="utf-8")
    page.layout.name = "page"
    document.title, document.template = TITLE, TEMPLATE.replace("SCRIPTS", SCRIPTS).replace("STYLE", style)
    document.add_root(page.layout)
    document.js_on_event("document_ready", CustomJS(args={"dark": page.dark}, code=PREFERRED))


def serve(state: State, port: int = 0, *, show: bool = True, started: Callable[[str], None] | None = None) -> None:
    """Serve the page until the process is ended.

    Parameters
    ----------
    state
        Of an address without one.
    port
        On this machine's loopback address; a free one for 0.
    show
        Open a browser.
    started
        Called with the page's address once it answers.

    Raises
    ------
    OSError
        If the port is taken.
    """
    settings.perform_document_validation.set_value(False)  # a test validates the page, once for all browsers
    pages = Pages(state)
    port = port or _free_port()
    application = Application(FunctionHandler(pages.fill))
    origins = [f"{name}:{port}" for name in (HOST, "localhost")]
    server = Server({"/": application}, port=port, address=HOST, allow_websocket_origin=origins)
    server.start()
    if started:
        started(f"http://{HOST}:{port}/")
    if show:
        server.io_loop.add_callback(server.show, "/")
    try:
        server.io_loop.start()  # Bokeh's own loop prints a word at its end, and goes on where nobody reads it
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        found: int = one.getsockname()[1]
        return found
