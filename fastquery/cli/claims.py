"""``fastquery claims``: every published number, derived again."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

import pandas as pd

from fastquery.cli.show import columns, indented, json_text
from validate.published import Claim, check_claims, load_claims

EXAMPLE = """examples:
  fastquery claims
  fastquery claims --match table-6 --explain
  fastquery claims --json

Exits 1 when a verdict no longer holds: a number said to be reproduced is now outside its tolerance, one said to be off
is off by another amount, or one said not to be reproducible is met.
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "claims",
        help="derive every published number again",
        description="What was published, what the model gives for it, and the verdict.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--match", default="", metavar="TEXT", help="only claims whose id contains this")
    parser.add_argument("--verdict", action="append", default=[], help="only claims of this verdict (repeatable)")
    parser.add_argument("--explain", action="store_true", help="with each, where it stands and why the verdict")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Derive and print; 1 if a verdict does not hold."""
    asked = [one for one in load_claims() if arguments.match in one.id]
    if not asked:
        raise ValueError(f"match is {arguments.match!r}, which no claim's id contains")
    if arguments.verdict:
        known = dict.fromkeys(one.verdict for one in asked)
        asked = [one for one in asked if one.verdict in arguments.verdict]
        if not asked:
            raise ValueError(f"verdict is {', '.join(arguments.verdict)}; these claims have {', '.join(known)}")
    bounds = {one.id: bound_text(one) for one in asked}
    checked = check_claims(asked)
    counts = checked["expected"].value_counts().to_dict()
    document = {"claims": checked, "counts": counts, "holds": bool(checked["holds"].all())}
    print(
        json_text(document)
        if arguments.json
        else text(checked.assign(bound=checked["id"].map(bounds)), arguments.explain)
    )
    return 0 if checked["holds"].all() else 1


def bound_text(claim: Claim) -> str:
    """What the computed number must keep to: a tolerance, or the side of an ordering."""
    return claim.relation if claim.relation != "equal" else f"{100 * claim.tolerance:g} %"


def text(checked: pd.DataFrame, explain: bool) -> str:
    """The claims as a table, or as a paragraph each where a terminal is narrower; and how many came out how."""
    verdicts = checked["verdict"].where(checked["holds"], checked["verdict"] + "  EXPECTED: " + checked["expected"])
    shown = pd.DataFrame(
        {
            "id": checked["id"],
            "published": checked["published"].map(_number) + " " + checked["unit"],
            "computed": checked["computed"].map(_number),
            "bound": checked["bound"],
            "error": [
                "" if pd.isna(error) or bound.startswith("at ") else f"{100 * error:+.2f} %"
                for error, bound in zip(checked["relative_error"], checked["bound"], strict=True)
            ],
            "verdict": verdicts,
        }
    )
    header, *lines = shown.to_string(index=False, justify="left").splitlines()
    width = columns()
    if max(map(len, [header, *lines])) > width:
        header, lines = "", [_paragraph(row, width) for row in shown.to_dict(orient="records")]
    if explain:
        notes = [_note(row, min(width, 110)) for row in checked.to_dict(orient="records")]
        lines = [f"{line}\n{note}" for line, note in zip(lines, notes, strict=True)]
    lines = [header, *lines] if header else lines
    counts = ", ".join(f"{count} {verdict}" for verdict, count in checked["expected"].value_counts().items())
    broken = int((~checked["holds"]).sum())
    held = "every verdict holds" if not broken else f"{broken} verdict(s) no longer hold"
    return "\n".join([*lines, "", textwrap.fill(f"{len(checked)} claims: {counts}; {held}", width)])


def _paragraph(row: dict[Any, Any], width: int) -> str:
    """A claim under its id, in lines of a width."""
    error = f", error {row['error']}" if row["error"] else ""
    said = f"published {row['published']}, computed {row['computed']}, bound {row['bound']}{error}: {row['verdict']}"
    return f"{row['id']}\n{indented(said, width)}"


def _note(row: dict[Any, Any], width: int) -> str:
    quote = f'{row["source"]}: "{row["quote"]}"'
    return "\n".join(indented(part, width) for part in (quote, row["why"]))


def _number(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{one:g}" for one in value)
    return "" if pd.isna(value) else f"{value:.6g}"
