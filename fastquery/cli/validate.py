"""``fastquery validate``: sampled configurations executed, calibrated on one half, predicted on the other."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from costmodel.files import output_path, replace_text
from costmodel.parameters import EXECUTING_ENGINES
from fastquery.cli.show import json_text, pairs, table_text
from fastquery.cli.sweep import add_worker_options
from fastquery.processor import memory_bytes_per_s, this_processor
from fastquery.provenance import provenance
from fastquery.words import MACHINE_HELP, checked, count, machine_of
from fastquery.workers import evaluated_parts

EXAMPLE = """examples:
  fastquery validate --samples 40 --output results/campaign
  fastquery validate --samples 64 --seed 1 --seed 2 --seed 3 --output results/campaign    (three, and all together)
  fastquery validate --samples 12 --engine openfhe --protocol fastquery --output results/openfhe
  fastquery validate --samples 40 --submit mine.json    (one file to send to somebody)
  fastquery validate --machines submissions/            (compares the files that people have sent)
  fastquery validate --netem    (the model of TCP against the kernel's; needs root)
  fastquery validate --samples 40 --machine auto --output results/campaign
  fastquery validate --samples 40 --output results/campaign    (again: goes on where it was interrupted)
  fastquery validate --samples 200 --jobs 2 --output results/campaign

Samples are measured one after the other on this machine, which nothing else should load: --jobs and --scheduler share
out the model's side, which comes after that: calibration, its cross-validation, and predictions.
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
    parser.add_argument(
        "--seed",
        type=int,
        action="append",
        metavar="S",
        help="of the draw and of the split (default 0; repeatable: a campaign each, in DIR/seed-S, and all together)",
    )
    parser.add_argument("--sessions", type=int, default=5, metavar="K", help="repetitions of each (default 5)")
    parser.add_argument("--protocol", action="append", default=[], help="a system to sample (repeatable; default: all)")
    parser.add_argument(
        "--engine", action="append", default=[], choices=EXECUTING_ENGINES, help="an engine to sample (default: all)"
    )
    parser.add_argument("--machine", type=checked(machine_of), metavar="FILE", help=MACHINE_HELP)
    parser.add_argument("--output", type=Path, default=Path("results/campaign"), metavar="DIR", help="where it goes")
    parser.add_argument(
        "--submit", type=Path, metavar="FILE.json", help="write the campaign as one file that can be sent"
    )
    parser.add_argument("--machines", type=Path, metavar="DIR", help="measure nothing; compare the files of --submit")
    parser.add_argument(
        "--netem",
        action="store_true",
        help="hold the model of TCP against the kernel's own, fresh and warm, between two network namespaces (root)",
    )
    add_worker_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run the campaign, write the report; 0 only if everything that must hold does."""
    if arguments.machines is not None:
        return compare_machines(arguments)
    if arguments.netem:
        return hold_tcp(arguments)
    return run_and_report(arguments)


def compare_machines(arguments: argparse.Namespace) -> int:
    """Show what other machines measured, side by side."""
    from validate.submissions import machines_compared, read_submissions

    if arguments.submit is not None:
        raise ValueError("submit and machines are both named; one writes a file, the other reads files")
    frame = machines_compared(read_submissions(arguments.machines))
    if arguments.json:
        print(json_text({"machines": frame}))
        return 0
    shown = frame.set_index("submission").T
    print(shown.map(lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)).to_string())
    return 0


def hold_tcp(arguments: argparse.Namespace) -> int:
    """Measure exchanges over links between namespaces; 0 only if the model is within its bounds."""
    from validate.kernel_link import NotPossible
    from validate.tcp import BOUNDS, measured_exchanges, summary

    try:
        with tqdm(file=sys.stderr, leave=False) as bar:
            frame = measured_exchanges(progress=advance(bar))
    except NotPossible as error:
        print(f"fastquery validate: --netem is not possible here: {error}", file=sys.stderr)
        return 1
    figures = summary(frame)
    if arguments.json:
        print(json_text({**figures, "exchanges": frame}))
    else:
        shown = {f"{name} ": f"{value:.1%}" for name, value in figures.items()}
        print(f"{table_text(frame.round(4))}\n\n{pairs(shown)}")
    return 0 if all(figures[f"tcp_error_{which}"] <= bound for which, bound in BOUNDS.items()) else 1


def advance(bar: Any) -> Callable[[str, int, int], None]:
    """Move a bar as a measurement says how far it is."""

    def progress(what: str, done: int, total: int) -> None:
        bar.total = total
        bar.set_description(what, refresh=False)
        bar.update(done - bar.n)

    return progress


def run_and_report(arguments: argparse.Namespace) -> int:
    """Measure or go on, evaluate, write: a campaign, or one a seed and then all of them together."""
    from protocol.openfhe_library import OpenFHEUnavailable
    from validate.pool import Pool
    from validate.submissions import submission_text

    if arguments.sessions < 1:
        raise ValueError(f"sessions is {arguments.sessions}; a configuration is measured at least once")
    seeds: list[int] = list(dict.fromkeys(arguments.seed or [0]))
    if len(seeds) > 1 and arguments.submit is not None:
        raise ValueError(f"submit goes with one seed, and seed has {len(seeds)}; submit each campaign by itself")
    if arguments.submit is not None:
        output_path(arguments.submit)
    folder: Path = arguments.output
    folders = {seed: folder if len(seeds) == 1 else folder / f"seed-{seed}" for seed in seeds}
    try:
        campaigns = measured_campaigns(arguments, folders)
    except OpenFHEUnavailable as error:
        print(f"fastquery validate: {error}", file=sys.stderr)
        return 1
    document: dict[str, Any]
    if len(campaigns) > 1:
        pool = Pool(campaigns)
        paths, holds = pool.write(folder), pool.holds
        summary, verdicts = pool.summary(), pool.verdicts()
        document = {"seeds": seeds, "errors": pool.errors}
        said = f"{table_text(pool.errors.round(4))}\n\n{pairs(verdicts)}\n\n{paths[0]}"
    else:
        (campaign,) = campaigns
        paths, holds = [folder / name for name in ("report.md", "report.html")], campaign.holds
        if arguments.submit is not None:
            replace_text(arguments.submit, submission_text(campaign))
            paths.append(arguments.submit)
        summary, verdicts = campaign.summary(), campaign.verdicts()
        document = {
            "seed": campaign.seed,
            "uncalibrated": list(campaign.uncalibrated),
            "provenance": campaign.provenance,
        }
        said = f"{pairs(verdicts)}\n\n{paths[0]}"
    document = {**summary, "verdicts": verdicts, **document, "paths": [str(path) for path in paths]}
    print(json_text(document) if arguments.json else said)
    return 0 if holds else 1


def measured_campaigns(arguments: argparse.Namespace, folders: dict[int, Path]) -> list[Any]:
    """The campaign of every seed, measured and reported in its folder; says before how long it takes."""
    from validate.campaign import expected_s, planned, run_campaign
    from validate.report import write_report
    from validate.sampling import designs

    workers = {"jobs": count("jobs", arguments.jobs), "scheduler": arguments.scheduler}
    drawn = designs(arguments.protocol, arguments.engine)
    origin = {**provenance(), "memory_bytes_per_s": round(memory_bytes_per_s(this_processor()), -7)}
    seconds = 0.0
    for seed, folder in folders.items():
        samples = planned(folder, arguments.samples, seed, arguments.sessions, origin, drawn)
        seconds += expected_s(folder, samples, arguments.sessions, arguments.machine)
    print(f"fastquery validate: measurements take about {math.ceil(seconds / 60)} minutes", file=sys.stderr)
    campaigns = []
    for seed, folder in folders.items():
        bar = tqdm(desc="measuring", file=sys.stderr)
        try:
            campaign = run_campaign(
                folder,
                arguments.samples,
                seed,
                origin,
                sessions=arguments.sessions,
                drawn=drawn,
                base=arguments.machine,
                progress=advance(bar),
                parts=partial(evaluated_parts, **workers),
            )
        finally:
            bar.close()
        write_report(campaign, folder, draw_figures(campaign.measured, folder))
        campaigns.append(campaign)
    return campaigns


def draw_figures(runs: Any, folder: Path) -> dict[str, Path]:
    """Predicted against measured, as a picture in the folder; none if nothing was measured."""
    from plots.measured import measured
    from plots.style import save

    if runs.empty:
        return {}
    caption = f"Predicted against measured, {len(runs)} configurations; seconds without contention"
    drawn = measured(runs, "Predicted against measured", f"{len(runs)} runs of {folder.name}; see runs.csv beside it.")
    return {caption: save(drawn, folder / "measured.png")}
