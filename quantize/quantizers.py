"""Symmetric uniform quantisation of a table, streamed by rows, into packed coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from quantize.frequencies import normalised_frequencies, table_frequencies
from quantize.packed import PackedTable
from quantize.packing import (
    UnsignedArray,
    field_moduli_of_levels,
    levels_of_widths,
    pack,
    packed_modulus,
    unsigned_dtype,
)
from quantize.public import MAX_SCALE, PublicTable
from quantize.saliency import channel_order
from quantize.scales import (
    Fit,
    Floats,
    Granularity,
    ScaleKind,
    absmax_scales,
    deviation_scales,
    fitted_scales,
    level_bounds,
    power_of_two,
    require_rules,
    squared_errors,
)
from quantize.sources import TableSource
from quantize.transforms import IDENTITY, Transform

Saliency = Literal["magnitude", "random", "error"]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Quantizer:
    """How the channels of a coefficient are quantised.

    Attributes
    ----------
    field_levels : tuple of int
        Levels of each field, lowest first; (16, 8, 8) are the widths (4, 3, 3), (10, 10, 10) is mixed radix.
    saliency : {"magnitude", "random", "error"}
        Mean absolute value; a seeded shuffle; or the weighted squared error that the wider field saves.
    scales : {"power-of-two", "free"}
    fit : {"absmax", "squared-error", "deviation"}
    half_integer : bool
        Levels stand for ``scale * (q + 1/2)``: symmetric, with no zero.
    granularity : {"channel", "tensor"}
        One scale a channel, or one for all channels of equal levels.
    transform : Identity or Hadamard
        Applied before quantising.
    seed : int
        Of the random saliency.
    """

    field_levels: tuple[int, ...] = (16, 8, 8)
    saliency: Saliency = "magnitude"
    scales: ScaleKind = "power-of-two"
    fit: Fit = "absmax"
    half_integer: bool = False
    granularity: Granularity = "channel"
    transform: Transform = IDENTITY
    seed: int = 0

    def __post_init__(self) -> None:
        packed_modulus(field_moduli_of_levels(self.field_levels))
        require_rules(self.scales, self.fit, self.granularity)
        if self.saliency not in get_args(Saliency):
            raise ValueError(f"saliency: {self.saliency!r} is unknown; valid are {', '.join(get_args(Saliency))}")
        if self.half_integer and any(levels % 2 for levels in self.field_levels):
            raise ValueError(f"half_integer: fields of {self.field_levels} levels; even numbers are needed")


@dataclass(frozen=True)
class ChannelStatistics:
    """Largest and mean magnitude and root mean square of each channel (transformed), shapes (n,)."""

    absmax: Floats
    mean_magnitude: Floats
    deviation: Floats


def channel_statistics(source: TableSource, transform: Transform, progress: Progress) -> ChannelStatistics:
    """One pass over the table for what scales and the magnitude saliency need.

    Raises
    ------
    ValueError
        If a channel holds a weight that no scale reaches.
    """
    absmax, total, squares = np.zeros((3, source.channels))
    for start, rows in source.blocks():
        magnitudes = np.abs(transform.apply(rows))
        np.maximum(absmax, magnitudes.max(axis=0), out=absmax)
        total += magnitudes.sum(axis=0, dtype=np.float64)
        squares += np.square(magnitudes, dtype=np.float64).sum(axis=0)
        progress("statistics", (start + len(rows)) / source.rows)
    if absmax.max() > MAX_SCALE:
        channel = int(absmax.argmax())
        raise ValueError(
            f"table {source.name!r}: channel {channel} holds a weight of magnitude {absmax[channel]:.3g}; "
            f"valid are magnitudes up to {MAX_SCALE:.3g}"
        )
    return ChannelStatistics(absmax, total / source.rows, np.sqrt(squares / source.rows))


def quantize_levels(
    rows: NDArray[np.float32], scales: Floats, levels: NDArray[np.int64], half_integer: bool
) -> NDArray[np.int32]:
    """Round to nearest: ``q = clip(round(w / scale), -floor(L/2), L - 1 - floor(L/2))``.

    With half-integer levels ``round(w / scale - 1/2)``. Scales and levels are by channel, shape (n,).
    """
    low, high = level_bounds(levels)
    quotient = rows * (1 / scales).astype(np.float32)
    if half_integer:
        quotient -= np.float32(0.5)
    np.rint(quotient, out=quotient)
    return np.asarray(np.clip(quotient, low.astype(np.float32), high.astype(np.float32), out=quotient).astype(np.int32))


def quantize(
    source: TableSource,
    quantizer: Quantizer,
    recipe: str,
    frequencies: Floats | None = None,
    scores: Floats | None = None,
    progress: Progress | None = None,
) -> PackedTable:
    """Quantise and pack a table.

    Parameters
    ----------
    source : TableSource
    quantizer : Quantizer
    recipe : str
        Name that the result carries.
    frequencies : array, shape (rows,), optional
        Token frequencies that weight squared errors; `table_frequencies` by default.
    scores : array, shape (n,), optional
        Saliency by channel in place of the quantizer's.
    progress : callable, optional
        Called with the stage and the fraction of it that is done.

    Raises
    ------
    ValueError
        If there are fewer channels than fields, or a weight is not finite.
    """
    report = progress or silent
    fields = quantizer.field_levels
    _require_channels(source, fields)
    quantizer.transform.check(source.channels)
    weights = (
        table_frequencies(source.name, source.rows)
        if frequencies is None
        else normalised_frequencies(frequencies, source.rows)
    )
    statistics = channel_statistics(source, quantizer.transform, report)
    report("scales", 0.0)
    if scores is None:
        scores = _scores(source, quantizer, statistics, weights)
    order = channel_order(scores, fields)
    levels = np.empty(source.channels, np.int64)
    levels[order] = np.resize(np.asarray(fields, np.int64), source.channels)
    scales = _scales(source, quantizer, statistics, levels, weights)[0]
    report("scales", 1.0)
    public = PublicTable(
        rows=source.rows,
        channels=source.channels,
        field_levels=fields,
        order=tuple(order.tolist()),
        scales=tuple(scales.tolist()),
        half_integer=quantizer.half_integer,
        recipe=recipe,
        transform=quantizer.transform,
    )
    return pack_source(source, public, report)


def pack_source(source: TableSource, public: PublicTable, progress: Progress | None = None) -> PackedTable:
    """Round a table to the levels that a description gives, and pack it."""
    report = progress or silent
    order = np.asarray(public.order)
    scales = np.asarray(public.scales)[order]
    levels = public.levels_by_position
    offsets = (levels // 2).astype(np.int32)
    coefficients = np.empty((public.rows, public.coefficients), unsigned_dtype(public.plaintext_modulus - 1))
    for start, rows in source.blocks():
        ordered = public.transform.apply(rows)[:, order]
        signed = quantize_levels(ordered, scales, levels, public.half_integer)
        coefficients[start : start + len(rows)] = pack(signed + offsets, public.field_moduli)
        report("packing", (start + len(rows)) / source.rows)
    return PackedTable(coefficients, public)


def pack_levels(levels: NDArray[np.int32], public: PublicTable) -> UnsignedArray:
    """Coefficients of signed levels in the original channel order, shape (rows, n)."""
    ordered = levels[:, np.asarray(public.order)] + (public.levels_by_position // 2).astype(np.int32)
    return pack(ordered, public.field_moduli)


def quantize_table(
    source: TableSource,
    widths: Sequence[int] = (4, 3, 3),
    saliency: Saliency = "magnitude",
    scales: ScaleKind = "power-of-two",
    fit: Fit = "absmax",
    progress: Progress | None = None,
) -> PackedTable:
    """Quantise a table as the paper does: channel widths of one coefficient, one scale a channel, and pack
    it.

    Parameters
    ----------
    source : TableSource
    widths : sequence of int
        Channel widths in bits of one coefficient, lowest field first; each takes one bit more.
    saliency, scales, fit
        As of `Quantizer`.
    progress : callable, optional

    Raises
    ------
    ValueError
        If a name is unknown, a width is out of range, the table has fewer channels than a group, or a weight
        is not finite.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.3.
    """
    quantizer = Quantizer(levels_of_widths(widths), saliency, scales, fit)
    return quantize(source, quantizer, "rtn-" + "-".join(str(width) for width in widths), progress=progress)


def _require_channels(source: TableSource, fields: tuple[int, ...]) -> None:
    if source.channels < len(fields):
        raise ValueError(
            f"table {source.name!r}: its {source.channels} channels are fewer than the {len(fields)} of one coefficient"
        )


def channel_errors(source: TableSource, quantizer: Quantizer, frequencies: Floats) -> Floats:
    """Weighted squared error that the widest field saves over the narrowest, by channel, shape (n,)."""
    return _saved_errors(source, quantizer, channel_statistics(source, quantizer.transform, silent), frequencies)


def _scores(source: TableSource, quantizer: Quantizer, statistics: ChannelStatistics, weights: Floats) -> Floats:
    if quantizer.saliency == "magnitude" or len(set(quantizer.field_levels)) == 1:
        return statistics.mean_magnitude
    if quantizer.saliency == "random":
        return np.random.default_rng(quantizer.seed).random(source.channels)
    return _saved_errors(source, quantizer, statistics, weights)


def _saved_errors(source: TableSource, quantizer: Quantizer, statistics: ChannelStatistics, weights: Floats) -> Floats:
    narrow, wide = (
        np.full(source.channels, count) for count in (min(quantizer.field_levels), max(quantizer.field_levels))
    )
    return _error(source, quantizer, statistics, narrow, weights) - _error(source, quantizer, statistics, wide, weights)


def _error(
    source: TableSource,
    quantizer: Quantizer,
    statistics: ChannelStatistics,
    levels: NDArray[np.int64],
    weights: Floats,
) -> Floats:
    """Weighted squared error by channel."""
    scales, errors = _scales(source, quantizer, statistics, levels, weights)
    if errors is not None:
        return errors
    half = quantizer.half_integer
    return np.asarray(squared_errors(source, quantizer.transform, scales[None], levels, half, weights)[0])


def _scales(
    source: TableSource,
    quantizer: Quantizer,
    statistics: ChannelStatistics,
    levels: NDArray[np.int64],
    weights: Floats,
) -> tuple[Floats, Floats | None]:
    """Scales by channel, and their weighted squared error where the fit has found it."""
    half = quantizer.half_integer
    absmax = statistics.absmax
    if quantizer.fit == "deviation":
        scales = deviation_scales(statistics.deviation, levels, half)
        return (power_of_two(scales) if quantizer.scales == "power-of-two" else scales), None
    if quantizer.granularity == "tensor":
        absmax = np.full(source.channels, absmax.max())
    if quantizer.fit == "absmax":
        scales = absmax_scales(absmax, levels, half)
        return (power_of_two(scales) if quantizer.scales == "power-of-two" else scales), None
    return fitted_scales(
        source, quantizer.transform, absmax, levels, half, quantizer.scales, quantizer.granularity, weights
    )


def silent(stage: str, fraction: float) -> None:
    """Report nothing."""
