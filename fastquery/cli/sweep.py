"""``fastquery sweep``: a grid of configurations, priced to a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from costmodel.link import PRESETS
from costmodel.parameters import ENGINES, SIZES
from costmodel.systems import NAMES
from costmodel.systems.fastquery import ABLATIONS
from fastquery.cli.show import json_text, seconds_text
from fastquery.sweep_files import SweepFile, write_sweep
from fastquery.words import MACHINE_HELP, WORKLOAD_HELP, checked, machine_of, parse_widths, workload_of

EXAMPLE = """examples:
  fastquery sweep --ring N=2048:4096,p=5:20,q=30:60 --link 1:1000Mbit/s --table llama-7b --table gpt2 --protocol all
  fastquery sweep --ring N=4096,p=13,q=38:54 --tokens 1:128 --link 44Mbit/s,40ms --output tokens.csv
  fastquery sweep --protocol folded --ring N=4096,p=9:13 --tokens 1:128 --threads 1,2 --jobs 2
  fastquery sweep --protocol folded --workload prompt=128,generated=64 --workload prompt=16,generated=1000 --json
  fastquery sweep --packing 4,3,3 --packing 4,4 --set tile=column --set tile=cheetah --json

A number takes a range a:b or a:b:step, ends included (ring degrees double); every option may be repeated; the sweep is
the product of all. Combinations that cannot be (a plaintext modulus too small for the packing, or not below q) are left
out; rings below 128 bits of security or that fail more often than 2^-40 stay in, marked by the column usable. A
single q is the size of every limb, of as many limbs as the system's own ring has; 49+53 names the limbs. A sweep that
was interrupted goes on where it stopped.
"""


def add_axis_options(parser: argparse.ArgumentParser) -> None:
    """Options that may be repeated and take ranges."""
    parser.add_argument("--table", action="append", help="preset, MxN or FILE.safetensors:KEY; M and N take ranges")
    parser.add_argument("--protocol", action="append", help=f"{', '.join(NAMES)}, or all (default fastquery)")
    parser.add_argument(
        "--ablation", type=str.lower, action="append", choices=ABLATIONS, help="a row of the paper's Table 6"
    )
    parser.add_argument("--packing", action="append", metavar="WIDTHS", help="channel widths of a coefficient, 4,3,3")
    parser.add_argument("--tokens", action="append", help="rows looked up together (default 1)")
    parser.add_argument(
        "--workload",
        action="append",
        type=checked(workload_of),
        metavar="WORKLOAD",
        help=f"a session in the place of one lookup: {WORKLOAD_HELP}",
    )
    parser.add_argument(
        "--engine", action="append", choices=ENGINES, type=str.lower, help="how operations are executed or priced"
    )
    parser.add_argument(
        "--size", action="append", choices=SIZES, type=str.lower, help="what sizes on the wire are meant"
    )
    parser.add_argument("--flooding-bits", action="append", metavar="BITS", help="statistical flooding")
    parser.add_argument(
        "--threads", action="append", help="threads of the server that share a lookup's work: 1,2 or 1:8"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="any further field of a configuration: sigma=3.19, digit_bits=8:20, tile=cheetah, prepared=true",
    )
    parser.add_argument("--machine", help=MACHINE_HELP, metavar="FILE")


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Options that share the work out."""
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that share the work (default 1)")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask cluster that shares the work: tcp://10.0.0.1:8786"
    )


def axes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The axes that were named, as :func:`fastquery.sweeps.sweep` takes them."""
    names = ("table", "protocol", "ablation", "tokens", "workload", "engine", "size", "flooding_bits", "threads")
    axes = {name: getattr(arguments, name) for name in names if getattr(arguments, name)}
    if arguments.packing:
        axes["packing"] = [parse_widths(text) for text in arguments.packing]
    if arguments.set:
        axes["fields"] = fields_of(arguments.set)
    return axes


def fields_of(texts: list[str]) -> dict[str, list[Any]]:
    """Values by field of ``FIELD=VALUE`` texts.

    Raises
    ------
    ValueError
        If one has another form.
    """
    fields: dict[str, list[Any]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise ValueError(f"set is {text!r}; it must look like digit_bits=8:20")
        fields.setdefault(name, []).append({"true": True, "false": False}.get(value, value))
    return fields


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "sweep",
        help="price a grid of configurations to a file",
        description="Evaluate the model for every combination of the values given, to Parquet or CSV.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_axis_options(parser)
    parser.add_argument(
        "--ring", action="append", help="N=2048:4096,p=5:20,q=30:60 (limbs joined by +; t instead of p)"
    )
    parser.add_argument(
        "--link", "--bandwidth", action="append", help=f"1:1000Mbit/s,40ms or {', '.join(PRESETS)} (default lan)"
    )
    parser.add_argument("--output", type=Path, default=Path("results/sweep.parquet"), help=".parquet or .csv")
    parser.add_argument("--limit", type=int, help="at most so many configurations, evenly spread")
    add_worker_options(parser)
    parser.add_argument("--usable-only", action="store_true", help="leave out what is insecure or fails too often")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Sweep and say where the file is."""
    axes = axes_of(arguments)
    axes.update({name: getattr(arguments, name) for name in ("ring", "link") if getattr(arguments, name)})
    with tqdm(file=sys.stderr, delay=1.0, leave=False, desc="sweep", bar_format=BAR) as bar:

        def progress(done_s: float, total_s: float) -> None:
            bar.total = total_s
            bar.update(done_s - bar.n)

        result = write_sweep(
            arguments.output,
            machine=machine_of(arguments.machine),
            limit=arguments.limit,
            usable_only=arguments.usable_only,
            progress=progress,
            jobs=arguments.jobs,
            scheduler=arguments.scheduler,
            **axes,
        )
    for line in result.skipped:
        print(f"fastquery sweep: left out {line}", file=sys.stderr)
    print(json_text(result.document()) if arguments.json else text(result))
    return 0


BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} to go"


def text(result: SweepFile) -> str:
    """The outcome for people."""
    sampled = f" of {result.possible:,}" if result.configurations < result.possible else ""
    resumed = f", {result.resumed:,} of them kept from an interrupted sweep" if result.resumed else ""
    return (
        f"{result.configurations:,}{sampled} configurations, {result.usable:,} usable (128 bits of security, failure "
        f"2^-40), in {seconds_text(result.seconds)}{resumed}, "
        f"written in {seconds_text(result.write_s)} to {result.path}"
    )
