"""``fastquery optimize``: the best configuration under constraints, and the Pareto front."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
from tqdm import tqdm

from costmodel.limits import LOG2_FAILURE
from costmodel.parameters import EXECUTING_ENGINES
from costmodel.results import failure_text
from costmodel.systems import NAMES
from fastquery.cli.estimate import session_text
from fastquery.cli.options import add_workload_option
from fastquery.cli.show import bytes_text, json_text, packing_text, pairs, seconds_text, table_text
from fastquery.cli.sweep import add_worker_options
from fastquery.goals import OBJECTIVES
from fastquery.optima import Optima, optimize_each
from fastquery.optimizer import Optimum
from fastquery.runs import Run, run
from fastquery.words import DEFAULT_TABLE, MACHINE_HELP, machine_of, parse_widths

EXAMPLE = f"""examples:
  fastquery optimize --table llama-7b --link 44Mbit/s,40ms --queries 100
  fastquery optimize --table gpt2 --objective bytes --pareto bytes,server --at-most memory=4e8 --json
  fastquery optimize --link 9Mbit/s,40ms --align-bits 37 --run
  fastquery optimize --packing 4,3,3 --packing 8 --pareto error,bytes --max-error 1 --flooding-bits 0
  fastquery optimize --workload prompt=128,generated=64 --objective bytes --pareto first,latency --prepared
  fastquery optimize --protocol folded --distance -26 --queries 1e6
  fastquery optimize --table gpt2 --table llama-7b --link lan --link 10:100:30Mbit/s,40ms --threads 2 --jobs 2

Objectives: {", ".join(OBJECTIVES)}. bytes are those of a query with its share of the setup (keys), time is the latency
with the setup's share, memory the encoded table, online the bytes of a query alone. With --workload a query is a token
of the session on average, latency is that of a generated token, and first the time from the connection to the prompt's
shares. Systems as published flood as their papers say, most of them nothing: compare with --flooding-bits 0.
Several tables or links are searched one by one, and the best of each is a line.
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
    parser.add_argument("--table", action="append", help="preset, MxN, or FILE.safetensors:KEY (default llama-7b)")
    parser.add_argument("--protocol", action="append", help=f"{', '.join(NAMES)}, or all (default)")
    parser.add_argument("--tokens", type=int, default=1, help="rows looked up together (default 1)")
    add_workload_option(parser)
    parser.add_argument("--packing", action="append", metavar="WIDTHS", help="channel widths of a coefficient, 4,3,3")
    parser.add_argument(
        "--link",
        "--bandwidth",
        action="append",
        help="a preset or RATE,DELAY such as 44Mbit/s,40ms (default lan); both take ranges",
    )
    parser.add_argument("--machine", help=MACHINE_HELP, metavar="FILE")
    parser.add_argument(
        "--threads", default=1, metavar="COUNT", help="threads of the server that share a lookup's work (default 1)"
    )
    parser.add_argument(
        "--queries",
        type=float,
        metavar="COUNT",
        help="tokens looked up in all, which share a client's keys and the distance of the flooding (default 1; with "
        "--workload the session's share the keys, and those of all clients the distance)",
    )
    parser.add_argument("--objective", default="latency", choices=OBJECTIVES, help="what is minimised")
    parser.add_argument("--pareto", default="bytes,latency", metavar="A,B", help="axes of the front, two objectives")
    parser.add_argument(
        "--errors", metavar="FILE", help="CSV with columns bits and weighted_error: the packings to try"
    )
    parser.add_argument("--max-error", type=float, help="largest quantisation error (default: that of 4,3,3)")
    parser.add_argument("--flooding-bits", type=int, help="statistical flooding (default 40)")
    parser.add_argument(
        "--distance",
        type=float,
        metavar="LOG2",
        help="log2 of the statistical distance that the flooding may leave after all --queries, such as -26; in the "
        "place of --flooding-bits",
    )
    parser.add_argument("--failure", type=float, default=LOG2_FAILURE, help="log2 failure probability (default -40)")
    parser.add_argument("--security", type=int, default=128, help="bits by the stricter table (default 128)")
    parser.add_argument(
        "--prepared", action="store_true", help="do what does not depend on the token before it is known"
    )
    parser.add_argument(
        "--align-bits",
        type=int,
        default=0,
        metavar="L",
        help="extend every channel's share to L bits (default 0: do not)",
    )
    parser.add_argument("--run", action="store_true", help="execute the best over the link, measured beside predicted")
    parser.add_argument("--seed", type=int, default=0, help="with --run: of a random table and of drawn tokens")
    parser.add_argument(
        "--at-most", action="append", default=[], metavar="NAME=VALUE", help="bound an objective or figure: bytes=1e6"
    )
    add_worker_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Search and print."""
    axes = tuple(arguments.pareto.split(","))
    if len(axes) != 2:
        raise ValueError(
            f"pareto is {arguments.pareto!r}; it must be two of {', '.join(OBJECTIVES)}, such as bytes,latency"
        )
    with tqdm(file=sys.stderr, delay=2.0, leave=False, desc="optimize", unit="question") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = _searched(arguments, (axes[0], axes[1]), progress)
    if len(found.optima) == 1:
        return _print_one(found.optima[0], arguments)
    if arguments.run:
        raise ValueError(f"run is asked for {len(found.optima)} tables and links; name one of each")
    print(json_text(found.document()) if arguments.json else optima_text(found))
    return 0


def _searched(arguments: argparse.Namespace, axes: tuple[str, str], progress: Callable[[int, int], None]) -> Optima:
    """The best of every table and link that is named."""
    return optimize_each(
        arguments.table or DEFAULT_TABLE,
        protocol=arguments.protocol or "all",
        tokens=arguments.tokens,
        workload=arguments.workload,
        link=arguments.link or "lan",
        jobs=arguments.jobs,
        scheduler=arguments.scheduler,
        progress=progress,
        machine=machine_of(arguments.machine),
        threads=arguments.threads,
        queries=arguments.queries,
        objective=arguments.objective,
        pareto=axes,
        packing=[parse_widths(text) for text in arguments.packing] if arguments.packing else None,
        errors=_errors(arguments.errors) if arguments.errors else None,
        max_error=arguments.max_error,
        flooding_bits=arguments.flooding_bits,
        distance=arguments.distance,
        log2_failure=arguments.failure,
        security=arguments.security,
        prepared=arguments.prepared,
        align_bits=arguments.align_bits,
        at_most=bounds_of(arguments.at_most),
    )


def _print_one(result: Optimum, arguments: argparse.Namespace) -> int:
    """Print the best of one table over one link, executed where that is asked for."""
    if not arguments.run:
        print(json_text(result.document()) if arguments.json else text(result))
        return 0
    return execute_best(result, arguments)


def execute_best(result: Optimum, arguments: argparse.Namespace) -> int:
    """Run the best, print it beside its prediction, and fail unless the rows were right and the ledgers agree.

    Raises
    ------
    ValueError
        If the best is a published system, which nothing here executes.
    """
    from protocol.errors import ProtocolError
    from protocol.openfhe_library import OpenFHEUnavailable

    best = result.configuration
    if best.engine not in EXECUTING_ENGINES:
        raise ValueError(f"best is {best.protocol} as published, which nothing here executes; name another --protocol")
    machine = machine_of(arguments.machine)
    try:
        measured = run(
            best,
            (arguments.table or [DEFAULT_TABLE])[0],
            arguments.tokens,
            seed=arguments.seed,
            machine=machine,
            link=result.estimate.link,
            threads=result.estimate.threads,
        )
    except (OpenFHEUnavailable, ProtocolError) as error:
        print(f"fastquery optimize: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json_text({**result.document(), "run": measured.document()}))
    else:
        print(text(result), run_text(measured), sep="\n\n")
    return 0 if measured.correct and measured.agrees else 1


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
    except ValueError as error:
        raise ValueError(f"errors is {path!r}, which is no CSV file: {error}") from None


def text(result: Optimum) -> str:
    """The outcome for people."""
    c, f = result.configuration, result.estimate.figures
    best = (
        session_text(result.session, explain=False)
        if result.session
        else pairs(
            {
                "best": f"{c.protocol}, {c.table.tokens} token(s) of {c.table.rows} x {c.table.channels}",
                "ring": f"N={c.ring.degree}, q={'+'.join(map(str, c.ring.limb_bits))} bits, "
                f"t={c.ring.plaintext_modulus}",
                "packing": packing_text(c.packing),
                "up": bytes_text(f["up_bytes"]),
                "down": bytes_text(f["down_bytes"]),
                "setup": bytes_text(f["setup_bytes"]),
                "server": seconds_text(f["server_s"]),
                "latency": f"{seconds_text(f['latency_s'])} over {result.estimate.link.name}, "
                f"{result.estimate.threads} thread(s)",
                "security": f"{f['security_bits']:.0f} bits",
                "failure": failure_text(f["log2_failure"]),
                "flooding": f"{f['flooding_bits']:.0f} bits",
                **({"alignment": f"{c.align_bits} bits"} if c.align_bits else {}),
            }
        )
    )
    columns = list(
        dict.fromkeys([*result.pareto.columns[:6], "ring_degree", "latency_s", "server_s", "setup_bytes", "ties"])
    )
    shown = result.pareto[columns].map(lambda value: f"{value:.6g}" if isinstance(value, float) else value)
    front = table_text(shown)
    left_out = "".join(f"\nleft out: {line}" for line in result.skipped)
    return (
        f"{best}\n\n{queries_text(result)}\n\n{winners_text(result.winners)}\n\n"
        f"Pareto front of {result.searched:,} configurations:\n{front}\n{left_out}"
    ).rstrip()


def optima_text(result: Optima) -> str:
    """The best of every table and link, a line each."""
    best = result.best
    shown = {
        "table": best["table"],
        "link": best["link"],
        "design": best["design"],
        "packing": best["widths_bits"],
        "N": best["ring_degree"],
        **{name: best[f"{name}_bytes"].map("{:,.0f}".format) for name in ("up", "down", "setup")},
        **{name: best[f"{name}_s"].map(seconds_text) for name in ("server", "latency")},
    }
    return table_text(pd.DataFrame(shown))


def queries_text(result: Optimum) -> str:
    """Over how many tokens the setup is spread, and from how many on another design wins."""
    lines = [f"setup spread over {result.queries:g} token{'' if result.queries == 1 else 's'} of a client"]
    for objective, rows in result.break_even.groupby("objective", sort=False):
        first, *later = rows.to_dict(orient="records")
        changes = [f"{one['design']} from {math.ceil(one['from_tokens']):,} tokens on" for one in later]
        then = ", ".join(changes) if changes else "and for more tokens too"
        lines.append(f"by {objective}: {first['design']}, {then}")
    return "\n".join(lines)


def winners_text(winners: pd.DataFrame) -> str:
    """The winner of every objective, and how many times its bytes and its latency the others take."""
    parts = []
    for objective, rows in winners.groupby("objective", sort=False):
        shown = {
            "design": rows["design"],
            "packing": rows["widths_bits"],
            "log2_t": [f"{math.log2(t):.4g}" for t in rows["plaintext_modulus"]],
            "N": rows["ring_degree"],
            "up": rows["up_bytes"].map("{:,.0f}".format),
            "down": rows["down_bytes"].map("{:,.0f}".format),
            "setup": rows["setup_bytes"].map("{:,.0f}".format),
            "server": rows["server_s"].map(seconds_text),
            "latency": rows["latency_s"].map(seconds_text),
            "flooding": rows["flooding_bits"].map("{:.0f}".format),
            f"of {objective}": rows["objective_ratio"].map("{:.3g} x".format),
            "up+down": rows["bytes_ratio"].map("{:.3g} x".format),
            "time": rows["latency_ratio"].map("{:.3g} x".format),
        }
        if objective == "latency":
            del shown["time"]
        parts.append(f"{_won(rows)}\n{table_text(pd.DataFrame(shown))}")
    return "\n\n".join(parts)


def _won(rows: pd.DataFrame) -> str:
    """Who wins an objective, and by how much over the next design and over the paper's."""
    winner, *others = rows.to_dict(orient="records")
    behind = {one["design"]: one["objective_ratio"] for one in (others[0], others[-1])}
    ratios = " and ".join(f"{design} takes {ratio:.3g} x as much" for design, ratio in behind.items())
    unhidden = ", but floods nothing" if winner["flooding_bits"] else ""
    return f"By {winner['objective']} {winner['design']} wins; {ratios}{unhidden}:"


def run_text(measured: Run) -> str:
    """What the run of the best gave, beside its prediction."""
    d = measured.document()
    right = f"all {measured.channels} channels right" if measured.correct else f"{measured.mismatches} channels WRONG"
    agree = "agree entry by entry" if measured.agrees else "do NOT agree in every entry"
    rows = {"executed": f"{right}; predicted and measured ledgers {agree}"}
    for name in ("up", "down", "setup"):
        rows[name] = f"{bytes_text(d[name + '_bytes'])}, predicted {bytes_text(d[f'predicted_{name}_bytes'])}"
    for name in ("server", "latency"):
        rows[name] = f"{seconds_text(d[name + '_s'])}, predicted {seconds_text(d[f'predicted_{name}_s'])}"
    rows["latency"] += f" over {measured.prediction.link.name} by a relay"
    return pairs(rows)
