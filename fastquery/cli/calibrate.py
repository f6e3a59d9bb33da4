"""``fastquery calibrate``: unit costs of this machine, measured or rescaled, and written to a profile."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm import tqdm

from costmodel.files import output_path, replace_text
from costmodel.machine import Machine, default_machine, machine_toml
from fastquery.cli.show import json_text, pairs
from fastquery.own_machine import keep
from fastquery.processor import memory_bytes_per_s, this_processor
from fastquery.provenance import provenance

OUTPUT = Path("results/machine.toml")

EXAMPLE = """examples:
  fastquery calibrate --quick
  fastquery estimate --table minilm --machine auto
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
        description="Run some sixty small lookups, several times each, fit the cost of every operation without what "
        "contention adds, and write a profile for --machine. With --quick: run four lookups for some seconds, rescale "
        "the built-in profile by them, class by class, and keep the profile for --machine auto. Both measure what part "
        "of an operation threads share, by lookups on one thread and on all free processors. Kernels that were never "
        "used are compiled first, which takes a minute or two, once.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="rescale the built-in profile, in seconds")
    parser.add_argument(
        "--output",
        type=Path,
        help=f"the profile's path (default {OUTPUT}; of --quick the user's cache folder, by processor)",
    )
    parser.add_argument("--sessions", type=int, metavar="K", help=f"repetitions of a lookup (default {SESSIONS})")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Measure, write, print."""
    from protocol.errors import ProtocolError
    from protocol.openfhe_library import OpenFHEUnavailable

    if arguments.quick and arguments.sessions is not None:
        raise ValueError(f"sessions is {arguments.sessions}, and --quick repeats lookups for its time; leave one out")
    sessions = SESSIONS if arguments.sessions is None else arguments.sessions
    if sessions < 1:
        raise ValueError(f"sessions is {sessions}; a lookup is measured at least once")
    if not arguments.quick or arguments.output is not None:
        output_path(arguments.output or OUTPUT)
    try:
        document, said = quick(arguments.output) if arguments.quick else whole(sessions, arguments.output or OUTPUT)
    except (OpenFHEUnavailable, ProtocolError) as error:
        print(f"fastquery calibrate: {error}", file=sys.stderr)
        return 1
    print(json_text(document) if arguments.json else said)
    return 0


def quick(output: Path | None) -> tuple[dict[str, Any], str]:
    """Rescale the built-in profile and keep it; the document of what was measured, and its text for people."""
    from validate.quick import measured_factors, rescaled

    base, processor = default_machine(), this_processor()
    with tqdm(file=sys.stderr, leave=False) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(what, refresh=False)
            bar.update(done - bar.n)

        scale = measured_factors(base, progress=progress)
    bandwidth = memory_bytes_per_s(processor)
    facts = {**origin_facts(provenance()), "memory_bytes_per_s": f"{bandwidth:.3g}"}
    profile = rescaled(base, f"{processor.name}, quick", scale, facts)
    if output is None:
        path = keep(profile, processor)
    else:
        replace_text(output, machine_toml(profile))
        path = output
    by_class = {f"{engine}: {kind}": factor for (engine, kind), factor in scale.items()}
    document = {
        "path": str(path),
        "units": units_of(profile),
        "base": base.name,
        "base_processor": base.provenance.get("processor"),
        "factors": by_class,
        "memory_bytes_per_s": bandwidth,
        **processor.facts(),
    }
    shown = {f"{name} ": value for name, value in processor.facts().items()}
    shown["memory"] = f"{bandwidth / 1e9:.1f} GB/s, read and written by one core"
    shown |= {name: f"{factor:.2f} times the built-in seconds" for name, factor in by_class.items()}
    shown["profile"] = f"{path}{'' if output else ', which --machine auto takes'}"
    return document, pairs(shown)


def whole(sessions: int, output: Path) -> tuple[dict[str, Any], str]:
    """Fit the cost of every operation and write the profile; the document of what was measured, and its text."""
    from validate.calibration import Observation, calibrated, calibration_sample, observations
    from validate.measurement import Parties, entries, marked
    from validate.threads import measured_parts, with_parts

    observed: dict[str, list[Observation]] = {}
    sample = calibration_sample()
    with Parties() as parties:
        for configuration in tqdm(sample, desc="measuring", file=sys.stderr):
            table = configuration.table
            measured_sessions = parties.measure(
                configuration,
                f"{table.rows}x{table.channels}",
                range(table.tokens),
                sessions=sessions,
                encodings=ENCODINGS,
            )
            found = observations(configuration, marked(entries(measured_sessions), parties.usual_s))
            observed.setdefault(configuration.engine, []).extend(found)
    origin, processor = provenance(), this_processor()
    facts = {
        **origin_facts(origin),
        "memory_bytes_per_s": f"{memory_bytes_per_s(processor):.3g}",
        "measured": f"{' and '.join(sorted(observed))}: {len(sample)} configurations in {sessions} sessions "
        "each on one thread, CPU seconds; fitted to the median of the sessions at the usual pace, intervals are the "
        "5 % and 95 % quantiles of all of them over the fit",
    }
    profile = with_parts(calibrated(facts["processor"], observed, default_machine(), facts), measured_parts())
    replace_text(output, machine_toml(profile))
    units = units_of(profile)
    measured = {name: cost for name, cost in units.items() if cost["samples"]}
    document = {"path": str(output), "units": units, "measured": sorted(measured), "provenance": origin}
    return document, text(measured, output)


def origin_facts(origin: dict[str, Any]) -> dict[str, str]:
    """Provenance as a profile keeps it: flat texts."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        **{name: str(origin[name]) for name in ("processor", "revision", "caches", "vector_bits", "python")},
        "commit": origin["commit"] or "",
        "versions": ", ".join(f"{name} {version}" for name, version in origin["versions"].items() if version),
    }


def units_of(profile: Machine) -> dict[str, dict[str, Any]]:
    """Unit costs by engine and operation, as plain values."""
    return {f"{engine}: {operation}": vars(cost) for (engine, operation), cost in profile.units.items()}


def text(units: dict[str, dict[str, Any]], path: Path) -> str:
    """The measured units for people, least certain first."""
    lines = [f"{len(units)} unit costs in {path}; microseconds a batch, a call and a thousand residues", ""]
    lines.append(f"{'':<34}{'batch':>9}{'call':>9}{'1000 res.':>11}{'residual':>10}{'contention':>12}")
    for name, unit in sorted(units.items(), key=lambda item: -item[1]["residual"]):
        coefficients = f"{1e6 * unit['batch_s']:>9.1f}{1e6 * unit['call_s']:>9.2f}{1e9 * unit['element_s']:>11.3f}"
        lines.append(f"{name:<34}{coefficients}{unit['residual']:>10.0%}{unit['spread'] - 1:>12.0%}")
    return "\n".join(lines)
