"""``fastquery calibrate``: unit costs of this machine, measured and written to a profile."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm import tqdm

from costmodel.machine import Machine, default_machine, machine_toml
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.presets import executable
from fastquery.cli.show import json_text
from fastquery.provenance import provenance
from validate.calibration import Observation, fit_units, observations

EXAMPLE = """example:
  fastquery calibrate --output machine.toml
  fastquery estimate --table minilm --engine openfhe --machine machine.toml
"""

REPEATS = 2


def sample() -> list[Configuration]:
    """What is run on each engine: small and large rings, one limb and two, few answers and many, packed or not."""
    tables = (Table(3000, 96), Table(12000, 384, 2))
    rings = (Ring(2048, (53,), 2**13), Ring(4096, (50,), 2**13), Ring(4096, (53, 53), 2**13))
    on_openfhe = [
        Configuration("cheetah" if tile == "cheetah" else "fastquery", table, ring, Packing((4, 3, 3), tile))
        for ring in rings
        for table in tables
        for tile in ("column", "cheetah")
    ]
    on_residues = [
        executable("fastquery", table, flooding_bits=flooding_bits, prepared=prepared)
        for table in (*tables, Table(30000, 1536), Table(2000, 6000))
        for flooding_bits in (0, 40)
        for prepared in (False, True)
    ]
    tiled = [executable("cheetah", table, flooding_bits=bits) for table in tables for bits in (0, 40)]
    return [*on_openfhe, *on_residues, *tiled]


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "calibrate",
        help="measure this machine's unit costs",
        description="Run a dozen small lookups, fit the cost of every operation, and write a profile for --machine.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=Path, default=Path("results/machine.toml"), help="the profile's path")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Measure, fit, write."""
    from protocol.errors import ProtocolError
    from protocol.execute import execute as execute_lookup
    from protocol.openfhe_library import OpenFHEUnavailable

    observed: dict[str, list[Observation]] = {}
    try:
        for configuration in tqdm(sample() * REPEATS, desc="measuring", file=sys.stderr):
            name = f"{configuration.table.rows}x{configuration.table.channels}"
            ledger = execute_lookup(configuration, name, [0]).ledger
            work = ledger[ledger["kind"] == "work"]
            keys = zip(work["phase"], work["party"], work["item"], strict=True)
            observed.setdefault(configuration.engine, []).extend(
                observations(configuration, dict(zip(keys, work["seconds"].astype(float), strict=True)))
            )
    except (OpenFHEUnavailable, ProtocolError) as error:
        print(f"fastquery calibrate: {error}", file=sys.stderr)
        return 1
    measured = {
        (engine, operation): cost for engine, rows in observed.items() for operation, cost in fit_units(rows).items()
    }
    origin = provenance()
    facts = {
        **default_machine().provenance,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "processor": origin["processor"],
        "python": origin["python"],
        "commit": origin["commit"] or "",
        "measured": "openfhe and residue: fitted to runs of this project on one thread, CPU seconds",
    }
    published = {key: cost for key, cost in default_machine().units.items() if key[0] not in observed}
    profile = Machine(str(origin["processor"]), {**measured, **published}, facts)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(machine_toml(profile), encoding="utf-8")
    units = {f"{engine}: {operation}": vars(cost) for (engine, operation), cost in profile.units.items()}
    document = {"path": str(arguments.output), "units": units}
    print(json_text(document) if arguments.json else f"{len(units)} unit costs in {arguments.output}")
    return 0
