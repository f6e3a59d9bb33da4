"""``fastquery open``: both parties' shares of a lookup to its rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fastquery.cli.show import json_text, pairs
from fastquery.shares import described_table, rows_of

EXAMPLE = """examples:
  fastquery open client/0123456789abcdef01234567-000001-client.npz server/0123456789abcdef01234567-000001-server.npz
  fastquery open client/*-000001-client.npz server/*-000001-server.npz --table minilm --json

Whoever has both shares of a lookup has its rows: this is for tests, and for a party that is given both.
"""


def add_parser(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "open",
        help="add both parties' shares of a lookup",
        description="Add both parties' shares of a lookup and show the rows that they open to.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("shares", nargs=2, type=Path, metavar="FILE.npz", help="of query --shares and serve --shares")
    parser.add_argument("--table", help="the served table: correct if every opened row is one of its quantised rows")
    parser.add_argument("--seed", type=int, default=0, help="of a random table (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Open, compare, print."""
    from protocol.share import Share, open_levels

    one, other = (Share.load(path) for path in arguments.shares)
    levels = open_levels(one, other)
    rows = one.public.dequantize(levels)
    document: dict[str, Any] = {"session": one.session, "lookup": one.lookup, "rows": rows.tolist()}
    shown = {"lookup": str(one.lookup), "rows": f"{rows.shape[0]} of {rows.shape[1]} channels"}
    if arguments.table is not None:
        found = rows_of(levels, described_table(arguments.table, arguments.seed, one.public))
        document |= {"correct": None not in found, "table_rows": found}
        shown["table"] = ", ".join("none of its rows" if row is None else f"row {row}" for row in found)
    print(json_text(document) if arguments.json else pairs(shown))
    return 0 if document.get("correct", True) else 1
