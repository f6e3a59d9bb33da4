"""Non-uniform levels, Fibonacci numbers or powers of two, which pack and decode like integers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from quantize.packed import PackedTable
from quantize.packing import unsigned_dtype
from quantize.public import PublicTable
from quantize.quantizers import channel_statistics, pack_levels, silent
from quantize.scales import Floats, ScaleKind
from quantize.sources import TableSource
from quantize.transforms import IDENTITY

_CANDIDATES: Final = 1.25 ** -np.arange(9)
_EXPONENTS: Final = 4


def fibonacci_levels(largest: int) -> NDArray[np.int32]:
    """0 and the Fibonacci numbers up to ``largest`` with both signs, ascending."""
    numbers = [1, 2]
    while numbers[-1] + numbers[-2] <= largest:
        numbers.append(numbers[-1] + numbers[-2])
    positive = [number for number in numbers if number <= largest]
    return np.array([*(-number for number in reversed(positive)), 0, *positive], np.int32)


def power_of_two_levels(largest: int) -> NDArray[np.int32]:
    """0 and the powers of two up to ``largest`` with both signs, ascending.

    Examples
    --------
    >>> power_of_two_levels(4).tolist()
    [-4, -2, -1, 0, 1, 2, 4]
    """
    positive = [1 << k for k in range(largest.bit_length())]
    return np.array([*(-number for number in reversed(positive)), 0, *positive], np.int32)


def quantize_codebook(
    source: TableSource, levels: NDArray[np.int32], fields: int, kind: ScaleKind, recipe: str, frequencies: Floats
) -> PackedTable:
    """Round each channel to ``scale * level`` with given levels, scales by least weighted squared error.

    A field has to hold the range of the levels although only some of it is used: the sum of two shares knows no code
    book.

    Parameters
    ----------
    source : TableSource
    levels : array of int
        Ascending, symmetric.
    fields : int
        Channels of a coefficient.
    kind : {"power-of-two", "free"}
        Of the scales.
    recipe : str
    frequencies : array, shape (rows,)

    References
    ----------
    .. [1] Fiandaca, Gomony, "Fibbinary-Based Compression and Quantization for Efficient Neural Radio Receivers":
       Fibonacci code word quantisation.
    .. [2] Mazher et al., "QuantX": levels that the hardware dequantises cheaply.
    """
    largest = int(levels[-1])
    absmax = channel_statistics(source, IDENTITY, silent).absmax
    top = np.where(absmax > 0, absmax, 1.0) / largest
    if kind == "power-of-two":
        candidates = np.exp2(np.ceil(np.log2(top)) - np.arange(_EXPONENTS)[:, None])
    else:
        candidates = top * _CANDIDATES[:, None]
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
