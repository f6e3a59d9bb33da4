"""Accuracy beside cost: what a recipe makes of a table, and what a private query of the result takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import Estimate, estimate
from costmodel.link import PRESETS, Link, parse_link
from costmodel.machine import Machine
from costmodel.parameters import Table
from costmodel.systems import configuration
from quantize.comparison import Evaluation, compared, evaluate, evaluate_recipes, measure
from quantize.evaluate import SentenceBenchmark
from quantize.frequencies import read_frequencies
from quantize.minilm import MiniLM
from quantize.packed import PackedTable
from quantize.quantizers import Progress, silent
from quantize.recipes import RECIPES, pack_for_query, recipe_named
from quantize.tables import open_table
from quantize.workbench import Workbench

COSTS = ("up_bytes", "down_bytes", "setup_bytes", "server_s", "latency_s")
REAL_MODEL = "minilm"


@dataclass(frozen=True, eq=False)
class Pricing:
    """What private queries of a quantised table are priced for.

    Attributes
    ----------
    protocol, tokens
        The system, and how many rows are looked up together.
    link, machine
        Over which link, at which unit costs.
    options
        Further keywords of :func:`costmodel.systems.configuration`, such as ``flooding_bits``.
    """

    protocol: str = "fastquery"
    tokens: int = 1
    link: Link = PRESETS["lan"]
    machine: Machine | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    _estimates: dict[tuple[Table, tuple[int, ...]], Estimate] = field(default_factory=dict, init=False)

    def costs(self, evaluation: Evaluation) -> dict[str, float]:
        """Bytes and seconds of a query; none of a table that no query decodes.

        Raises
        ------
        ValueError
            If the protocol cannot be had with this packing.
        """
        if not evaluation.query_decodable:
            return {}
        asked = Table(evaluation.rows, evaluation.channels, self.tokens), evaluation.field_levels
        if asked not in self._estimates:
            chosen = configuration(self.protocol, asked[0], levels=asked[1], **self.options)
            self._estimates[asked] = estimate(chosen, self.link, self.machine)
        return {name: self._estimates[asked].figures[name] for name in COSTS}


@dataclass(frozen=True)
class Quantization:
    """A recipe applied to a table.

    Attributes
    ----------
    table
        Packed; None where no query could decode it.
    evaluation
        Its error and, for MiniLM, what the model makes of it.
    costs
        Bytes and seconds of a query by name; empty if no one asked, or none is possible.
    """

    table: PackedTable | None
    evaluation: Evaluation
    costs: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """What ``--json`` prints, but the path."""
        return {"recipe": self.evaluation.name, **asdict(self.evaluation), **self.costs}


def workbench(
    table: str,
    qkv: Sequence[str] = (),
    frequencies: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Workbench:
    """The table and what recipes want to know besides.

    Parameters
    ----------
    table
        A preset, ``MxN`` or ``FILE.safetensors:KEY``.
    qkv
        Query, key and value projections of the first layer, each (outputs, n): keys of the same file, or
        ``FILE.safetensors:KEY``. MiniLM has its own.
    frequencies
        File of one count a line, in token order; Zipf's law if left out.
    seed
        Of a random table.
    progress
        Called with the stage and the fraction of it that is done.

    Raises
    ------
    ValueError
        If something is missing or does not fit; the message says what.
    """
    source = open_table(table, seed)
    counts = None if frequencies is None else read_frequencies(frequencies, source.rows)
    projection = _projection(table, qkv, source.channels) if qkv else _own_projection(table)
    return Workbench.of(source, counts, projection, progress)


def quantize(
    table: str = REAL_MODEL,
    recipe: str = "fastquery",
    *,
    qkv: Sequence[str] = (),
    frequencies: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> PackedTable:
    """Quantise and pack a table for private queries; ``.save(path)`` makes the file that ``--table`` takes.

    Parameters
    ----------
    table, qkv, frequencies, seed, progress
        See :func:`workbench`.
    recipe
        A name of :data:`quantize.recipes.RECIPES`.

    Raises
    ------
    ValueError
        If the recipe is unknown or no query could decode its result, or the table does not fit it.

    Examples
    --------
    >>> import fastquery as fq
    >>> packed = fq.quantize("500x24", "fastquery")
    >>> packed.coefficients.shape  # three channels in a coefficient
    (500, 8)
    """
    return pack_for_query(recipe, workbench(table, qkv, frequencies, seed, progress))


def recipes(
    table: str = REAL_MODEL,
    names: Iterable[str] | None = None,
    *,
    qkv: Sequence[str] = (),
    frequencies: Path | None = None,
    seed: int = 0,
    protocol: str = "fastquery",
    tokens: int = 1,
    link: str | Link = "lan",
    machine: Machine | None = None,
    progress: Progress = silent,
    **options: Any,
) -> pd.DataFrame:
    """Recipes side by side: bits and error of each, and the bytes and seconds of a query of its table.

    Parameters
    ----------
    table, qkv, frequencies, seed, progress
        See :func:`workbench`.
    names
        Of recipes; all that the table and what is known of it allow if left out.
    protocol, tokens, link, machine, options
        What queries are priced for, see :class:`Pricing`.

    Returns
    -------
    DataFrame
        A row a recipe: ``name``, ``summary``, ``bits``, ``channels_per_coefficient``, ``coefficients``,
        ``plaintext_modulus``, ``rows``, ``channels``, ``field_levels``, ``query_decodable``, ``weighted_error``,
        ``cosine`` (MiniLM only), ``note``, ``up_bytes``, ``down_bytes``, ``setup_bytes``, ``server_s``,
        ``latency_s``.

    Raises
    ------
    ValueError
        If a recipe that is named does not fit the table, or no recipe goes with the protocol.

    Examples
    --------
    >>> import fastquery as fq
    >>> found = fq.recipes("500x24", ["fastquery"])
    >>> found[["name", "query_decodable"]].values.tolist()
    [['fastquery', True]]
    """
    on = parse_link(link) if isinstance(link, str) else link
    pricing = Pricing(protocol, tokens, on, machine, options)
    bench = workbench(table, qkv, frequencies, seed, progress)
    chosen = possible_recipes(bench) if names is None else list(names)
    rows: list[dict[str, Any]] = []
    refusal: ValueError | None = None
    for k, evaluation in enumerate(evaluate_recipes(chosen, bench, benchmark_of(table))):
        try:
            costs: dict[str, Any] = pricing.costs(evaluation)
        except ValueError as error:
            costs, refusal = {"note": f"not priced: {error}"}, error
        rows.append({**asdict(evaluation), **costs})
        progress("recipes", (k + 1) / len(chosen))
    if refusal and not any("latency_s" in row for row in rows):
        raise refusal
    return pd.DataFrame(rows, columns=[*Evaluation.__dataclass_fields__, *COSTS])


def possible_recipes(bench: Workbench) -> list[str]:
    """Names of all recipes; without those that need projections where there are none."""
    return [name for name, recipe in RECIPES.items() if bench.projection is not None or not recipe.needs_projection]


def benchmark_of(table: str) -> SentenceBenchmark | None:
    """Sentences for the model that a table is of, if it is at hand."""
    return SentenceBenchmark(MiniLM.load()) if table == REAL_MODEL else None


def apply(
    recipe: str,
    bench: Workbench,
    benchmark: SentenceBenchmark | None = None,
    pricing: Pricing | None = None,
) -> Quantization:
    """One recipe: the packed table, its error and, with a benchmark and a pricing, what model and query make of it.

    A recipe that starts from another is compared with that where there is a pricing.

    Raises
    ------
    ValueError
        If the recipe is unknown or the table does not fit it.
    """
    chosen = recipe_named(recipe)
    table = chosen.build(bench, recipe)
    evaluation = measure(recipe, table, bench, benchmark)
    packed = table if isinstance(table, PackedTable) else None
    if pricing is None:
        return Quantization(packed, evaluation)
    if chosen.base is not None:
        evaluation = compared(evaluation, evaluate(chosen.base, bench, benchmark))
    return Quantization(packed, evaluation, pricing.costs(evaluation))


def _own_projection(table: str) -> NDArray[np.float32] | None:
    return MiniLM.load().qkv if table == REAL_MODEL else None


def _projection(table: str, keys: Sequence[str], channels: int) -> NDArray[np.float32]:
    file, colon, _ = table.rpartition(":")
    parts = []
    for key in keys:
        if not colon and ".safetensors:" not in key:
            raise ValueError(f"qkv: {key!r} is in no file, as table {table!r} is none; write FILE.safetensors:KEY")
        part = open_table(key if ".safetensors:" in key else f"{file}:{key}")
        if part.channels != channels:
            raise ValueError(
                f"qkv: {key!r} is {part.rows}x{part.channels}; a projection of this table is (outputs, {channels})"
            )
        parts.append(part.read(0, part.rows).T)
    return np.ascontiguousarray(np.concatenate(parts, axis=1))
