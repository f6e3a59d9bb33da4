"""SPU and this project's designs on the same tables, on this machine, in one run.

    python -m benchmarks.peers [--spu .venv-spu/bin/python] [--tables 32000x4096,30522x384] [--threads 1]

`make bench-peers` builds SPU's environment first. Every result is checked. Writes the measurements with their
provenance to `benchmarks/results/peers.json` and the report between the markers of `docs/benchmarks.md`; progress is on
standard error. Tables other than the default ones are printed and leave both as they are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.peers_report import Measured, report
from benchmarks.report import replaced
from costmodel.estimate import estimate
from costmodel.ledger import totals
from costmodel.systems import configuration, published
from fastquery.provenance import provenance
from fastquery.runs import run
from fastquery.tables import table_of

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parent / "docs" / "benchmarks.md"
RESULTS = FOLDER / "results" / "peers.json"
PARTIES = FOLDER / "spu_product.py"
SPU_PYTHON = FOLDER.parent / ".venv-spu" / "bin" / "python"
TABLES = ("32000x4096", "30522x384")
FIELDS = ("FM32", "FM64")
TIMEOUT_S = 900

DESIGNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("the paper's design, OpenFHE", "fastquery", {"ablation": "packlwes", "engine": "openfhe"}),
    ("fastquery, no flooding", "fastquery", {"flooding_bits": 0, "engine": "residue"}),
    ("fastquery", "fastquery", {"flooding_bits": 40, "engine": "residue"}),
    ("folded, no flooding", "folded", {"flooding_bits": 0}),
    ("folded", "folded", {"flooding_bits": 40}),
    ("compressed", "compressed", {"flooding_bits": 40}),
    ("folded, 37-bit shares", "folded", {"flooding_bits": 40, "align_bits": 37, "block_bits": 8}),
)
"""Name, protocol and options."""


def spu_run(python: Path, field: str, name: str, threads: int, shares: bool = False) -> dict[str, Any]:
    """What the parties under SPU's interpreter measured.

    Raises
    ------
    SystemExit
        If they fail, or if a row is wrong by more than SPU's rounding, one in the last place.
    """
    shape = table_of(name, 1)
    command = [str(python), "-P", str(PARTIES), "--field", field, "--threads", str(threads)]
    command += ["--rows", str(shape.rows), "--channels", str(shape.channels)] + ["--shares"] * shares
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemExit(f"SPU {field} on {name}: {error}; `make bench-peers` builds its environment") from None
    document: dict[str, Any] = json.loads(done.stdout)
    worst = max(query["worst_difference"] for query in document["queries"])
    if worst > 1:
        raise SystemExit(f"SPU {field} on {name}: a channel is wrong by {worst}")
    return document


def of_spu(document: Mapping[str, Any]) -> Measured:
    """SPU's figures of the second query; keys are what the first sends more."""
    first, query = document["queries"]
    options = ("shares",) if document["shares"] else ()
    name = f"{document['rows']}x{document['channels']}"
    priced = published(f"spu-{document['field'].lower()}", table_of(name, 1)).updated(options=options)
    predicted = estimate(priced).figures
    return Measured(
        system=f"SPU {document['field']}" + (", operands held as shares" if document["shares"] else ""),
        table=name,
        threads=document["threads"],
        up_bytes=query["up_bytes"],
        down_bytes=query["down_bytes"],
        setup_bytes=sum(first[way] - query[way] for way in ("up_bytes", "down_bytes")),
        predicted_up_bytes=predicted["up_bytes"],
        predicted_down_bytes=predicted["down_bytes"],
        predicted_setup_bytes=predicted["setup_bytes"],
        client_s=query["client_s"],
        server_s=query["server_s"] - query["table_s"],
        table_s=query["table_s"],
        wall_s=query["wall_s"],
        flooding_bits=0,
        up_socket_bytes=query["up_socket_bytes"],
        down_socket_bytes=query["down_socket_bytes"],
    )


def of_design(design: str, protocol: str, options: Mapping[str, Any], name: str) -> Measured:
    """One of this project's designs, executed.

    Raises
    ------
    SystemExit
        If a channel came out wrong or a ledger is not as predicted.
    """
    one = configuration(protocol, table_of(name, 1), **options)
    result = run(one, name)
    if not (result.correct and result.agrees):
        raise SystemExit(f"{design}: {result.mismatches} channels wrong, ledgers agree: {result.agrees}")
    measured, predicted = totals(result.ledger), result.prediction.figures
    return Measured(
        system=design,
        table=name,
        threads=1,
        up_bytes=measured["up_bytes"],
        down_bytes=measured["down_bytes"],
        setup_bytes=measured["setup_bytes"],
        predicted_up_bytes=predicted["up_bytes"],
        predicted_down_bytes=predicted["down_bytes"],
        predicted_setup_bytes=predicted["setup_bytes"],
        client_s=measured["client_s"],
        server_s=measured["server_s"],
        table_s=measured["table_s"],
        wall_s=result.latency_s,
        flooding_bits=one.flooding_bits,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spu", type=Path, default=SPU_PYTHON, help="interpreter of SPU's environment")
    parser.add_argument("--tables", default=",".join(TABLES), help=f"MxN,MxN (default {','.join(TABLES)})")
    parser.add_argument("--threads", type=int, default=1, help="of each of SPU's parties (default 1; 0: its choice)")
    options = parser.parse_args(arguments)
    names = tuple(options.tables.split(","))
    rows, versions = [], {}
    for name in names:
        # Two products of a large table take minutes: operands held as shares are measured on the smallest alone.
        held = (False, True) if name == min(names, key=lambda one: table_of(one, 1).rows) else (False,)
        for shares in held:
            for field in FIELDS:
                document = spu_run(options.spu, field, name, options.threads, shares)
                versions |= document["versions"]
                rows.append(of_spu(document))
        for design, protocol, fields in DESIGNS:
            print(f"{design} {name}", file=sys.stderr, flush=True)
            rows.append(of_design(design, protocol, fields, name))
    about = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": " ".join(["python -m benchmarks.peers", *(sys.argv[1:] if arguments is None else arguments)]),
        **provenance(),
        "spu": versions,
    }
    text = report(rows, about)
    print(text)
    if names == TABLES:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({"provenance": about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
        DOCUMENT.write_text(replaced(DOCUMENT.read_text("utf-8"), "peers", text), "utf-8")


if __name__ == "__main__":
    main()
