"""``fastquery optimize``: the best configuration under constraints, and the Pareto front."""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd

from costmodel.tuning import LOG2_FAILURE
from fastquery.cli.options import parse_widths
from fastquery.cli.show import bytes_text, failure_text, json_text, pairs, seconds_text
from fastquery.cli.sweep import machine_named
from fastquery.optimizer import FLOODING_BITS, OBJECTIVES, Optimum, optimize

EXAMPLE = f"""examples:
  fastquery optimize --table llama-7b --link 44Mbit/s,40ms --queries 100
  fastquery optimize --table gpt2 --objective bytes --pareto bytes,server --at-most memory=4e8 --json
  fastquery optimize --packing 4,3,3 --packing 8 --pareto error,bytes --max-error 1 --flooding-bits 0

Objectives: {", ".join(OBJECTIVES)}. bytes are those of a query with its share of the setup (keys), time is the latency
with the setup's share, memory the encoded table. Systems as published flood nothing: compare with --flooding-bits 0.
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "optimize",
        help="find the best configurations",
        description="Search systems, rings, packings and wire for the best configuration and the Pareto front.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--table", default="llama-7b", help="preset, MxN, or FILE.safetensors:KEY (default llama-7b)")
    parser.add_argument("--protocol", action="append", help="a system (repeatable), or all (default)")
    parser.add_argument("--tokens", type=int, default=1, help="rows looked up together (default 1)")
    parser.add_argument("--packing", action="append", metavar="WIDTHS", help="channel widths of a coefficient, 4,3,3")
    parser.add_argument("--link", default="lan", help="a preset or RATE,DELAY such as 44Mbit/s,40ms (default lan)")
    parser.add_argument("--machine", help="calibration file", metavar="FILE")
    parser.add_argument("--queries", type=float, default=1, help="queries of a client that share its keys (default 1)")
    parser.add_argument("--objective", default="latency", choices=OBJECTIVES, help="what is minimised")
    parser.add_argument("--pareto", default="bytes,latency", metavar="A,B", help="axes of the front, two objectives")
    parser.add_argument(
        "--errors", metavar="FILE", help="CSV with columns bits and weighted_error: the packings to try"
    )
    parser.add_argument("--max-error", type=float, help="largest quantisation error (default: that of 4,3,3)")
    parser.add_argument("--flooding-bits", type=int, default=FLOODING_BITS, help="statistical flooding (default 40)")
    parser.add_argument("--failure", type=float, default=LOG2_FAILURE, help="log2 failure probability (default -40)")
    parser.add_argument("--security", type=int, default=128, help="bits by the stricter table (default 128)")
    parser.add_argument(
        "--prepared", action="store_true", help="do what does not depend on the token before it is known"
    )
    parser.add_argument(
        "--at-most", action="append", default=[], metavar="NAME=VALUE", help="bound an objective or figure: bytes=1e6"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Search and print."""
    axes = tuple(arguments.pareto.split(","))
    if len(axes) != 2:
        raise ValueError(
            f"pareto is {arguments.pareto!r}; it must be two of {', '.join(OBJECTIVES)}, such as bytes,latency"
        )
    result = optimize(
        arguments.table,
        protocol=arguments.protocol or "all",
        tokens=arguments.tokens,
        link=arguments.link,
        machine=machine_named(arguments.machine),
        queries=arguments.queries,
        objective=arguments.objective,
        pareto=(axes[0], axes[1]),
        packing=[parse_widths(text) for text in arguments.packing] if arguments.packing else None,
        errors=_errors(arguments.errors) if arguments.errors else None,
        max_error=arguments.max_error,
        flooding_bits=arguments.flooding_bits,
        log2_failure=arguments.failure,
        security=arguments.security,
        prepared=arguments.prepared,
        at_most=bounds_of(arguments.at_most),
    )
    print(json_text(result.document()) if arguments.json else text(result))
    return 0


def bounds_of(texts: list[str]) -> dict[str, float]:
    """Upper bounds of ``NAME=VALUE`` texts.

    Raises
    ------
    ValueError
        If one has another form.
    """
    bounds = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            bounds[name] = float(value)
        except ValueError:
            raise ValueError(f"at-most is {text!r}; it must look like bytes=1e6") from None
    return bounds


def _errors(path: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype={"bits": str})
    except OSError as error:
        raise ValueError(f"errors is {path!r}, which cannot be read: {error.strerror}") from None


def text(result: Optimum) -> str:
    """The outcome for people."""
    c, f = result.configuration, result.estimate.figures
    best = pairs(
        {
            "best": f"{c.protocol}, {c.table.tokens} token(s) of {c.table.rows} x {c.table.channels}",
            "ring": f"N={c.ring.degree}, q={'+'.join(map(str, c.ring.limb_bits))} bits, t={c.ring.plaintext_modulus}",
            "packing": f"{c.packing.widths} bits, tile {c.packing.tile}, answers as {c.packing.output}",
            "up": bytes_text(f["up_bytes"]),
            "down": bytes_text(f["down_bytes"]),
            "setup": bytes_text(f["setup_bytes"]),
            "server": seconds_text(f["server_s"]),
            "latency": f"{seconds_text(f['latency_s'])} over {result.estimate.link.name}",
            "security": f"{f['security_bits']:.0f} bits",
            "failure": failure_text(f["log2_failure"]),
            "flooding": f"{c.flooding_bits} bits",
        }
    )
    columns = list(
        dict.fromkeys([*result.pareto.columns[:6], "ring_degree", "latency_s", "server_s", "setup_bytes", "ties"])
    )
    front = result.pareto[columns].to_string(index=False, float_format=lambda value: f"{value:.6g}")
    return f"{best}\n\nPareto front of {result.searched:,} configurations:\n{front}"
