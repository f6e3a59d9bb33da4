"""``fastquery quantize``: a real table to a packed one, or recipes side by side."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from costmodel.files import output_path, replaced
from costmodel.link import PRESETS, parse_link
from fastquery.cli.show import bytes_text, json_text, pairs, seconds_text, table_text
from fastquery.quantization import COSTS, LANGUAGE_MODEL, LAYERS, Job, Pricing, Quantization, apply, recipes
from fastquery.words import MACHINE_HELP, checked, machine_of
from quantize.perplexity import WINDOWS
from quantize.quantizers import Progress
from quantize.recipes import RECIPES, recipe_named
from quantize.table_files import split_name

EXAMPLE = """examples:
  fastquery quantize --table minilm --recipe half-integer-free --evaluate --output minilm.safetensors
  fastquery quantize --table minilm --recipe all --evaluate --json
  fastquery quantize --table smollm2 --recipe all --evaluate --text news
  fastquery quantize --table smollm2 --layer qkv --recipe int6 --evaluate
  fastquery quantize --table path/to/model-folder --recipe half-integer-free
  fastquery quantize --table model.gguf --recipe hadamard
  fastquery run --table minilm.safetensors --tokens 3
"""
FOLDER = Path("results")


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "quantize",
        help="quantise and pack a table, or compare recipes",
        description="Quantise a table by a named recipe and pack it for private queries.",
        epilog=EXAMPLE + "\nrecipes: " + ", ".join(RECIPES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--table", default="minilm", help="preset, MxN, file or model folder (default minilm)")
    parser.add_argument(
        "--recipe", default="fastquery", metavar="NAME", help="a name below, or all (default: fastquery)"
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="what the model makes of it (minilm, smollm2), and what a query takes"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default results/TABLE-RECIPE.safetensors")
    parser.add_argument("--qkv", default="", metavar="KEY,KEY,KEY", help="projections of the first layer")
    parser.add_argument(
        "--layer", default="embedding", help=f"{' or '.join(LAYERS)}: rows with the first layer's q, k, v"
    )
    parser.add_argument("--text", default="wikipedia", help="wikipedia, news or a file, for smollm2's perplexity")
    parser.add_argument("--windows", type=int, default=WINDOWS, help=f"of the text (default {WINDOWS})")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="where --recipe all keeps what it has, to go on")
    parser.add_argument("--threshold", type=float, metavar="F", help="frequencies are clipped to, in fine-tuning")
    parser.add_argument("--frequencies", type=Path, metavar="FILE", help="a count a line (default Zipf's law)")
    parser.add_argument("--seed", type=int, default=0, help="of a random table (default 0)")
    parser.add_argument("--protocol", default="fastquery", help="that queries are priced for (default fastquery)")
    parser.add_argument("--tokens", type=int, default=1, help="rows that a query looks up together (default 1)")
    parser.add_argument(
        "--link", "--bandwidth", type=checked(parse_link), default=PRESETS["lan"], help="preset or RATE,DELAY (lan)"
    )
    parser.add_argument("--machine", type=checked(machine_of), metavar="FILE", help=MACHINE_HELP)
    parser.add_argument("--flooding-bits", type=int, metavar="F", help="statistical flooding (default 40; 0: none)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Quantise, save, print."""
    return _compare(arguments) if arguments.recipe == "all" else _quantize(arguments)


def _compare(arguments: argparse.Namespace) -> int:
    if arguments.output:
        raise ValueError("output is a file for one packed table; --recipe all compares and saves none")
    job = _job(arguments)
    journal = arguments.journal or (FOLDER / _journal_name(job) if job.table == LANGUAGE_MODEL else None)
    if journal:
        print(f"evaluations are kept in {journal}: the same command goes on with them", file=sys.stderr)
    with _bars() as progress:
        frame = recipes(
            **{name: getattr(job, name) for name in Job.__dataclass_fields__},
            protocol=arguments.protocol,
            tokens=arguments.tokens,
            link=arguments.link,
            machine=arguments.machine,
            journal=journal,
            progress=progress,
            flooding_bits=arguments.flooding_bits,
        )
    if journal and not arguments.journal:
        journal.unlink()  # what is finished starts anew
    print(json_text({"path": None, "recipes": frame}) if arguments.json else recipes_text(frame))
    return 0


def _quantize(arguments: argparse.Namespace) -> int:
    chosen = recipe_named(arguments.recipe)
    if chosen.obstacle and (arguments.output or not arguments.evaluate):
        raise ValueError(f"recipe {chosen.name!r} is refused for a private query: {chosen.obstacle}")
    options = {"flooding_bits": arguments.flooding_bits}
    pricing = Pricing(arguments.protocol, arguments.tokens, arguments.link, arguments.machine, options)
    job = _job(arguments)
    path = arguments.output or _default_path(job, chosen.name)
    found = split_name(arguments.table)
    inputs = found[0] if found else arguments.table, arguments.frequencies, arguments.text
    if not chosen.obstacle:
        output_path(path, *inputs)
    with _bars() as progress:
        bench = job.workbench(progress)
        evaluated = (job.benchmark, pricing) if arguments.evaluate else ()
        result = apply(chosen.name, bench, *evaluated)
    if result.table is not None:
        with replaced(path, *inputs) as beside:
            result.table.save(beside)
    for note in bench.source.notes:
        print(f"table {arguments.table}: {note}", file=sys.stderr)
    written = None if result.table is None else path
    document = {"path": written and str(written), **result.document()}
    print(json_text(document) if arguments.json else text(result, written))
    return 0


def _job(arguments: argparse.Namespace) -> Job:
    return Job(
        arguments.table,
        arguments.layer,
        [key for key in arguments.qkv.split(",") if key],
        arguments.frequencies,
        arguments.threshold,
        arguments.seed,
        arguments.text,
        arguments.windows,
    )


def _journal_name(job: Job) -> str:
    digest = sha256(json.dumps(job.settings(), sort_keys=True).encode()).hexdigest()
    return f"recipes-{job.table}-{digest[:8]}.jsonl"


def text(result: Quantization, path: Path | None) -> str:
    """One recipe for people."""
    evaluation = result.evaluation
    rows = {
        "recipe": f"{evaluation.name}: {evaluation.summary}",
        "table": f"{evaluation.rows} x {evaluation.channels}",
        "coefficients": f"{evaluation.coefficients} a row, {evaluation.channels_per_coefficient} channels each, "
        f"t={evaluation.plaintext_modulus}",
        "bits": f"{evaluation.bits:.2f} a channel",
        "error": f"{evaluation.weighted_error:.4f}, weighted by token frequency",
    }
    if evaluation.cosine is not None:
        rows["cosine"] = f"{evaluation.cosine:.4f} of sentence embeddings to the float model's"
    if evaluation.perplexity is not None:
        rows["perplexity"] = (
            f"{evaluation.perplexity:.2f} ({evaluation.perplexity_low:.2f} to {evaluation.perplexity_high:.2f}), "
            f"{evaluation.over_float:.4f} of the float model's"
        )
    if result.costs:
        rows["query"] = (
            f"up {bytes_text(result.costs['up_bytes'])}, down {bytes_text(result.costs['down_bytes'])}, "
            f"{seconds_text(result.costs['latency_s'])} (cost model)"
        )
    if evaluation.note:
        rows["note"] = evaluation.note
    rows["path"] = "none: a private query cannot decode it" if path is None else str(path)
    return pairs(rows)


def recipes_text(frame: pd.DataFrame) -> str:
    """Recipes for people; what there is no number of is blank."""
    model = [name for name in ("cosine", "perplexity", "over_float") if frame[name].notna().any()]
    shown = frame[["name", "bits", "channels_per_coefficient", "coefficients", "weighted_error", *model]].copy()
    shown = shown.rename(columns={"channels_per_coefficient": "channels", "weighted_error": "error"})
    for name, unit in zip(COSTS, (bytes_text, bytes_text, bytes_text, seconds_text, seconds_text), strict=True):
        shown[name] = [unit(value) if value == value else "" for value in frame[name]]
    for name in ("name", "note"):
        shown[name] = frame[name].str.ljust(frame[name].str.len().max())
    for name, decimals in (("bits", 2), ("error", 4), *((name, 2 if name == "perplexity" else 4) for name in model)):
        shown[name] = [f"{value:.{decimals}f}" if pd.notna(value) else "" for value in shown[name]]
    return table_text(shown.drop(columns=["setup_bytes", "server_s"]))


def _default_path(job: Job, recipe: str) -> Path:
    found = split_name(job.table)
    table = job.table if found is None else found[0].resolve().stem
    return FOLDER / f"{table}{'-qkv' if job.layer == 'qkv' else ''}-{recipe}.safetensors"


@contextmanager
def _bars() -> Iterator[Progress]:
    """Bars on standard error, where something takes long: one for the recipes, one for the stages of each."""
    form = "{desc:<12}{percentage:3.0f} %|{bar}|"
    with (
        tqdm(total=1.0, file=sys.stderr, delay=1.0, leave=False, bar_format=form) as recipes_bar,
        tqdm(total=1.0, file=sys.stderr, delay=1.0, leave=False, bar_format=form) as stage_bar,
    ):

        def progress(stage: str, fraction: float) -> None:
            bar = recipes_bar if stage == "recipes" else stage_bar
            bar.set_description_str(stage, refresh=False)
            bar.update(fraction - bar.n)

        yield progress
