"""The command line, one module a subcommand; each a thin layer over the Python API."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastquery.cli import calibrate, claims, estimate, optimize, plot, quantize, query, run, serve, sweep, validate

SUBCOMMANDS = (estimate, sweep, optimize, run, serve, query, quantize, claims, calibrate, validate, plot)

EXAMPLE = """example:
  fastquery estimate --table llama-7b --protocol fastquery --explain
  fastquery run --table minilm --tokens 3
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, as all others do."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the options are; exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; 0 only if what was asked for held, 2 for input that cannot be."""
    parser = Parser(
        prog="fastquery",
        description="What a private embedding lookup costs: predicted, executed, compared.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for module in SUBCOMMANDS:
        module.add_parser(subparsers)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.execute(arguments)
    except ValueError as error:
        print(f"fastquery {arguments.subcommand}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"fastquery {arguments.subcommand}: interrupted", file=sys.stderr)
        return 130
    return code
