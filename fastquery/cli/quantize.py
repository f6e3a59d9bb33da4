"""``fastquery quantize``: a real table to a packed one, or recipes side by side."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from costmodel.link import PRESETS, parse_link
from costmodel.machine import load_machine
from fastquery.cli.show import bytes_text, json_text, pairs, seconds_text
from fastquery.quantization import COSTS, Pricing, Quantization, apply, benchmark_of, recipes, workbench
from fastquery.words import checked
from quantize.quantizers import Progress
from quantize.recipes import RECIPES, recipe_named

EXAMPLE = """examples:
  fastquery quantize --table minilm --recipe half-integer-free --evaluate --output minilm.safetensors
  fastquery quantize --table minilm --recipe all --evaluate --json
  fastquery quantize --table model-00001-of-00002.safetensors:model.embed_tokens.weight --recipe half-integer-free
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
    parser.add_argument("--table", default="minilm", help="preset, MxN or FILE.safetensors:KEY (default minilm)")
    parser.add_argument(
        "--recipe", default="fastquery", metavar="NAME", help="a name below, or all (default: fastquery)"
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="what the model makes of it (minilm) and what a query of it takes"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default results/TABLE-RECIPE.safetensors")
    parser.add_argument("--qkv", default="", metavar="KEY,KEY,KEY", help="projections of the first layer")
    parser.add_argument("--frequencies", type=Path, metavar="FILE", help="a count a line (default Zipf's law)")
    parser.add_argument("--seed", type=int, default=0, help="of a random table (default 0)")
    parser.add_argument("--protocol", default="fastquery", help="that queries are priced for (default fastquery)")
    parser.add_argument("--tokens", type=int, default=1, help="rows that a query looks up together (default 1)")
    parser.add_argument("--link", type=checked(parse_link), default=PRESETS["lan"], help="preset or RATE,DELAY (lan)")
    parser.add_argument("--machine", type=checked(load_machine), metavar="FILE", help="calibration file")
    parser.add_argument("--flooding-bits", type=int, metavar="F", help="statistical flooding (default 40; 0: none)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Quantise, save, print."""
    return _compare(arguments) if arguments.recipe == "all" else _quantize(arguments)


def _compare(arguments: argparse.Namespace) -> int:
    if arguments.output:
        raise ValueError("output is a file for one packed table; --recipe all compares and saves none")
    with _bars() as progress:
        frame = recipes(
            arguments.table,
            qkv=_keys(arguments),
            frequencies=arguments.frequencies,
            seed=arguments.seed,
            protocol=arguments.protocol,
            tokens=arguments.tokens,
            link=arguments.link,
            machine=arguments.machine,
            progress=progress,
            flooding_bits=arguments.flooding_bits,
        )
    print(json_text({"path": None, "recipes": frame}) if arguments.json else table_text(frame))
    return 0


def _quantize(arguments: argparse.Namespace) -> int:
    chosen = recipe_named(arguments.recipe)
    if chosen.obstacle and (arguments.output or not arguments.evaluate):
        raise ValueError(f"recipe {chosen.name!r} is refused for a private query: {chosen.obstacle}")
    options = {"flooding_bits": arguments.flooding_bits}
    pricing = Pricing(arguments.protocol, arguments.tokens, arguments.link, arguments.machine, options)
    with _bars() as progress:
        bench = workbench(arguments.table, _keys(arguments), arguments.frequencies, arguments.seed, progress)
        evaluated = (benchmark_of(arguments.table), pricing) if arguments.evaluate else ()
        result = apply(chosen.name, bench, *evaluated)
    path = None
    if result.table is not None:
        path = arguments.output or _default_path(arguments.table, chosen.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        result.table.save(path)
    print(json_text({"path": path and str(path), **result.document()}) if arguments.json else text(result, path))
    return 0


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
    if result.costs:
        rows["query"] = (
            f"up {bytes_text(result.costs['up_bytes'])}, down {bytes_text(result.costs['down_bytes'])}, "
            f"{seconds_text(result.costs['latency_s'])} (cost model)"
        )
    if evaluation.note:
        rows["note"] = evaluation.note
    rows["path"] = "none: a private query cannot decode it" if path is None else str(path)
    return pairs(rows)


def table_text(frame: pd.DataFrame) -> str:
    """Recipes for people; what there is no number of is blank."""
    shown = frame[["name", "bits", "channels_per_coefficient", "coefficients", "weighted_error", "cosine"]].copy()
    shown = shown.rename(columns={"channels_per_coefficient": "channels", "weighted_error": "error"})
    for name, unit in zip(COSTS, (bytes_text, bytes_text, bytes_text, seconds_text, seconds_text), strict=True):
        shown[name] = [unit(value) if value == value else "" for value in frame[name]]
    for name in ("name", "note"):
        shown[name] = frame[name].str.ljust(frame[name].str.len().max())
    for name, decimals in (("bits", 2), ("error", 4), ("cosine", 4)):
        shown[name] = [f"{value:.{decimals}f}" if pd.notna(value) else "" for value in shown[name]]
    return shown.drop(columns=["setup_bytes", "server_s"]).to_string(index=False)


def _keys(arguments: argparse.Namespace) -> list[str]:
    return [key for key in arguments.qkv.split(",") if key]


def _default_path(table: str, recipe: str) -> Path:
    return FOLDER / f"{Path(table.partition(':')[0]).stem}-{recipe}.safetensors"


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
