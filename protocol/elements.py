"""Packed elements as numbers: their middle, and how far a table's spread about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantize.packing import UnsignedArray, place_values

SAMPLED_ROWS = 4096


def middle_element(field_moduli: Sequence[int]) -> int:
    """The packed element all of whose channels are at the middle of their levels, sum_i P_i floor(M_i / 4)."""
    return sum(place * (modulus // 4) for place, modulus in zip(place_values(field_moduli), field_moduli, strict=True))


def element_spread(coefficients: UnsignedArray, field_moduli: Sequence[int]) -> float:
    """Root mean square of a table's centred packed elements over that of uniform levels, from some 4096 rows.

    Uniform levels of a field of L have the mean square (L^2 + 2)/12 about their middle.
    """
    step = max(1, coefficients.shape[0] // SAMPLED_ROWS)
    centred = coefficients[::step].astype(np.float64) - middle_element(field_moduli)
    places = place_values(field_moduli)
    uniform = sum(p * p * ((modulus / 2) ** 2 + 2) / 12 for p, modulus in zip(places, field_moduli, strict=True))
    return float(np.sqrt(np.mean(np.square(centred)) / uniform))
