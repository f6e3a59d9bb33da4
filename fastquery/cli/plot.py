"""``fastquery plot``: a named figure, or all of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from costmodel.link import parse_link
from costmodel.system import RingFields
from costmodel.systems import NAMES
from fastquery.cli.show import indented, json_text
from fastquery.figures import FIGURES, Appearance, Chosen, Inputs, draw, draw_all
from fastquery.words import MACHINE_HELP, checked, count, machine_of, parse_ring, parse_widths

EXAMPLE = """examples:
  fastquery plot bandwidth --table llama-7b --output bandwidth.png
  fastquery plot bandwidth --protocol cheetah --protocol folded --packing 4,3,3 --packing 4,4 --xlim 1,1000
  fastquery plot ring-map --link 44Mbit/s,40ms --output rings.svg
  fastquery plot all --output figures --jobs 2
"""
ALL = "all"
ENDINGS = ("png", "svg", "pdf")


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "plot",
        help="draw a named figure, or all",
        description="Draw a figure; 'all' draws every one into a folder with an index page.",
        epilog="figures:\n"
        + "\n".join(f"  {name}\n{indented(one.tells, 100)}" for name, one in FIGURES.items())
        + f"\n\n{EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", choices=(*FIGURES, ALL), metavar="NAME", help=f"one of those below, or {ALL}")
    parser.add_argument("--table", help="preset, MxN, or FILE.safetensors:KEY (default: the figure's own)")
    parser.add_argument("--link", "--bandwidth", help="preset or RATE,DELAY (default: the figure's own)")
    parser.add_argument("--machine", help=MACHINE_HELP, metavar="FILE")
    parser.add_argument(
        "--measurements", type=Path, help="a campaign's folder, or runs as Parquet, CSV or JSON", metavar="FILE"
    )
    parser.add_argument(
        "--protocol", action="append", default=[], help=f"{', '.join(NAMES)} (repeatable; default: all)"
    )
    parser.add_argument("--ring", action="append", default=[], help="N=4096,q=60+49 (repeatable)")
    parser.add_argument("--packing", action="append", default=[], metavar="WIDTHS", help="channel widths, 4,3,3")
    parser.add_argument("--title", default="", help="heading in the place of the figure's own")
    for name in ("xlim", "ylim"):
        parser.add_argument(f"--{name}", type=checked(span), metavar="LOW,HIGH", help="part of the axis that is shown")
    parser.add_argument("--style", type=Path, metavar="FILE", help="a style sheet of matplotlib, *.mplstyle")
    parser.add_argument("--output", type=Path, help="a PNG, SVG or PDF file; with all a folder", metavar="PATH")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="with all: processes that share the figures")
    parser.add_argument("--format", choices=ENDINGS, default="png", help="of the files of all (default png)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def span(text: str) -> tuple[float, float]:
    """Both ends of a part of an axis, from ``1,1000``.

    Raises
    ------
    ValueError
        If it is not two numbers.
    """
    low, _, high = text.partition(",")
    try:
        return float(low), float(high)
    except ValueError:
        raise ValueError(f"{text!r} is not two numbers such as 1,1000") from None


def execute(arguments: argparse.Namespace) -> int:
    """Draw and say where; 0 only if every figure asked for was drawn."""
    inputs = Inputs(
        arguments.table,
        parse_link(arguments.link) if arguments.link else None,
        machine_of(arguments.machine),
        arguments.measurements,
        Chosen(
            tuple(arguments.protocol),
            tuple(cast(RingFields, parse_ring(text)) for text in arguments.ring),
            tuple(parse_widths(text) for text in arguments.packing),
        ),
    )
    appearance = Appearance(arguments.title, arguments.xlim, arguments.ylim, arguments.style)
    if arguments.name != ALL:
        paths = [draw(arguments.name, arguments.output or Path(f"results/{arguments.name}.png"), inputs, appearance)]
        omitted: dict[str, str] = {}
    else:
        with tqdm(total=len(FIGURES), file=sys.stderr, delay=1.0, leave=False, desc="figures") as bar:

            def progress(name: str, done: int, total: int) -> None:
                bar.set_postfix_str(name, refresh=False)
                bar.update(done - bar.n)

            folder = arguments.output or Path("results/figures")
            jobs = count("jobs", arguments.jobs)
            paths, omitted = draw_all(folder, inputs, f".{arguments.format}", progress, appearance.style, jobs)
    for name, why in omitted.items():
        print(f"fastquery plot: {name} is not drawn: {why}", file=sys.stderr)
    shown = [str(path) for path in paths]
    print(json_text({"paths": shown, "omitted": omitted}) if arguments.json else "\n".join(shown))
    return 1 if omitted else 0
