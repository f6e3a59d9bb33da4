"""Accuracy beside cost: what a recipe makes of a table, and what a private query of the result takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.estimate import Estimate, estimate
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine
from costmodel.parameters import Table
from costmodel.results import Result
from costmodel.systems import configuration
from fastquery.journal import Journal
from fastquery.words import count, link_of, machine_of, name_of
from quantize.comparison import Benchmark, Evaluation, compared, evaluate, evaluate_recipes, measure
from quantize.frequencies import read_frequencies
from quantize.minilm import MiniLM
from quantize.models import LanguageModel, SentenceModel
from quantize.packed import PackedTable
from quantize.perplexity import WINDOWS
from quantize.quantizers import Progress, silent
from quantize.recipes import RECIPES, pack_for_query, recipe_named
from quantize.smollm2 import SmolLM2
from quantize.table_files import split_name, tensors_of
from quantize.tables import FIRST_LAYER, open_table
from quantize.workbench import Workbench

COSTS = ("up_bytes", "down_bytes", "setup_bytes", "server_s", "latency_s")
REAL_MODEL = "minilm"
LANGUAGE_MODEL = "smollm2"
LAYERS = ("embedding", "qkv")


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


@dataclass(frozen=True, eq=False, repr=False)
class Quantization(Result):
    """A recipe applied to a table.

    Attributes
    ----------
    table
        Packed; None where no query could decode it.
    evaluation
        Its error and, for MiniLM and SmolLM2, what the model makes of it.
    costs
        Bytes and seconds of a query by name; empty if no one asked, or none is possible.
    """

    table: PackedTable | None
    evaluation: Evaluation
    costs: dict[str, float] = field(default_factory=dict)

    def headline(self) -> dict[str, str]:
        """The table, its error, and what was asked of the model and of a query."""
        found = self.evaluation
        measures = {"error": found.weighted_error, "cosine": found.cosine, "perplexity": found.perplexity}
        return {
            "recipe": found.name,
            "table": f"{found.rows}x{found.channels}",
            "bits": f"{found.bits:.3g} a channel",
            **{name: f"{value:.4g}" for name, value in measures.items() if value is not None},
            **{name: f"{self.costs[name]:,.0f} B" for name in COSTS[:3] if name in self.costs},
            **{name: f"{self.costs[name]:.3g} s" for name in COSTS[3:] if name in self.costs},
            **({} if found.query_decodable else {"query": "cannot decode it"}),
        }

    def document(self) -> dict[str, Any]:
        """What ``--json`` prints, but the path."""
        return {"recipe": self.evaluation.name, **asdict(self.evaluation), **self.costs}


@dataclass(frozen=True)
class Job:
    """What is quantised, and what is known of it.

    Attributes
    ----------
    table
        As of :func:`quantize.tables.open_table`.
    layer
        ``embedding``; or ``qkv``: rows of the embedding and the first layer's queries, keys and values (smollm2).
    qkv
        Query, key and value projections of the first layer, each (outputs, n): keys of the same file, or names of
        tables. MiniLM and SmolLM2 have their own.
    frequencies
        File of one count a line, in token order; Zipf's law if left out.
    threshold
        That frequencies are clipped to in the paper's fine-tuning; the mean frequency if left out.
    seed
        Of a random table.
    text, windows
        Whose perplexity SmolLM2 has: ``wikipedia``, ``news`` or a file, and how many windows of it.
    """

    table: str = REAL_MODEL
    layer: str = "embedding"
    qkv: Sequence[str] = ()
    frequencies: Path | None = None
    threshold: float | None = None
    seed: int = 0
    text: str = "wikipedia"
    windows: int = WINDOWS

    def __post_init__(self) -> None:
        if self.layer not in LAYERS:
            raise ValueError(f"layer is {self.layer!r}; it must be one of {', '.join(LAYERS)}")
        if self.layer == "qkv" and self.table != LANGUAGE_MODEL:
            raise ValueError(
                f"layer qkv needs a model's first layer; table is {self.table!r}, {LANGUAGE_MODEL} has one"
            )
        if self.threshold is not None and self.threshold <= 0:
            raise ValueError(f"threshold is {self.threshold}; a frequency above 0 is needed")

    @cached_property
    def model(self) -> SentenceModel | LanguageModel | None:
        """The model that the table is part of, if it is at hand."""
        if self.table == LANGUAGE_MODEL:
            return LanguageModel(SmolLM2.load(), self.text, self.windows)
        return SentenceModel(MiniLM.load()) if self.table == REAL_MODEL else None

    @property
    def benchmark(self) -> Benchmark | None:
        """What the model makes of a table."""
        return None if self.model is None else self.model.benchmark

    def workbench(self, progress: Progress = silent) -> Workbench:
        """The table and what recipes want to know besides.

        Parameters
        ----------
        progress
            Called with the stage and the fraction of it that is done.

        Raises
        ------
        ValueError
            If something is missing or does not fit; the message says what.
        """
        source = open_table(self.table + (FIRST_LAYER if self.layer == "qkv" else ""), self.seed)
        counts = None if self.frequencies is None else read_frequencies(self.frequencies, source.rows)
        if self.layer == "qkv":  # its channels are not the model's: nothing else is known of them
            return Workbench.of(source, counts, progress=progress)
        given = _projection(self.table, self.qkv, source.channels) if self.qkv else None
        return Workbench.of(source, counts, given, progress, self.model, self.threshold)

    def settings(self) -> dict[str, Any]:
        """Everything that an evaluation depends on besides the recipe, for a journal."""
        return {name: str(value) for name, value in asdict(self).items()}


def quantize(
    table: Any = REAL_MODEL,
    recipe: str = "fastquery",
    *,
    layer: str = "embedding",
    qkv: Sequence[str] = (),
    frequencies: Path | None = None,
    threshold: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> PackedTable:
    """Quantise and pack a table for private queries; ``.save(path)`` makes the file that ``--table`` takes.

    Parameters
    ----------
    table, layer, qkv, frequencies, threshold, seed
        See :class:`Job`; a table may also be a path, or its rows and channels.
    recipe
        A name of :data:`quantize.recipes.RECIPES`.
    progress
        Called with the stage and the fraction of it that is done.

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
    return pack_for_query(recipe, Job(name_of(table), layer, qkv, frequencies, threshold, seed).workbench(progress))


def recipes(
    table: Any = REAL_MODEL,
    names: str | Iterable[str] | None = None,
    *,
    layer: str = "embedding",
    qkv: Sequence[str] = (),
    frequencies: Path | None = None,
    threshold: float | None = None,
    seed: int = 0,
    text: str = "wikipedia",
    windows: int = WINDOWS,
    protocol: str = "fastquery",
    tokens: int = 1,
    link: Any = "lan",
    machine: Machine | str | Path | None = None,
    journal: str | Path | None = None,
    progress: Progress = silent,
    **options: Any,
) -> pd.DataFrame:
    """Recipes side by side: bits and error of each, and the bytes and seconds of a query of its table.

    Parameters
    ----------
    table, layer, qkv, frequencies, threshold, seed, text, windows
        See :class:`Job`.
    names
        Of recipes; all that the table and what is known of it allow if left out.
    protocol, tokens, link, machine, options
        What queries are priced for, see :class:`Pricing`.
    journal
        File in which finished evaluations are kept; those that it has are not made again.
    progress
        Called with the stage and the fraction of it that is done.

    Returns
    -------
    DataFrame
        A row a recipe: the fields of :class:`quantize.comparison.Evaluation` (``cosine`` for MiniLM and
        ``perplexity`` for SmolLM2 only), ``up_bytes``, ``down_bytes``, ``setup_bytes``, ``server_s``, ``latency_s``.

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
    job = Job(name_of(table), layer, qkv, frequencies, threshold, seed, text, windows)
    pricing = Pricing(protocol, count("tokens", tokens), link_of(link), machine_of(machine), options)
    bench = job.workbench(progress)
    chosen = possible_recipes(bench) if names is None else [names] if isinstance(names, str) else list(names)
    kept = Journal(Path(journal), job.settings()) if journal else None
    evaluations = evaluate_recipes(
        chosen, bench, job.benchmark, kept.known if kept else None, kept.keep if kept else None
    )
    rows: list[dict[str, Any]] = []
    refusal: ValueError | None = None
    for k, evaluation in enumerate(evaluations):
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
    """Names of all recipes whose needs are met."""
    return [name for name, recipe in RECIPES.items() if bench.has(recipe.needs)]


def apply(
    recipe: str,
    bench: Workbench,
    benchmark: Benchmark | None = None,
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


def _projection(table: str, keys: Sequence[str], channels: int) -> NDArray[np.float32]:
    found = split_name(table)
    parts = []
    for key in keys:
        if split_name(key) is not None:
            part = open_table(key)
        elif found is None:
            raise ValueError(f"qkv: {key!r} is in no file, as table {table!r} is none; write FILE.safetensors:KEY")
        else:
            part = tensors_of(table, found[0]).named(key)
        if part.channels != channels:
            raise ValueError(
                f"qkv: {key!r} is {part.rows}x{part.channels}; a projection of this table is (outputs, {channels})"
            )
        parts.append(part.read(0, part.rows).T)
    return np.ascontiguousarray(np.concatenate(parts, axis=1))
