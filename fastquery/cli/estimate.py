"""``fastquery estimate``: one configuration, priced."""

from __future__ import annotations

import argparse
from typing import Any

from costmodel.estimate import Estimate, estimate
from fastquery.cli.options import add_configuration_options, question_of
from fastquery.cli.show import (
    bytes_text,
    failure_text,
    flooding_text,
    json_text,
    ledger_text,
    lookup_rows,
    pairs,
    seconds_text,
    symbols_text,
)

EXAMPLE = """examples:
  fastquery estimate --table llama-7b --protocol cheetah --link 44Mbit/s,40ms
  fastquery estimate --protocol fastquery --ablation packing --explain
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "estimate",
        help="price one configuration",
        description="Predict bytes, seconds, latency, noise and security of one configuration.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_configuration_options(parser, default_link="lan")
    parser.add_argument("--tokens", default="1", help="tokens looked up together (default 1), or their ids")
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print every term of the ledger with its formula, and what its symbols stand for",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Estimate and print."""
    asked = question_of(arguments, tokens=arguments.tokens)
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
            f"({seconds_text(f['latency_low_s'])} to {seconds_text(f['latency_high_s'])}), machine {result.machine}",
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
