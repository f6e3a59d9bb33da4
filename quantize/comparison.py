"""Recipes side by side: what each makes of a table, and the figures that a cost model needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import log2, prod

from quantize.evaluate import SentenceBenchmark, weighted_error
from quantize.perplexity import PerplexityBenchmark, perplexity, perplexity_ratio
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
    perplexity, perplexity_low, perplexity_high : float or None
        Of a language model on a text, with the bounds of `quantize.perplexity.perplexity`.
    over_float : float or None
        Perplexity over that with the float table.
    window_losses : tuple of float
        Mean loss of each window of the text; with them two recipes are compared window by window.
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
    perplexity: float | None
    perplexity_low: float | None
    perplexity_high: float | None
    over_float: float | None
    window_losses: tuple[float, ...] = field(repr=False)
    note: str


Benchmark = SentenceBenchmark | PerplexityBenchmark


def evaluate(name: str, workbench: Workbench, benchmark: Benchmark | None = None) -> Evaluation:
    """Apply a recipe and measure what it does, query-decodable or not.

    Parameters
    ----------
    name : str
    workbench : Workbench
    benchmark : SentenceBenchmark or PerplexityBenchmark, optional
        Of the model that the table is part of.
    """
    return measure(name, recipe_named(name).build(workbench, name), workbench, benchmark)


def measure(name: str, table: QuantizedTable, workbench: Workbench, benchmark: Benchmark | None = None) -> Evaluation:
    """The same of the table that a recipe has made of the workbench's."""
    recipe, public = recipe_named(name), table.public
    metric = None if workbench.projection is None else workbench.metric(name)
    cosine, over_float, losses = None, None, ()
    if isinstance(benchmark, SentenceBenchmark):
        cosine = float(benchmark.cosines(table.embeddings).mean())
    elif benchmark is not None:
        found = benchmark.losses(table.embeddings, lambda done: workbench.progress("perplexity", done))
        losses = tuple(found.tolist())
        over_float = perplexity_ratio(losses, benchmark.float_losses).value
    interval = perplexity(losses) if losses else (None, None, None)
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
        cosine=cosine,
        perplexity=interval[0],
        perplexity_low=interval[1],
        perplexity_high=interval[2],
        over_float=over_float,
        window_losses=losses,
        note=recipe.obstacle or "",
    )


def evaluate_recipes(
    names: Iterable[str],
    workbench: Workbench,
    benchmark: Benchmark | None = None,
    known: Mapping[str, Evaluation] | None = None,
    keep: Callable[[Evaluation], None] | None = None,
) -> Iterator[Evaluation]:
    """Evaluate recipes one by one.

    The note of one that starts from another compares the two, and says so where the model gets worse. A base
    that is not among the names is evaluated for that.

    Parameters
    ----------
    names : iterable of str
    workbench, benchmark
        As of `evaluate`.
    known : mapping, optional
        Evaluations that were made before, by name; they are not made again.
    keep : callable, optional
        Told every evaluation as soon as it is made.
    """
    done = dict(known or {})

    def found(name: str) -> Evaluation:
        if name not in done:
            done[name] = evaluate(name, workbench, benchmark)
            if keep:
                keep(done[name])
        return done[name]

    for name in names:
        base = recipe_named(name).base
        result = found(name)
        yield result if base is None else compared(result, found(base))


def compared(result: Evaluation, base: Evaluation) -> Evaluation:
    """An evaluation whose note compares it with the recipe that it starts from."""
    note = f"from {base.name}: error {base.weighted_error:.4f} to {result.weighted_error:.4f}"
    if result.cosine is not None and base.cosine is not None:
        verdict = "worse" if result.cosine < base.cosine else "no worse"
        note += f", cosine {base.cosine:.4f} to {result.cosine:.4f}: {verdict}"
    if result.perplexity is not None and base.perplexity is not None:
        ratio = perplexity_ratio(result.window_losses, base.window_losses)
        verdict = "worse" if ratio.low > 1 else "better" if ratio.high < 1 else "no difference shown"
        note += f", perplexity {base.perplexity:.2f} to {result.perplexity:.2f}: {verdict}"
    return replace(result, note=note)
