"""Flags that subcommands share, made of the words of :mod:`fastquery.words`."""

from __future__ import annotations

import argparse
from typing import Any

from costmodel.link import PRESETS
from costmodel.systems import NAMES
from fastquery.words import (
    DEFAULT_TABLE,
    MACHINE_HELP,
    WORDS,
    WORKLOAD_HELP,
    Question,
    ask,
    checked,
    link_of,
    machine_of,
    workload_of,
)

TABLE_HELP = f"preset, MxN, FILE.safetensors:KEY, or a packed FILE.safetensors (default {DEFAULT_TABLE})"


def add_lookup_options(parser: argparse.ArgumentParser) -> None:
    """Flags of the lookup: the table, and how its rows are looked up."""
    parser.add_argument("--table", help=TABLE_HELP)
    parser.add_argument("--protocol", metavar="SYSTEM", help=f"{', '.join(NAMES)} (default fastquery)")
    for word in WORDS:
        word.add_to(parser)


def add_configuration_options(parser: argparse.ArgumentParser, default_link: str) -> None:
    """Flags of the lookup, of the link, and of the machine and the threads that it is priced for."""
    add_lookup_options(parser)
    parser.add_argument(
        "--link",
        "--bandwidth",
        type=checked(link_of),
        help=f"{', '.join(PRESETS)}, or RATE,ROUND_TRIP such as 44Mbit/s,40ms (default {default_link})",
        metavar="LINK",
    )
    parser.add_argument("--machine", type=checked(machine_of), help=MACHINE_HELP, metavar="FILE")
    parser.add_argument(
        "--threads", help="threads of the server that share a lookup's work (default 1)", metavar="COUNT"
    )


def add_workload_option(parser: argparse.ArgumentParser) -> None:
    """The flag of a session's workload."""
    parser.add_argument(
        "--workload",
        type=checked(workload_of),
        metavar="WORKLOAD",
        help=f"a session in the place of one lookup: {WORKLOAD_HELP}",
    )


def question_of(arguments: argparse.Namespace, link: str = "lan", **more: Any) -> Question:
    """The question that the flags ask; ``more`` are further words.

    Raises
    ------
    ValueError
        If two flags contradict each other or a value cannot be.
    """
    names = ("table", "protocol", "link", "machine", "threads", *(word.name for word in WORDS))
    words = {name: getattr(arguments, name) for name in names if getattr(arguments, name, None) is not None}
    return ask({**words, **more}, link=link)
