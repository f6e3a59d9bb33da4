"""Frames about real tables: quantisation error against cost, channel magnitudes, token frequencies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from costmodel.estimate import estimate
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Table
from costmodel.systems import executed
from fastquery.figures.designs import described, link_text, machine_text
from fastquery.figures.inputs import Inputs
from fastquery.figures.named import NamedFigure
from fastquery.tables import table_of
from quantize import open_table
from quantize.comparison import evaluate
from quantize.frequencies import table_frequencies
from quantize.minilm import MiniLM
from quantize.perplexity import perplexity_ratio
from quantize.sentences import SENTENCES
from quantize.tables import TableSource
from quantize.workbench import Workbench
from validate.recipes import FLOAT, measured_losses, measured_recipes

REAL_TABLE = "minilm"
COMPARED_RECIPES = (
    "int3", "int4", "int6", "fastquery", "5-3-2", "6-2-2", "fitted", "half-integer-free", "int4-fitted", "hadamard",
    "hadamard-ten-levels", "eleven-levels", "four-channels",
)  # fmt: skip
"""Recipes that a query can decode and that need nothing but the table."""

PERPLEXITY_RECIPES = (
    *COMPARED_RECIPES, "int4-free", "ten-levels", "normalised", "hadamard-shift", "finetuned-qkv",
    "least-squares-output", "half-integer-least-squares-output", "hadamard-least-squares-output",
)  # fmt: skip
"""Recipes that a query can decode, those included that need a model."""

SALIENT_SHARE = 1 / 3
TOP_TOKENS = 500


def quantization_frame(
    name: str = REAL_TABLE,
    link: Link = PRESETS["wan"],
    machine: Machine | None = None,
    recipes: Iterable[str] = COMPARED_RECIPES,
) -> pd.DataFrame:
    """What recipes lose on a table, beside the bytes and the latency of a lookup in what they pack.

    What they lose on the real table of MiniLM was measured before, with the cosine of sentence embeddings to those of
    the float model; on any other table they are evaluated.

    Returns
    -------
    DataFrame
        Columns ``recipe``, ``weighted_error``, ``cosine`` (MiniLM alone), ``bytes``, ``latency_s``,
        ``channels_per_coefficient``.
    """
    profile = machine or default_machine()
    measured = measured_recipes().loc[list(recipes)] if name == REAL_TABLE else _evaluated(name, recipes)
    costs = [
        lookup_cost(*sizes, link, profile)
        for sizes in zip(measured["rows"], measured["coefficients"], measured["plaintext_modulus"], strict=True)
    ]
    known = [column for column in ("weighted_error", "cosine", "channels_per_coefficient") if column in measured]
    frame = measured[known].reset_index(names="recipe")
    frame["bytes"], frame["latency_s"] = zip(*costs, strict=True)
    shape = table_of(name, 1)
    accuracy = f"Cosine: {len(SENTENCES)} sentences through the model. " if "cosine" in measured else ""
    return described(
        frame,
        f"What quantisation loses and saves: {name}, {shape.rows} x {shape.channels}",
        f"Lookup: this project's FastQuery with 40 bits of flooding, ring and wire chosen for the recipe's plaintext "
        f"modulus; link {link_text(link)}. Error: behind the first projections, by token frequency. {accuracy}".strip(),
        machine_text(profile),
    )


def perplexity_frame(link: Link = PRESETS["wan"], machine: Machine | None = None) -> pd.DataFrame:
    """What recipes lose on two real models, beside the bytes of a lookup in what they pack.

    Returns
    -------
    DataFrame
        Columns ``recipe``, ``channels_per_coefficient``, ``bytes`` and ``perplexity`` with ``perplexity_low`` and
        ``perplexity_high`` over that of the float table, of SmolLM2; ``sentence_bytes`` and ``sentence_loss``
        (1 - cosine) of MiniLM.
    """
    profile = machine or default_machine()
    names = [name for name in PERPLEXITY_RECIPES if name in measured_recipes("smollm2").index]
    language, sentences = (measured_recipes(table).loc[names] for table in ("smollm2", "minilm"))
    losses = measured_losses()
    rows = []
    for name in names:
        sizes = [
            (frame["rows"][name], frame["coefficients"][name], frame["plaintext_modulus"][name])
            for frame in (language, sentences)
        ]
        ratio = perplexity_ratio(losses[name], losses[FLOAT])
        costs = [lookup_cost(*size, link, profile)[0] for size in sizes]
        channels = language["channels_per_coefficient"][name]
        rows.append((name, channels, costs[0], *ratio, costs[1], 1 - sentences["cosine"][name]))
    columns = ("recipe", "channels_per_coefficient", "bytes", "perplexity", "perplexity_low", "perplexity_high",
               "sentence_bytes", "sentence_loss")  # fmt: skip
    return described(
        pd.DataFrame(rows, columns=list(columns)),
        "What recipes lose on a language model and on a sentence encoder",
        f"Left: SmolLM2-135M on {len(losses)} windows of Wikipedia, perplexity over the float table's, with 95 % "
        f"intervals by the bootstrap over windows. Right: MiniLM on {len(SENTENCES)} sentences. Lookup: this project's "
        f"FastQuery with 40 bits of flooding; link {link_text(link)}.",
        machine_text(profile),
    )


def perplexity(inputs: Inputs) -> pd.DataFrame:
    """:func:`perplexity_frame` of what is named."""
    return perplexity_frame(inputs.on("wan"), inputs.machine)


def _evaluated(name: str, recipes: Iterable[str]) -> pd.DataFrame:
    """Recipes on a table, in the columns of :func:`validate.recipes.measured_recipes` without the cosine."""
    bench = Workbench.of(open_table(name))
    found = {recipe: evaluate(recipe, bench) for recipe in recipes}
    columns = ("weighted_error", "channels_per_coefficient", "rows", "coefficients", "plaintext_modulus")
    return pd.DataFrame(
        {column: [getattr(one, column) for one in found.values()] for column in columns}, index=list(found)
    )


def lookup_cost(
    rows: int, coefficients: int, plaintext_modulus: int, link: Link, machine: Machine
) -> tuple[float, float]:
    """Bytes and latency of a lookup in what a recipe packs: its coefficients as channels of all bits of its modulus."""
    bits = (int(plaintext_modulus) - 1).bit_length()
    chosen = executed("fastquery", Table(int(rows), int(coefficients)), widths=(bits - 1,))
    result = estimate(chosen, link, machine)
    return result.up_bytes + result.down_bytes, result.latency_s


def figure_7_frame(source: TableSource) -> pd.DataFrame:
    """Mean absolute value of every channel of a table, the largest third marked.

    Returns
    -------
    DataFrame
        Columns ``channel``, ``mean_magnitude``, ``salient``.
    """
    total = np.zeros(source.channels)
    for _, values in source.blocks(1 << 24):
        total += np.abs(values).sum(axis=0, dtype=np.float64)
    magnitude = total / source.rows
    salient = np.zeros(source.channels, dtype=bool)
    salient[np.argsort(-magnitude, kind="stable")[: round(source.channels * SALIENT_SHARE)]] = True
    frame = pd.DataFrame({"channel": np.arange(source.channels), "mean_magnitude": magnitude, "salient": salient})
    drawn = "random values" if source.provenance.get("kind") == "random" else "its real values"
    return described(
        frame,
        f"Figure 7: magnitudes of the channels of {source.name}",
        f"Table: {source.name}, {source.rows} x {source.channels}, {drawn}. Salient is the third with the largest mean "
        "absolute value, which FastQuery quantises to 4 bits, the others to 3. "
        f"Largest over smallest: {magnitude.max() / magnitude.min():.3g}; over the median: "
        f"{magnitude.max() / np.median(magnitude):.3g}.",
    )


def figure_8_frame(model: MiniLM, top: int = TOP_TOKENS) -> pd.DataFrame:
    """Frequencies of the most frequent tokens: counted in the sentences that recipes are compared on, and assumed.

    Returns
    -------
    DataFrame
        Columns ``origin``, ``rank``, ``frequency``.
    """
    batch = model.tokenize(SENTENCES)
    last = np.cumsum(batch.lengths) - 1
    inner = np.ones(len(batch.ids), dtype=bool)
    inner[last] = inner[last - batch.lengths + 1] = False
    rows = len(model.word_embeddings)
    counted = np.bincount(batch.ids[inner], minlength=rows) / inner.sum()
    frames = []
    for origin, frequencies in (
        (f"counted: {len(SENTENCES)} sentences, {int(inner.sum()):,} tokens", counted),
        ("assumed where nothing is counted: Zipf-Mandelbrot", table_frequencies(REAL_TABLE, rows)),
    ):
        ranked = np.sort(frequencies)[::-1][:top]
        ranked = ranked[ranked > 0]
        frames.append(pd.DataFrame({"origin": origin, "rank": np.arange(1, len(ranked) + 1), "frequency": ranked}))
    share = np.sort(counted)[::-1][:10].sum()
    return described(
        pd.concat(frames, ignore_index=True),
        f"Figure 8: frequencies of the {top} most frequent tokens",
        f"MiniLM's tokeniser ({rows} tokens) on this project's fixed English sentences, the special tokens at their "
        f"ends left out; the ten most frequent tokens are {100 * share:.0f} % of all. The paper counts WikiText-103.",
    )


def quantization(inputs: Inputs) -> pd.DataFrame:
    """:func:`quantization_frame` of what is named."""
    return quantization_frame(inputs.table or REAL_TABLE, inputs.on("wan"), inputs.machine)


def figure_7(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_7_frame` of what is named."""
    return figure_7_frame(open_table(inputs.table or REAL_TABLE))


def figure_8(inputs: Inputs) -> pd.DataFrame:
    """:func:`figure_8_frame`; the tokeniser is MiniLM's."""
    return figure_8_frame(MiniLM.load())


FIGURES = (
    NamedFigure(
        "figure-7",
        "The paper's Figure 7 on a real table: how uneven the channels are. The more uneven, the more is gained by "
        "giving the largest third a wider field.",
        figure_7,
        "tables",
    ),
    NamedFigure(
        "figure-8",
        "The paper's Figure 8: how few tokens make up most of a text, beside Zipf's law, which weighs quantisation "
        "errors where no counts are given.",
        figure_8,
        "tables",
    ),
    NamedFigure(
        "quantization",
        "What recipes lose in accuracy against what they cost in bytes and latency. Recipes off the line are beaten by "
        "another that is no worse in either.",
        quantization,
        "quantization",
    ),
    NamedFigure(
        "perplexity",
        "What recipes lose on a small Llama, as perplexity on real text, and on a sentence encoder, against the bytes "
        "of a query. What helps one model need not help the other.",
        perplexity,
        "quantization",
    ),
)
