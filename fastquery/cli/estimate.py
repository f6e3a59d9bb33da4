"""``fastquery estimate``: one configuration, priced for one lookup or for a session."""

from __future__ import annotations

import argparse
import math
from typing import Any

from costmodel.estimate import Estimate, estimate
from costmodel.results import failure_text
from costmodel.workload import WorkloadEstimate, estimate_workload
from fastquery.cli.options import add_configuration_options, add_workload_option, question_of
from fastquery.cli.show import (
    bytes_text,
    flooding_text,
    json_text,
    ledger_text,
    lookup_rows,
    pairs,
    seconds_text,
    split_text,
    symbols_text,
)

EXAMPLE = """examples:
  fastquery estimate --table llama-7b --protocol cheetah --link 44Mbit/s,40ms
  fastquery estimate --protocol fastquery --ablation packing --explain
  fastquery estimate --protocol folded --threads 2
  fastquery estimate --protocol folded --prepared --workload prompt=128,generated=64,rate=2
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "estimate",
        help="price one configuration",
        description="Predict bytes, seconds, latency, noise and security of one lookup, or of a session of many.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_configuration_options(parser, default_link="lan")
    parser.add_argument("--tokens", help="tokens looked up together (default 1), or their ids")
    add_workload_option(parser)
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print every term of the ledger with its formula, and what its symbols stand for",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Estimate and print."""
    asked = question_of(arguments, tokens=arguments.tokens, workload=arguments.workload)
    if asked.workload is not None:
        session = estimate_workload(asked.configuration, asked.workload, asked.link, asked.machine)
        print(json_text(session.document()) if arguments.json else session_text(session, arguments.explain))
        return 0
    result = estimate(asked.configuration, asked.link, asked.machine)
    print(json_text(result.document()) if arguments.json else text(result, arguments.explain))
    return 0


def text(result: Estimate, explain: bool) -> str:
    """The estimate for people."""
    c, f = result.configuration, result.figures
    parts = {"client": f["client_s"], "server": f["server_s"]}
    lines = pairs(
        {
            **lookup_rows(c),
            "up": f"{bytes_text(f['up_bytes'])}, {f['up_ciphertexts']:,.0f} ciphertext(s)",
            "down": f"{bytes_text(f['down_bytes'])}, {f['down_ciphertexts']:,.0f} ciphertext(s), "
            f"{f['extracted_coefficients']:,.0f} coefficients read",
            "setup": f"{bytes_text(f['setup_bytes'])} once a session",
            "work": f"{f['plaintext_products']:,.0f} plaintext products, {f['key_switches']:,.0f} key switches",
            **{name: seconds_text(seconds) for name, seconds in parts.items()},
            "latency": f"{seconds_text(f['latency_s'])} over {result.link.name} "
            f"({seconds_text(f['latency_low_s'])} to {seconds_text(f['latency_high_s'])}), machine {result.machine}, "
            f"{result.threads} thread(s)",
            "of these": split_text(result.latency_split),
            "security": f"{f['security_bits_2018']:.0f} bits (2018 standard), "
            f"{f['security_bits_2024']:.0f} bits (2024 guidelines)",
            "failure": failure_text(f["log2_failure"]) + " for all answers",
            "flooding": flooding_text(
                c, f["flooding_bits"], f["log2_statistical_distance"], f["log2_planned_distance"]
            ),
        }
    )
    if not explain:
        return lines
    columns = ["phase", "party", "item", "count", "unit", "messages", "bytes", "seconds", "formula", "source"]
    return "\n\n".join([lines, ledger_text(result.ledger, columns), symbols_text(result.symbols)])


def session_text(result: WorkloadEstimate, explain: bool) -> str:
    """The estimate of a session for people."""
    f, w = result.figures, result.workload
    several = f", {w.clients:,} clients" if w.clients > 1 else ""
    rate = f"{w.rate:g} token(s) a second"
    prepared = {
        "preparation": f"{seconds_text(f['preparation_s'])} a token; at {rate} {f['unprepared']:.0%} of the tokens "
        f"find none ready, {_wait_text(f['wait_s'])}"
    }
    lines = pairs(
        {
            **lookup_rows(result.configuration),
            "lookup": f"prompt of {w.prompt:,} token(s), then {w.generated:,} one by one{several}, "
            f"of {result.configuration.table.rows} x {result.configuration.table.channels}",
            "first share": f"{seconds_text(f['first_share_s'])} over {result.prompt.link.name}, "
            f"{seconds_text(f['setup_s'])} of them set-up",
            "share": f"{seconds_text(f['share_s'])} a generated token",
            "of these": split_text(result.token.latency_split),
            **(prepared if f["preparation_s"] else {}),
            "bytes in all": f"{bytes_text(f['total_bytes'])}, {f['total_bytes'] / f['tokens']:,.0f} B a token over "
            f"{f['tokens']:,.0f} token(s)",
            "setup": f"{bytes_text(f['setup_bytes'])} once a session",
            "up": bytes_text(f["up_bytes"]),
            "down": bytes_text(f["down_bytes"]),
            "client": seconds_text(f["client_s"]),
            "server": seconds_text(f["server_s"]),
            "cores": f"{f['sessions_per_core']:.3g} session(s) a core at {rate}; "
            f"all clients keep {f['cores']:.3g} busy",
            "memory": _memory_text(f["client_bytes"]),
            "security": f"{result.prompt.security_bits:.0f} bits",
            "failure": failure_text(result.prompt.log2_failure) + " for the prompt",
            "flooding": flooding_text(
                result.prompt.configuration,
                *(
                    result.prompt.figures[name]
                    for name in ("flooding_bits", "log2_statistical_distance", "log2_planned_distance")
                ),
            ),
        }
    )
    if not explain:
        return lines
    return "\n\n".join([lines, text(result.prompt, explain), text(result.token, explain)])


def _memory_text(client_bytes: float) -> str:
    if math.isnan(client_bytes):
        return "of a client at the server not known: the library keeps keys in a form of its own"
    return f"{bytes_text(client_bytes)} of a client at the server between lookups"


def _wait_text(wait_s: float) -> str:
    return f"and a token waits {seconds_text(wait_s)} on average" if math.isfinite(wait_s) else "more and more of them"
