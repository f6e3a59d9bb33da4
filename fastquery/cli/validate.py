"""``fastquery validate``: sampled configurations executed, calibrated on one half, predicted on the other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from costmodel.parameters import EXECUTING_ENGINES
from fastquery.cli.show import json_text, pairs
from fastquery.provenance import provenance
from fastquery.words import MACHINE_HELP, checked, machine_of

EXAMPLE = """examples:
  fastquery validate --samples 40 --output results/campaign
  fastquery validate --samples 12 --engine openfhe --protocol fastquery --output results/openfhe
  fastquery validate --samples 40 --machine auto --output results/campaign
  fastquery validate --samples 40 --output results/campaign    (again: goes on where it was interrupted)
"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "validate",
        help="hold predictions against many measured configurations",
        description="Draw configurations, execute them, calibrate on one half and predict the other; write a report.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--samples", type=int, default=40, metavar="K", help="configurations to draw (default 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and of the split (default 0)")
    parser.add_argument("--sessions", type=int, default=5, metavar="K", help="repetitions of each (default 5)")
    parser.add_argument("--protocol", action="append", default=[], help="a system to sample (repeatable; default: all)")
    parser.add_argument(
        "--engine", action="append", default=[], choices=EXECUTING_ENGINES, help="an engine to sample (default: all)"
    )
    parser.add_argument("--machine", type=checked(machine_of), metavar="FILE", help=MACHINE_HELP)
    parser.add_argument("--output", type=Path, default=Path("results/campaign"), metavar="DIR", help="where it goes")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run the campaign, write the report; 0 only if everything that must hold does."""
    from protocol.openfhe_library import OpenFHEUnavailable
    from validate.campaign import run_campaign
    from validate.report import write_report
    from validate.sampling import designs

    if arguments.sessions < 1:
        raise ValueError(f"sessions is {arguments.sessions}; a configuration is measured at least once")
    drawn = designs(arguments.protocol, arguments.engine)
    folder: Path = arguments.output
    bar = tqdm(desc="measuring", file=sys.stderr)

    def progress(what: str, done: int, total: int) -> None:
        bar.total = total
        bar.set_description(what, refresh=False)
        bar.update(done - bar.n)

    try:
        campaign = run_campaign(
            folder,
            arguments.samples,
            arguments.seed,
            provenance(),
            sessions=arguments.sessions,
            drawn=drawn,
            base=arguments.machine,
            progress=progress,
        )
    except OpenFHEUnavailable as error:
        print(f"fastquery validate: {error}", file=sys.stderr)
        return 1
    finally:
        bar.close()
    reports = write_report(campaign, folder, draw_figures(campaign.measured, folder))
    summary, verdicts = campaign.summary(), campaign.verdicts()
    document = {
        **summary,
        "verdicts": verdicts,
        "seed": campaign.seed,
        "uncalibrated": list(campaign.uncalibrated),
        "paths": [str(path) for path in reports],
        "provenance": campaign.provenance,
    }
    print(json_text(document) if arguments.json else f"{pairs(verdicts)}\n\n{reports[0]}")
    return 0 if campaign.holds else 1


def draw_figures(runs: Any, folder: Path) -> dict[str, Path]:
    """Predicted against measured, as a picture in the folder; none if nothing was measured."""
    from plots.measured import measured
    from plots.style import save

    if runs.empty:
        return {}
    caption = f"Predicted against measured, {len(runs)} configurations; seconds without contention"
    drawn = measured(runs, "Predicted against measured", f"{len(runs)} runs of {folder.name}; see runs.csv beside it.")
    return {caption: save(drawn, folder / "measured.png")}
