"""``fastquery run``: a lookup or a session executed by two processes and compared with its prediction."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from costmodel.results import failure_text
from fastquery.cli.options import add_configuration_options, add_workload_option, question_of
from fastquery.cli.show import (
    bytes_text,
    flooding_text,
    json_text,
    ledger_text,
    lookup_rows,
    pairs,
    seconds_text,
)
from fastquery.own_machine import AUTO, REMEDY
from fastquery.runs import Executed, again, run
from fastquery.words import WORDS
from fastquery.workload_runs import run_workload

EXAMPLE = """examples:
  fastquery run --table minilm --protocol fastquery --tokens 3
  fastquery run --table 4096x96 --protocol cheetah --json
  fastquery run --table 4096x96 --tokens 77,512
  fastquery run --table 4096x768 --protocol folded --threads 2
  fastquery run --table minilm --protocol folded --prepared --workload prompt=16,generated=8
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "run",
        help="execute queries for real and compare",
        description="Execute a lookup, or a session of many, by two processes over a socket and hold it against the "
        "prediction.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_configuration_options(parser, default_link="loopback")
    parser.add_argument("--tokens", help="how many to draw (default 1), or ID,ID,... (one id: ID,)")
    parser.add_argument("--token", type=int, action="append", help="a token id; may be repeated")
    add_workload_option(parser)
    parser.add_argument(
        "--from", dest="saved", type=Path, metavar="FILE.json", help="run a saved run again, from what --json printed"
    )
    parser.add_argument("--seed", type=int, default=0, help="of a random table and of drawn tokens (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run, print, and fail unless the rows were right and the ledgers agree."""
    from protocol.errors import ProtocolError
    from protocol.openfhe_library import OpenFHEUnavailable

    if arguments.saved is None:
        if arguments.token and arguments.tokens is not None:
            raise ValueError("token and tokens are both named; name the ids by one of them")
        named = {"tokens": arguments.token or arguments.tokens, "workload": arguments.workload}
        asked = question_of(arguments, "loopback", **named)
        what = {
            "configuration": asked.configuration,
            "table": asked.table,
            "seed": arguments.seed,
            "link": asked.link,
            "machine": asked.machine,
            "threads": asked.threads,
            **({"tokens": asked.tokens} if asked.workload is None else {"workload": asked.workload}),
        }
    else:
        for name in (
            "table",
            "protocol",
            "link",
            "machine",
            "token",
            "tokens",
            "workload",
            "threads",
            *(word.name for word in WORDS),
        ):
            if getattr(arguments, name) is not None and name != "allow_insecure":
                raise ValueError(f"from and {name} are both named; the saved run says it all")
        what = again(arguments.saved)
    bars: dict[str, Any] = {}

    def progress(what: str, done: int, total: int) -> None:
        bar = bars.setdefault(what, tqdm(total=total, desc=what, file=sys.stderr, delay=1.0, leave=False))
        bar.update(done - bar.n)

    try:
        execute_it = run_workload if "workload" in what else run
        result: Executed[Any] = execute_it(
            **what,
            allow_insecure=bool(arguments.allow_insecure),
            progress=progress,
        )
    except (OpenFHEUnavailable, ProtocolError) as error:
        print(f"fastquery run: {error}", file=sys.stderr)
        return 1
    finally:
        for bar in bars.values():
            bar.close()
    print(json_text(result.document()) if arguments.json else text(result))
    return 0 if result.correct and result.agrees else 1


def machine_text(result: Executed[Any]) -> str:
    """Whose unit costs the prediction has, how far off the server's seconds were, and the remedy if they were far."""
    said = f"unit costs of {result.predicted_lookup.machine}, measured on {result.machine_processor}"
    if result.machine_processor != result.processor:
        said += f"; this is {result.processor}"
    said += f"; the server took {result.server_over_predicted:.2f} times the predicted seconds"
    return f"{said}; {REMEDY}, for --machine {AUTO}" if result.foreign else said


def text(result: Executed[Any]) -> str:
    """The run for people: totals side by side, then every entry, those of a session's generated tokens added up."""
    document = result.document()
    right = f"all {result.channels} channels right" if result.correct else f"{result.mismatches} channels WRONG"
    agree = "entry by entry" if result.agrees else "NOT in every entry"
    rows = {
        **lookup_rows(result.configuration),
        "table ": f"{result.table}, seed {result.seed}, {result.looked_up}",
        "link": result.link.name,
        "rows": right,
        "ledgers": f"predicted and measured agree in counts and bytes {agree}",
    }
    for name, label in (("up_bytes", "up"), ("down_bytes", "down"), ("setup_bytes", "setup")):
        rows[label] = f"{bytes_text(document[name])}, predicted {bytes_text(document['predicted_' + name])}"
    for name, label in {"server_s": "server", **result.wall_seconds}.items():
        predicted = document["predicted_" + name]
        rows[label] = f"{seconds_text(document[name])}, predicted {seconds_text(predicted)}"
    rows["machine"] = machine_text(result)
    rows["client"] = seconds_text(document["client_s"])
    rows["threads"] = f"{result.threads} of the server"
    rows["table"] = f"{seconds_text(document['table_s'])} to encode"
    rows["memory"] = bytes_text(document["peak_memory_bytes"]) + " at most, both processes"
    rows["security"] = f"{document['security_bits']:.0f} bits"
    rows["failure"] = failure_text(document["log2_failure"]) + " for all answers"
    rows["flooding"] = flooding_text(
        result.configuration,
        *(document[name] for name in ("flooding_bits", "log2_statistical_distance", "log2_planned_distance")),
    )
    columns = [
        *result.entry_columns, "count_measured", "count_predicted", "bytes_measured", "bytes_predicted",
        "seconds_measured", "seconds_predicted",
    ]  # fmt: skip
    table = result.entries()[columns].rename(columns={"bytes_measured": "bytes", "seconds_measured": "seconds"})
    return pairs(rows) + "\n\n" + ledger_text(table, list(table.columns))
