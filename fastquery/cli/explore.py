"""``fastquery explore``: the page."""

from __future__ import annotations

import argparse
from typing import Any

from fastquery.cli.show import json_text
from fastquery.page import require_page
from fastquery.words import link_of, machine_of, shape_of

EXAMPLE = """examples:
  fastquery explore
  fastquery explore --table gpt2 --link 9Mbit/s,40ms --no-browser
  fastquery explore --port 8080 --json

The page is served to this machine alone, and asks no other host for anything.
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "explore",
        help="open the page",
        description="Serve a page that shows what any choice of table, parameters, designs and link costs.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--table", help="preset, MxN, or a table's file, at first")
    parser.add_argument("--link", "--bandwidth", help="preset or RATE,ROUND_TRIP, at first")
    parser.add_argument("--machine", help="calibration file, at first", metavar="FILE")
    parser.add_argument("--port", type=int, default=0, help="of the loopback address (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="say the address and open no browser")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output, with the address")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    require_page()
    from fastquery.page.serve import serve
    from fastquery.page.state import State

    if not 0 <= arguments.port < 2**16:
        raise ValueError(f"port is {arguments.port}; it must lie between 0 and 65535")
    for given, read in ((arguments.table, shape_of), (arguments.link, link_of), (arguments.machine, machine_of)):
        if given is not None:
            read(given)
    named = {name: getattr(arguments, name) for name in ("table", "link", "machine")}
    state = State(**{name: value for name, value in named.items() if value is not None})

    def started(url: str) -> None:
        print(json_text({"url": url}) if arguments.json else f"{url} (Ctrl-C ends it)", flush=True)

    serve(state, arguments.port, show=not arguments.no_browser, started=started)
    return 0
