"""``fastquery calibrate``: unit costs of this machine, measured and written to a profile."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm import tqdm

from costmodel.machine import default_machine, machine_toml
from fastquery.cli.show import json_text
from fastquery.provenance import provenance

EXAMPLE = """example:
  fastquery calibrate --output machine.toml
  fastquery estimate --table minilm --engine openfhe --machine machine.toml
"""

SESSIONS = 5
ENCODINGS = 2


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "calibrate",
        help="measure this machine's unit costs",
        description="Run some forty small lookups, several times each, fit the cost of every operation without what "
        "contention adds, and write a profile for --machine.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=Path, default=Path("results/machine.toml"), help="the profile's path")
    parser.add_argument(
        "--sessions", type=int, default=SESSIONS, metavar="K", help=f"repetitions of a lookup (default {SESSIONS})"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Measure, fit, write."""
    from protocol.errors import ProtocolError
    from protocol.openfhe_library import OpenFHEUnavailable
    from validate.calibration import Observation, calibrated, calibration_sample, observations
    from validate.measurement import Parties, entries

    if arguments.sessions < 1:
        raise ValueError(f"sessions is {arguments.sessions}; a lookup is measured at least once")
    observed: dict[str, list[Observation]] = {}
    sample = calibration_sample()
    try:
        with Parties() as parties:
            for configuration in tqdm(sample, desc="measuring", file=sys.stderr):
                table = configuration.table
                sessions = parties.measure(
                    configuration,
                    f"{table.rows}x{table.channels}",
                    range(table.tokens),
                    sessions=arguments.sessions,
                    encodings=ENCODINGS,
                )
                found = observations(configuration, entries(sessions))
                observed.setdefault(configuration.engine, []).extend(found)
    except (OpenFHEUnavailable, ProtocolError) as error:
        print(f"fastquery calibrate: {error}", file=sys.stderr)
        return 1
    origin = provenance()
    facts = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "processor": str(origin["processor"]),
        "python": str(origin["python"]),
        "commit": origin["commit"] or "",
        "versions": ", ".join(f"{name} {version}" for name, version in origin["versions"].items() if version),
        "measured": f"{' and '.join(sorted(observed))}: {len(sample)} configurations in {arguments.sessions} sessions "
        "each on one thread, CPU seconds; fitted to the 10 % quantile of the sessions, intervals are the 5 % and 95 % "
        "quantiles of all of them over the fit",
    }
    profile = calibrated(facts["processor"], observed, default_machine(), facts)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(machine_toml(profile), encoding="utf-8")
    units = {f"{engine}: {operation}": vars(cost) for (engine, operation), cost in profile.units.items()}
    measured = {name: cost for name, cost in units.items() if cost["samples"]}
    document = {"path": str(arguments.output), "units": units, "measured": sorted(measured), "provenance": origin}
    print(json_text(document) if arguments.json else text(measured, arguments.output))
    return 0


def text(units: dict[str, dict[str, Any]], path: Path) -> str:
    """The measured units for people, least certain first."""
    lines = [f"{len(units)} unit costs in {path}; microseconds a batch, a call and a thousand residues", ""]
    lines.append(f"{'':<34}{'batch':>9}{'call':>9}{'1000 res.':>11}{'residual':>10}{'contention':>12}")
    for name, unit in sorted(units.items(), key=lambda item: -item[1]["residual"]):
        coefficients = f"{1e6 * unit['batch_s']:>9.1f}{1e6 * unit['call_s']:>9.2f}{1e9 * unit['element_s']:>11.3f}"
        lines.append(f"{name:<34}{coefficients}{unit['residual']:>10.0%}{unit['spread'] - 1:>12.0%}")
    return "\n".join(lines)
