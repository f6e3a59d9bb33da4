"""Recipes side by side: what each makes of a table, and the figures that a cost model needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import log2, prod

from quantize.evaluate import SentenceBenchmark, weighted_error
from quantize.recipes import recipe_named
from quantize.workbench import QuantizedTable, Workbench


@dataclass(frozen=True)
class Evaluation:
    """A recipe on a table.

    Attributes
    ----------
    name, summary : str
    bits : float
        Mean ``log2`` of the levels of a channel.
    channels_per_coefficient, coefficients, plaintext_modulus : int
        Of a packed row.
    rows, channels, field_levels
        Of the packed table; with them a cost model prices a query.
    query_decodable : bool
    weighted_error : float
        `quantize.evaluate.weighted_error`.
    cosine : float or None
        Mean cosine of sentence embeddings to the float model's, for MiniLM's table.
    note : str
        The obstacle to a query, or the comparison with the recipe that this one starts from.
    """

    name: str
    summary: str
    bits: float
    channels_per_coefficient: int
    coefficients: int
    plaintext_modulus: int
    rows: int
    channels: int
    field_levels: tuple[int, ...]
    query_decodable: bool
    weighted_error: float
    cosine: float | None
    note: str


def evaluate(name: str, workbench: Workbench, benchmark: SentenceBenchmark | None = None) -> Evaluation:
    """Apply a recipe and measure what it does, query-decodable or not.

    Parameters
    ----------
    name : str
    workbench : Workbench
    benchmark : SentenceBenchmark, optional
        Sentences for the real model, if the table is its own.
    """
    return measure(name, recipe_named(name).build(workbench, name), workbench, benchmark)


def measure(
    name: str, table: QuantizedTable, workbench: Workbench, benchmark: SentenceBenchmark | None = None
) -> Evaluation:
    """The same of the table that a recipe has made of the workbench's."""
    recipe, public = recipe_named(name), table.public
    metric = None if workbench.projection is None else workbench.metric(name)
    return Evaluation(
        name=name,
        summary=recipe.summary,
        bits=log2(prod(public.field_levels)) / len(public.field_levels),
        channels_per_coefficient=len(public.field_levels),
        coefficients=public.coefficients,
        plaintext_modulus=public.plaintext_modulus,
        rows=public.rows,
        channels=public.channels,
        field_levels=public.field_levels,
        query_decodable=recipe.query_decodable,
        weighted_error=weighted_error(workbench.source, table.embeddings, workbench.frequencies, metric),
        cosine=None if benchmark is None else float(benchmark.cosines(table.embeddings).mean()),
        note=recipe.obstacle or "",
    )


def evaluate_recipes(
    names: Iterable[str], workbench: Workbench, benchmark: SentenceBenchmark | None = None
) -> Iterator[Evaluation]:
    """Evaluate recipes one by one.

    The note of one that starts from another compares the two, and says so where the model gets worse. A base
    that is not among the names is evaluated for that.
    """
    done: dict[str, Evaluation] = {}

    def known(name: str) -> Evaluation:
        if name not in done:
            done[name] = evaluate(name, workbench, benchmark)
        return done[name]

    for name in names:
        base = recipe_named(name).base
        result = known(name)
        yield result if base is None else compared(result, known(base))


def compared(result: Evaluation, base: Evaluation) -> Evaluation:
    """An evaluation whose note compares it with the recipe that it starts from."""
    error = f"error {base.weighted_error:.4f} to {result.weighted_error:.4f}"
    if result.cosine is None or base.cosine is None:
        return replace(result, note=f"from {base.name}: {error}")
    verdict = "worse" if result.cosine < base.cosine else "no worse"
    cosine = f"cosine {base.cosine:.4f} to {result.cosine:.4f}"
    return replace(result, note=f"from {base.name}: {error}, {cosine}: {verdict}")
