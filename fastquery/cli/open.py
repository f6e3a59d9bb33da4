"""``fastquery open``: both parties' shares of a lookup to its rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fastquery.cli.show import json_text, pairs

EXAMPLE = """examples:
  fastquery open client/0123456789abcdef01234567-000001-client.npz server/0123456789abcdef01234567-000001-server.npz

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
    parser.add_argument("--table", metavar="FILE.npy", help="float rows (m, n) to hold the opened ones against")
    parser.add_argument("--token", action="append", type=int, default=[], help="the row that --table has; in order")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Open, compare, print."""
    from protocol.share import Share, open_shares

    one, other = (Share.load(path) for path in arguments.shares)
    rows = open_shares(one, other)
    correct = None
    if arguments.table is not None:
        correct = agrees(rows, np.load(arguments.table, allow_pickle=False), arguments.token)
    document = {"lookup": one.lookup, "session": one.session, "correct": correct, "rows": rows.tolist()}
    if arguments.json:
        print(json_text(document))
    else:
        print(pairs({"rows": f"{rows.shape[0]} of {rows.shape[1]} channels", "correct": str(correct)}), file=sys.stdout)
    return 1 if correct is False else 0


def agrees(rows: np.ndarray[Any, np.dtype[np.float32]], table: np.ndarray[Any, Any], tokens: list[int]) -> bool:
    """Whether opened rows are those of a table of the quantised floats.

    Raises
    ------
    ValueError
        If the tokens are not as many as the rows, or outside the table.
    """
    if len(tokens) != len(rows) or any(not 0 <= token < len(table) for token in tokens):
        raise ValueError(f"token names {len(tokens)} rows; {len(rows)} were opened, of a table of {len(table)}")
    return bool(np.array_equal(rows, table[tokens]))
