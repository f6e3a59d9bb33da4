"""``fastquery plot``: a named figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from costmodel.link import parse_link
from fastquery.cli.show import json_text
from fastquery.figures import bandwidth_frame
from fastquery.tables import table_of

EXAMPLE = """example:
  fastquery plot bandwidth --table llama-7b --output bandwidth.png
"""
FIGURES = ("bandwidth",)


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "plot",
        help="draw a named figure",
        description="Draw a figure from the model: bandwidth is the latency of every protocol over bandwidth.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", choices=FIGURES)
    parser.add_argument("--table", default="llama-7b", help="preset, MxN, or FILE.safetensors:KEY")
    parser.add_argument("--link", default="1Mbit/s,0.3ms", help="its round-trip time is drawn (default 0.3 ms)")
    parser.add_argument("--output", type=Path, default=Path("results/bandwidth.png"), help="PNG, SVG or PDF")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Draw and say where."""
    from plots.bandwidth import bandwidth
    from plots.style import save

    table = table_of(arguments.table, 1)
    round_trip_s = parse_link(arguments.link).round_trip_s
    drawn = bandwidth(
        bandwidth_frame(table, round_trip_s=round_trip_s),
        title=f"One private lookup in {table.rows} x {table.channels}, round trip {round_trip_s * 1e3:g} ms",
        source="published: SEAL with zstd at the paper's speed; this project: OpenFHE at the built-in machine's speed",
    )
    path = save(drawn, arguments.output)
    print(json_text({"paths": [str(path)]}) if arguments.json else path)
    return 0
