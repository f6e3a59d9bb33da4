"""The page in a browser: a server on this machine that sends everything itself."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import resources

import panel as pn
from bokeh.models import CustomJS

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

TEMPLATE = """
{% extends base %}
{% block postamble %}<meta name="viewport" content="width=device-width, initial-scale=1">
<style>STYLE</style>{% endblock %}
{% block contents %}<main>{{ embed(roots.page) }}</main>{% endblock %}
"""


def session(default: State) -> pn.Template:
    """The page of one browser, at the state of its address."""
    location = pn.state.location
    page, problem = _of_address(location.search if location else "", default)
    page.complain(problem)
    page.texts.js_on_change("data", CustomJS(code=ADDRESS))
    style = resources.files("fastquery.page").joinpath("page.css").read_text(encoding="utf-8")
    template = pn.Template(TEMPLATE.replace("STYLE", style))
    template.add_panel("page", page.layout)
    if pn.state.curdoc is not None:
        pn.state.curdoc.js_on_event("document_ready", CustomJS(args={"dark": page.dark}, code=PREFERRED))
    return template


def _of_address(query: str, default: State) -> tuple[Page, str]:
    try:
        return Page(State.of_address(query) if query.strip("?") else default), ""
    except ValueError as error:
        return Page(default), str(error)


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
    Page(state)  # its designs are held from here on, so that the first browser need not wait for them
    port = port or _free_port()
    server = pn.serve(
        {"/": lambda: session(state)}, port=port, address=HOST, show=False, start=False, title=TITLE,
        websocket_origin=[f"{host}:{port}" for host in (HOST, "localhost")], verbose=False,
    )  # fmt: skip
    url = f"http://{HOST}:{port}/"
    if started:
        started(url)
    if show:
        server.io_loop.add_callback(server.show, "/")
    server.run_until_shutdown()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        found: int = one.getsockname()[1]
        return found
