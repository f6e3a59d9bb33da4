"""The headline table: published systems, SPU and this project's designs, executed.

`python -m benchmarks.headline [--repeats K] [--table MxN]` looks a random row up with every design, checks it, and
writes one Markdown table between the markers of `docs/benchmarks.md`. Every cell is measured in this run or read from
the published claims, and its row says which; where SPU's environment is missing (`make headline` builds it), its rows
are the model's for the built-in machine and say so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.peers import FIELDS, SPU_PYTHON, of_spu, spu_run
from benchmarks.report import replaced, shown
from benchmarks.report import table as markdown_table
from costmodel.estimate import estimate, terms
from costmodel.grid import Grid
from costmodel.latency import latency_s as conversation_s
from costmodel.ledger import totals
from costmodel.link import Link, exchange_s, parse_link, tcp_leg_s
from costmodel.parameters import Configuration
from costmodel.results import failure_text
from costmodel.systems import configuration, published
from fastquery.provenance import provenance
from fastquery.runs import Run, run
from fastquery.tables import table_of
from validate.published import UNITS, load_claims

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
TABLE = "32000x4096"
LINKS = tuple(parse_link(text) for text in ("lan", "44Mbit/s,40ms", "9Mbit/s,40ms"))
ALIGNMENT = ("ot extension", "carry corrections")
ALIGN_BITS = 37
"""Ring of the next layer's fixed-point numbers, Cheetah's and the paper's."""

PUBLISHED = (("FastQuery, the paper", "table-6/packlwes"), ("Cheetah, the paper", "table-6/baseline"))
"""Names and the claims with their communication and latency."""

DESIGNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("fastquery, no flooding", "fastquery", {"flooding_bits": 0}),
    ("fastquery", "fastquery", {"flooding_bits": 40}),
    ("folded, no flooding", "folded", {"flooding_bits": 0}),
    ("folded", "folded", {"flooding_bits": 40}),
    ("folded, 2^-26 after 2^20 rows", "folded", {"distance": -26, "queries": 1 << 20}),
    ("folded, 2^-10 after 2^20 rows", "folded", {"distance": -10, "queries": 1 << 20}),
    (f"folded, {ALIGN_BITS}-bit shares", "folded", {"flooding_bits": 40, "align_bits": ALIGN_BITS, "block_bits": 8}),
    (
        f"folded, {ALIGN_BITS}-bit plaintext",
        "folded",
        {
            "flooding_bits": 40,
            "align_bits": ALIGN_BITS,
            "widths": (4,),
            "ring": {"plaintext_modulus": 2**ALIGN_BITS},
        },
    ),
    (
        f"folded, {ALIGN_BITS}-bit plaintext, no flooding",
        "folded",
        {
            "flooding_bits": 0,
            "align_bits": ALIGN_BITS,
            "widths": (4,),
            "ring": {"plaintext_modulus": 2**ALIGN_BITS},
        },
    ),
    ("compressed, no flooding", "compressed", {"flooding_bits": 0}),
    ("compressed", "compressed", {"flooding_bits": 40}),
    (
        f"compressed, {ALIGN_BITS}-bit shares",
        "compressed",
        {"flooding_bits": 40, "align_bits": ALIGN_BITS, "block_bits": 8},
    ),
)
"""Name, protocol and options; each runs as it is and, but for the compressed query, prepared."""


@dataclass(frozen=True)
class Row:
    """One design; None where it has no such figure."""

    design: str
    source: str  # published, model or measured
    both_bytes: float  # up and down, alignment left out
    up_bytes: float | None = None
    down_bytes: float | None = None
    alignment_bytes: float | None = None
    setup_bytes: float | None = None
    server_s: float | None = None
    online_s: float | None = None  # the server's, where the rest was done before the token was known
    latency_s: tuple[float, ...] = ()  # by LINKS
    security_bits: float | None = None
    log2_failure: float | None = None
    flooding_bits: int | None = None


def published_rows() -> list[Row]:
    """The paper's own numbers; it gives a total of both directions."""
    claims = {claim.id: claim for claim in load_claims()}

    def number(name: str) -> float:
        claim = claims[name]
        assert not isinstance(claim.published, tuple)
        return claim.published * UNITS.get(claim.unit, 1.0)

    return [
        Row(design, "published", number(f"{name}/communication"), server_s=number(f"{name}/latency"))
        for design, name in PUBLISHED
    ]


def model_row(design: str, priced: Configuration) -> Row:
    """A system by the model, at the built-in machine."""
    figures = estimate(priced).figures
    return Row(
        design,
        "model",
        figures["up_bytes"] + figures["down_bytes"],
        figures["up_bytes"],
        figures["down_bytes"],
        None,
        figures["setup_bytes"],
        figures["server_s"],
        latency_s=tuple(estimate(priced, link).figures["latency_s"] for link in LINKS),
        security_bits=figures["security_bits"],
        log2_failure=figures["log2_failure"],
        flooding_bits=priced.flooding_bits,
    )


def measured_row(design: str, result: Run) -> Row:
    """A run: bytes and seconds of its measured ledger, security and failure of its parameters."""
    ledger, one = result.ledger, result.configuration
    measured = totals(ledger)
    alignment = ledger[ledger["item"].isin(ALIGNMENT)]
    extra = {party: float(alignment.loc[alignment["party"] == party, "bytes"].sum()) for party in ("client", "server")}
    up, down = measured["up_bytes"] - extra["client"], measured["down_bytes"] - extra["server"]
    work = ledger[(ledger["kind"] == "work") & (ledger["party"] == "server") & (ledger["phase"] == "online")]
    figures = result.prediction.figures
    return Row(
        design + (", prepared" if one.prepared else ""),
        "measured",
        up + down,
        up,
        down,
        sum(extra.values()) if one.align_bits else None,
        measured["setup_bytes"],
        measured["server_s"],
        float(work["seconds"].sum()) if one.prepared else None,
        tuple(latency_s(result, link) for link in LINKS),
        figures["security_bits"],
        figures["log2_failure"],
        one.flooding_bits,
    )


def latency_s(result: Run, link: Link) -> float:
    """Seconds from token to shares over TCP: the parties' measured online seconds in the model's conversation."""
    measured = result.ledger.set_index(["phase", "party", "item"])["seconds"]

    def leg_s(size_bytes: float) -> float:
        return float(tcp_leg_s(size_bytes, link.rate_bit_per_s, link.round_trip_s))

    conversation = terms(Grid.of(result.configuration))
    spent = lambda work: float(measured.get((work.phase, work.party, work.operation), 0.0))  # noqa: E731
    return float(conversation_s(conversation, spent, leg_s, link.round_trip_s))


def executed(design: str, protocol: str, options: Mapping[str, Any], prepared: bool, table: str, repeats: int) -> Run:
    """The run with the least server CPU time of so many.

    Raises
    ------
    SystemExit
        If a row came out wrong or a ledger is not as predicted.
    """
    one = configuration(protocol, table_of(table, 1), engine="residue", prepared=prepared, **options)
    runs = [run(one, table, seed=seed) for seed in range(repeats)]
    for result in runs:
        if not (result.correct and result.agrees):
            raise SystemExit(f"{design}: {result.mismatches} channels wrong, ledgers agree: {result.agrees}")
    return min(runs, key=lambda result: totals(result.ledger)["server_s"])


def spu_row(field: str, name: str, python: Path) -> Row:
    """SPU on one thread under its own interpreter, where there is one; else by the model.

    A query is one in which SPU encodes the table, as it always does. Its answers leave when the last is computed, so
    that its latency is what it took over the loopback and the bytes' by the model of the link.
    """
    modelled = model_row(f"SPU {field}", published(f"spu-{field.lower()}", table_of(name, 1)))
    if not python.exists():
        return modelled
    run = of_spu(spu_run(python, field, name, threads=1))
    return replace(
        modelled,
        source="measured",
        both_bytes=run.both_bytes,
        up_bytes=run.up_bytes,
        down_bytes=run.down_bytes,
        setup_bytes=run.setup_bytes,
        server_s=run.whole_server_s,
        latency_s=tuple(
            run.whole_wall_s + float(exchange_s(run.up_bytes, run.down_bytes, link.rate_bit_per_s, link.round_trip_s))
            for link in LINKS
        ),
    )


def markdown(rows: Iterable[Row], repeats: int, table: str) -> str:
    """The table with what its columns mean."""
    heads = ["design", "", "up + down", "up", "down", "alignment", "keys, once", "server CPU s", "online s"]
    heads += [f"s on {link.name}" for link in LINKS] + ["security", "fails", "flooding"]
    about = provenance()
    text = markdown_table(heads, map(_cells, rows), texts=2)
    best = "" if repeats == 1 else f", this project's the quickest of {repeats} runs"
    return f"""One token, a random {table} table, {date.today()}, commit {about["commit"]};
sizes in bytes. *Measured*: executed by two processes on one thread
each of an {about["processor"]}{best}, every channel right and, of this project's, every byte as predicted; latency is
the measured seconds of both parties with the measured bytes over TCP by the model of the link. SPU encodes the table in
every query, this project before it: the section below counts both ways. *Model*: predicted for this machine.
*Published*: the paper's total, and its latency as the server's seconds. Up and down exclude alignment traffic (shares
of {ALIGN_BITS} bits), shown separately; *online* is the server's time where the rest was prepared. Security in bits by
the stricter table. Without flooding the table is **not** protected from the client.

{text}
"""


def _cells(row: Row) -> list[str]:
    sizes = (row.both_bytes, row.up_bytes, row.down_bytes, row.alignment_bytes, row.setup_bytes)
    seconds = (row.server_s, row.online_s, *(row.latency_s or (None,) * len(LINKS)))
    return [
        row.design,
        row.source,
        *(shown(value, ",.0f") for value in sizes),
        *(shown(value, "#.3g") for value in seconds),
        shown(row.security_bits, ".0f"),
        "" if row.log2_failure is None else failure_text(row.log2_failure),
        shown(row.flooding_bits, "d"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1, help="runs of a design, of which the quickest counts")
    parser.add_argument("--table", default=TABLE, help=f"MxN (default {TABLE}); another leaves the page as it is")
    parser.add_argument("--spu", type=Path, default=SPU_PYTHON, help="interpreter of SPU's environment, if any")
    options = parser.parse_args(arguments)
    rows = published_rows() if options.table == TABLE else []
    rows += [spu_row(field, options.table, options.spu) for field in FIELDS]
    for design, protocol, fields in DESIGNS:
        for prepared in (False,) if protocol == "compressed" else (False, True):
            result = executed(design, protocol, fields, prepared, options.table, options.repeats)
            rows.append(measured_row(design, result))
            print(rows[-1], file=sys.stderr, flush=True)
    text = markdown(rows, options.repeats, options.table)
    if options.table == TABLE:
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), "headline", text), "utf-8")
    print(text)


if __name__ == "__main__":
    main()
