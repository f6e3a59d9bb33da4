"""Named ways to quantise a table, each with what it rests on and whether a private query can decode it.

A query returns shares of the coefficients. What turns a packed row into an embedding has to be a public
linear map, so that each party applies it to its share: offsets, channel order, one scale a channel and the
Hadamard transform are; a basis or a scale that depends on the table's rows is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from quantize.codebook import fibonacci_levels, power_of_two_levels, quantize_codebook
from quantize.finetune import Levels, gradient_descent, integer_least_squares
from quantize.merging import quantize_merged
from quantize.metric import Matrix, with_identity
from quantize.packed import PackedTable
from quantize.private import principal_components, quantize_by_rows, quantize_rotated
from quantize.proxies import Criterion
from quantize.quantizers import Quantizer, channel_errors, quantize
from quantize.scales import Floats, ScaleKind
from quantize.transforms import Hadamard
from quantize.workbench import Need, QuantizedTable, Workbench

MERGE_TOLERANCE: Final = 0.5
IDENTITY_WEIGHT: Final = 1.0

_FASTQUERY = Quantizer((16, 8, 8))
_BEST = Quantizer((16, 8, 8), "error", "free", "squared-error", half_integer=True)
_ROTATED = "the rotation depends on the table: it would have to be applied in secret, for one product a query"
_TOKEN_SCALE = "a row's own scale is public and tells which token was looked up"


@dataclass(frozen=True)
class Recipe:
    """One way to quantise a table.

    Attributes
    ----------
    name, summary, source : str
        The source is where the idea comes from.
    build : callable
        From a `Workbench` and the recipe's name to a quantised table.
    obstacle : str or None
        Why shares cannot be decoded; None where a public linear map decodes them.
    base : str or None
        Recipe that this one starts from and is to be compared with.
    needs : {"table", "projection", "model", "gradients"}
        What has to be known: the table alone; the query, key and value projections of the first layer; the model; or
        its gradients, for which JAX has to be installed.
    """

    name: str
    summary: str
    source: str
    build: Callable[[Workbench, str], QuantizedTable]
    obstacle: str | None = None
    base: str | None = None
    needs: Need = "table"

    @property
    def query_decodable(self) -> bool:
        """Whether a private query can use it."""
        return self.obstacle is None


def recipe_named(name: str) -> Recipe:
    """A recipe of the registry.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists them.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe: {name!r} is unknown; valid are {', '.join(RECIPES)}")
    return RECIPES[name]


def pack_for_query(name: str, workbench: Workbench) -> PackedTable:
    """Quantise and pack a table by a recipe, for private queries.

    Raises
    ------
    ValueError
        If the recipe is unknown or cannot be decoded on shares, or the table does not fit it.
    """
    recipe = recipe_named(name)
    if recipe.obstacle is not None:
        raise ValueError(f"recipe {name!r} is refused for a private query: {recipe.obstacle}")
    table = recipe.build(workbench, name)
    if not isinstance(table, PackedTable):
        raise TypeError(f"recipe {name!r} says that it packs and does not")
    return table


def _uniform(quantizer: Quantizer) -> Callable[[Workbench, str], PackedTable]:
    def build(bench: Workbench, name: str) -> PackedTable:
        return quantize(bench.source, quantizer, name, bench.frequencies, progress=bench.progress)

    return build


def _hadamard(quantizer: Quantizer) -> Callable[[Workbench, str], PackedTable]:
    def build(bench: Workbench, name: str) -> PackedTable:
        rotated = replace(quantizer, transform=Hadamard.for_channels(bench.source.channels))
        return _uniform(rotated)(bench, name)

    return build


def _by_criterion(quantizer: Quantizer, criterion: Criterion) -> Callable[[Workbench, str], QuantizedTable]:
    def build(bench: Workbench, name: str) -> QuantizedTable:
        scores = bench.criterion(criterion, name, min(quantizer.field_levels))
        return quantize(bench.source, quantizer, name, bench.frequencies, scores, bench.progress)

    return build


def _by_output(quantizer: Quantizer) -> Callable[[Workbench, str], QuantizedTable]:
    def build(bench: Workbench, name: str) -> QuantizedTable:
        costs = np.diag(bench.output_metric(name)).astype(np.float64)
        scores = costs * channel_errors(bench.source, quantizer, bench.frequencies)
        return quantize(bench.source, quantizer, name, bench.frequencies, scores, bench.progress)

    return build


def _paper_fine_tuning(bench: Workbench, name: str) -> QuantizedTable:
    metric = bench.metric(name)
    table = quantize(bench.source, _FASTQUERY, name, bench.frequencies, progress=bench.progress)
    return gradient_descent(
        bench.source, table, metric, bench.frequencies, threshold=bench.threshold, progress=bench.progress
    ).table


def _stream_metric(bench: Workbench, name: str) -> Matrix:
    return with_identity(bench.metric(name), IDENTITY_WEIGHT)


def _least_squares(
    base: Callable[[Workbench, str], PackedTable], metric: Callable[[Workbench, str], Matrix]
) -> Callable[[Workbench, str], PackedTable]:
    def build(bench: Workbench, name: str) -> PackedTable:
        known = metric(bench, name)
        table = base(bench, name)
        return integer_least_squares(bench.source, table, known, bench.frequencies, bench.progress).table

    return build


def _per_token(bench: Workbench, name: str) -> QuantizedTable:
    return quantize_by_rows(bench.source, 8, 3, name)


def _codebook(levels: Levels, kind: ScaleKind) -> Callable[[Workbench, str], QuantizedTable]:
    def build(bench: Workbench, name: str) -> QuantizedTable:
        return quantize_codebook(bench.source, levels, 3, kind, name, bench.frequencies)

    return build


def _hadamard_by_shifts(bench: Workbench, name: str) -> QuantizedTable:
    transform = Hadamard.by_shifts(bench.source.channels)
    return _uniform(replace(_BEST, scales="power-of-two", transform=transform))(bench, name)


def _principal(bench: Workbench, name: str) -> QuantizedTable:
    # The commonest tokens alone would span the first components; square roots let the others have a say.
    weights = _root(bench.frequencies)
    basis = principal_components(bench.source, weights)
    return quantize_rotated(bench.source, basis, _BEST, name, weights)


def _low_rank(bench: Workbench, name: str) -> QuantizedTable:
    weights = _root(bench.frequencies)
    kept = max(2, 2 * bench.source.channels // 3)
    basis = np.ascontiguousarray(principal_components(bench.source, weights)[:, :kept])
    return quantize_rotated(bench.source, basis, replace(_BEST, field_levels=(64, 32)), name, weights)


def _merged(bench: Workbench, name: str) -> QuantizedTable:
    return quantize_merged(bench.source, _BEST, name, bench.frequencies, MERGE_TOLERANCE)


def _root(frequencies: Floats) -> Floats:
    root = np.sqrt(frequencies)
    return np.asarray(root / root.sum())


def _mixed_precision() -> Iterator[Recipe]:
    criteria: tuple[Criterion, ...] = ("gradient", "hessian", "gradient-magnitude")
    groups = {"fastquery": (16, 8, 8), "5-3-2": (32, 8, 4), "6-2-2": (64, 4, 4)}
    for group, levels in groups.items():
        widths = ", ".join(str(count.bit_length() - 1) for count in levels)
        quantizer = replace(_FASTQUERY, field_levels=levels)
        text = f"widths ({widths})"
        table = "FastQuery (DAC 2024), tables 4 and 5"
        yield Recipe(group, f"{text}, wide where the mean magnitude is largest", table, _uniform(quantizer))
        shuffled = replace(quantizer, saliency="random")
        yield Recipe(f"{group}-random", f"{text}, wide at random", table, _uniform(shuffled))
        for criterion in criteria:
            summary = f"{text}, wide where the mean {criterion} is largest"
            build = _by_criterion(quantizer, criterion)
            yield Recipe(f"{group}-{criterion}", summary, table, build, needs="projection")


def _registry() -> Iterator[Recipe]:
    paper = "FastQuery (DAC 2024)"
    yield Recipe(
        "int3-tensor",
        "3 bits, one scale for the table",
        f"{paper}, table 2",
        _uniform(Quantizer((8, 8, 8), granularity="tensor")),
    )
    yield Recipe("int3-token", "3 bits, one scale a row", f"{paper}, table 2", _per_token, _TOKEN_SCALE)
    yield Recipe("int3", "3 bits, one scale a channel", f"{paper}, tables 2, 3", _uniform(Quantizer((8, 8, 8))))
    yield Recipe("int4", "4 bits, two channels a coefficient", f"{paper}, table 3", _uniform(Quantizer((16, 16))))
    yield Recipe("int6", "6 bits, one channel a coefficient", f"{paper}, section 1", _uniform(Quantizer((64,))))
    for levels in ((8, 8, 8), (16, 16)):
        bits = levels[0].bit_length() - 1
        yield Recipe(
            f"int{bits}-free",
            f"int{bits} with scales that are not rounded to powers of two",
            f"{paper}, section 5.1, which rounds them",
            _uniform(Quantizer(levels, scales="free")),
            base=f"int{bits}",
        )
    yield from _mixed_precision()
    yield Recipe(
        "fitted",
        "(4, 3, 3), power-of-two scales of least weighted squared error",
        "this project",
        _uniform(replace(_FASTQUERY, fit="squared-error")),
        base="fastquery",
    )
    yield Recipe(
        "half-integer",
        "fitted, half-integer levels, wide where it saves most error",
        "this project",
        _uniform(replace(_BEST, scales="power-of-two")),
        base="fitted",
    )
    yield Recipe(
        "half-integer-free", "half-integer with free scales", "this project", _uniform(_BEST), base="half-integer"
    )
    yield Recipe(
        "int4-fitted",
        "4 bits, two channels a coefficient, half-integer, free scales",
        "this project",
        _uniform(replace(_BEST, field_levels=(16, 16))),
        base="int4",
    )
    yield Recipe(
        "hadamard",
        "half-integer-free after a Hadamard transform",
        "Xi et al., Training Transformers with 4-bit Integers (2023)",
        _hadamard(_BEST),
        base="half-integer-free",
    )
    yield Recipe(
        "ten-levels",
        "three equal channels of 10 levels in mixed radix (t = 8000)",
        "this project",
        _uniform(replace(_BEST, field_levels=(10, 10, 10))),
        base="half-integer-free",
    )
    yield Recipe(
        "hadamard-ten-levels",
        "ten-levels after a Hadamard transform",
        "this project",
        _hadamard(replace(_BEST, field_levels=(10, 10, 10))),
        base="hadamard",
    )
    yield Recipe(
        "four-channels",
        "four channels (3, 2, 2, 2) in 13 bits",
        f"{paper}, section 4.3, which rules it out",
        _uniform(replace(_BEST, field_levels=(8, 4, 4, 4))),
        base="half-integer-free",
    )
    yield Recipe(
        "selective",
        "round to nearest, one channel in six at 4 bits and the others at 3 (25 bits)",
        "Is (Selective) Round-To-Nearest Quantization All You Need? (2025)",
        _uniform(replace(_BEST, field_levels=(16, 8, 8, 8, 8, 8))),
        base="half-integer-free",
    )
    yield Recipe(
        "fibonacci",
        "levels 0, 1, 2, 3, 5 with signs; a field holds their range (t = 10648)",
        "Fiandaca, Gomony, Fibbinary-Based Compression and Quantization",
        _codebook(fibonacci_levels(5), "free"),
        base="half-integer-free",
    )
    yield Recipe(
        "eleven-levels",
        "the range of fibonacci with every integer of it",
        "this project",
        _uniform(replace(_BEST, field_levels=(11, 11, 11), half_integer=False)),
        base="fibonacci",
    )
    yield Recipe(
        "merged",
        f"half-integer-free with rows merged that differ by less than {MERGE_TOLERANCE:g} of their length",
        "Liu et al., MiniCache (2024)",
        _merged,
        base="half-integer-free",
    )
    yield Recipe("pca", "principal components, (4, 3, 3)", "Yu et al., GradiVeQ (2018)", _principal, _ROTATED)
    yield Recipe("low-rank", "two thirds of the principal components, (6, 5)", "this project", _low_rank, _ROTATED)
    yield Recipe(
        "shift-levels",
        "levels 0, 1, 2, 4 with signs and power-of-two scales: dequantised by shifts (t = 5832)",
        "Mazher et al., QuantX (2025)",
        _codebook(power_of_two_levels(4), "power-of-two"),
        base="fitted",
    )
    yield Recipe(
        "nine-levels",
        "the range of shift-levels with every integer of it, power-of-two scales",
        "this project",
        _uniform(replace(_BEST, field_levels=(9, 9, 9), half_integer=False, scales="power-of-two")),
        base="shift-levels",
    )
    yield Recipe(
        "hadamard-shift",
        "half-integer after a Hadamard transform on blocks of a power of four: dequantised by additions and shifts",
        "Mazher et al., QuantX (2025); Xi et al. (2023)",
        _hadamard_by_shifts,
        base="half-integer",
    )
    yield Recipe(
        "normalised",
        "half-integer, channels divided by their deviation and quantised alike",
        "Hou et al., Normalization Helps Training of Quantized LSTM (2019)",
        _uniform(replace(_BEST, fit="deviation")),
        base="half-integer-free",
    )
    yield Recipe(
        "half-integer-output",
        "half-integer-free, wide where it saves most error at the model's output",
        "this project",
        _by_output(_BEST),
        needs="gradients",
        base="half-integer-free",
    )
    yield Recipe(
        "finetuned-qkv",
        "fastquery and the paper's fine-tuning",
        f"{paper}, section 4.3",
        _paper_fine_tuning,
        needs="projection",
        base="fastquery",
    )
    yield Recipe(
        "least-squares",
        "fastquery and integer least squares of the paper's loss with the identity added",
        "Frantar et al., GPTQ (2022); Babai (1986)",
        _least_squares(_uniform(_FASTQUERY), _stream_metric),
        needs="projection",
        base="fastquery",
    )
    yield Recipe(
        "least-squares-norm",
        "fastquery and integer least squares behind the first normalisation",
        "this project",
        _least_squares(_uniform(_FASTQUERY), Workbench.norm_metric),
        needs="model",
        base="fastquery",
    )
    yield Recipe(
        "least-squares-output",
        "fastquery and integer least squares at the model's output",
        "this project",
        _least_squares(_uniform(_FASTQUERY), Workbench.output_metric),
        needs="gradients",
        base="fastquery",
    )
    yield Recipe(
        "half-integer-least-squares-output",
        "half-integer-free and integer least squares at the model's output",
        "this project",
        _least_squares(_uniform(_BEST), Workbench.output_metric),
        needs="gradients",
        base="half-integer-free",
    )
    yield Recipe(
        "hadamard-least-squares-output",
        "hadamard-ten-levels and integer least squares at the model's output",
        "this project",
        _least_squares(_hadamard(replace(_BEST, field_levels=(10, 10, 10))), Workbench.output_metric),
        needs="gradients",
        base="hadamard-ten-levels",
    )


RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in _registry()}
