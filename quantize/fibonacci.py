"""Non-uniform levels from the Fibonacci numbers, which pack and decode like integers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantize.packed import PackedTable
from quantize.packing import unsigned_dtype
from quantize.public import PublicTable
from quantize.quantizers import channel_statistics, pack_levels, silent
from quantize.scales import Floats
from quantize.tables import TableSource
from quantize.transforms import IDENTITY

_CANDIDATES: Final = 1.25 ** -np.arange(9)


def fibonacci_levels(largest: int) -> NDArray[np.int32]:
    """0 and the Fibonacci numbers up to ``largest`` with both signs, ascending."""
    numbers = [1, 2]
    while numbers[-1] + numbers[-2] <= largest:
        numbers.append(numbers[-1] + numbers[-2])
    positive = [number for number in numbers if number <= largest]
    return np.array([*(-number for number in reversed(positive)), 0, *positive], np.int32)


def quantize_fibonacci(source: TableSource, largest: int, fields: int, recipe: str, frequencies: Floats) -> PackedTable:
    """Round each channel to ``scale * level`` with Fibonacci levels, scales by least weighted squared error.

    A field has to hold the range ``-largest ... largest`` although only some of it is used: the sum of two
    shares knows no code book.

    References
    ----------
    .. [1] Fiandaca, Gomony, "Fibbinary-Based Compression and Quantization for Efficient Neural Radio
           Receivers":
       Fibonacci code word quantisation.
    """
    levels = fibonacci_levels(largest)
    absmax = channel_statistics(source, IDENTITY, silent).absmax
    candidates = np.where(absmax > 0, absmax, 1.0) / largest * _CANDIDATES[:, None]
    errors = np.zeros(candidates.shape)
    for start, rows in source.blocks():
        weights = frequencies[start : start + len(rows)].astype(np.float32)
        for k, scales in enumerate(candidates.astype(np.float32)):
            errors[k] += weights @ (_nearest(rows / scales, levels) * scales - rows) ** 2
    best = np.take_along_axis(candidates, errors.argmin(axis=0)[None], 0)[0]
    public = PublicTable(
        rows=source.rows,
        channels=source.channels,
        field_levels=(2 * largest + 1,) * fields,
        order=tuple(range(source.channels)),
        scales=tuple(best.tolist()),
        half_integer=False,
        recipe=recipe,
    )
    coefficients = np.empty((source.rows, public.coefficients), unsigned_dtype(public.plaintext_modulus - 1))
    for start, rows in source.blocks():
        coefficients[start : start + len(rows)] = pack_levels(_nearest(rows / best.astype(np.float32), levels), public)
    return PackedTable(coefficients, public)


def _nearest(values: NDArray[np.float32], levels: NDArray[np.int32]) -> NDArray[np.int32]:
    middles = ((levels[1:] + levels[:-1]) / 2).astype(np.float32)
    return levels[np.searchsorted(middles, values)]
