"""Digits and bits by the noise that they may leave: choices that every search over an expanded query makes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.expanded.noise import Floats, gadget_switch_variance, square_secret_variance
from costmodel.expanded.parameters import MOST_KEPT_BITS, Array, Columns, GadgetColumns
from costmodel.noise import TERNARY_VARIANCE

MOST_SWITCH_DIGITS = 24
_ROW = 4096.0
"""Distance of the rows of a table in one sorted list of log2 of variances, all of which lie within a fourth of it."""


def bits_within(variance: Floats, log2_q: ArrayLike) -> Floats:
    """Fewest bits of N*b whose rounding has at most a variance over Q^2."""
    found: Floats = np.clip(np.ceil(-0.5 * np.log2(12.0 * variance)), 1.0, log2_q)
    return found


class Digits(NamedTuple):
    """Number and width of the digits of a key switch, and the variance that it adds."""

    digits: Floats
    bits: Floats
    variance: Floats

    @property
    def gadget(self) -> GadgetColumns:
        """The digits as parameters have them."""
        return GadgetColumns(self.digits.astype(np.int64), self.bits.astype(np.int64))


class SwitchTable:
    """Every number of digits of a key switch with its best width and the variance; a row for every kind of key.

    Parameters
    ----------
    degree, log2_q, widest, sigma, source_variance
        (kinds,) of the keys; ``widest`` bounds the bits of a digit.
    """

    def __init__(
        self, degree: Array, log2_q: Array, widest: Array, sigma: Array, source_variance: ArrayLike = TERNARY_VARIANCE
    ) -> None:
        ring, q, most, noise = (array[:, None, None] for array in (degree, log2_q, widest, sigma))
        source = np.broadcast_to(source_variance, degree.shape)[:, None, None]
        digits = np.arange(1, MOST_SWITCH_DIGITS + 1)[:, None]
        widths = np.arange(2, int(np.max(widest)) + 1)
        fits = (digits * widths <= np.minimum(q, MOST_KEPT_BITS)) & (widths <= most)
        variance = np.where(fits, gadget_switch_variance(ring, q, digits, widths, noise, source), np.inf)
        best = np.argmin(variance, axis=-1)
        least = np.min(variance, axis=-1)
        self._digits = np.broadcast_to(digits[:, 0].astype(float), best.shape).reshape(-1)
        self._bits = widths[best].astype(float).reshape(-1)
        self._variance = least.reshape(-1)
        self._quietest = np.argmin(least, axis=-1)
        first = np.arange(len(degree))[:, None] * _ROW
        self._sorted = (first - np.log2(np.minimum.accumulate(least, axis=-1))).reshape(-1)

    def fewest(self, allowed_log2: Floats, rows: Array) -> Digits:
        """Fewest digits with a variance of at most 2^allowed_log2, or the quietest digits where none keep to it."""
        wanted = rows * _ROW - np.clip(allowed_log2, -_ROW / 4, _ROW / 4)
        place = np.searchsorted(self._sorted, wanted) - rows * MOST_SWITCH_DIGITS
        place = np.where(place < MOST_SWITCH_DIGITS, place, self._quietest[rows]) + rows * MOST_SWITCH_DIGITS
        return Digits(self._digits[place], self._bits[place], self._variance[place])


class SwitchTables(NamedTuple):
    """Key switches of every kind of ring: of the expansion, and from s^2."""

    expansion: SwitchTable
    square: SwitchTable

    @classmethod
    def of(cls, degree: Array, limb_bits: tuple[Array, ...], sigma: Array) -> tuple[SwitchTables, Array]:
        """The tables of rings, arrays of one shape, and the row of every ring in them."""
        kinds = np.stack([degree, *limb_bits, sigma], axis=-1).astype(float)
        distinct, rows = np.unique(kinds.reshape(-1, kinds.shape[-1]), axis=0, return_inverse=True)
        ring, *limbs, noise = distinct.T
        log2_q, first = sum(limbs), limbs[0]
        widest = np.min([np.where(bits > 0, bits, first) for bits in limbs], axis=0) - 2
        tables = cls(
            SwitchTable(ring, log2_q, widest, noise),
            SwitchTable(ring, log2_q, widest, noise, square_secret_variance(ring)),
        )
        return tables, rows.reshape(degree.shape)


def node_counts(columns: Columns) -> Array:
    """Nodes of every level of the expansion, (levels, ...), 0 at the first levels that a ring does not have."""
    levels = len(columns.expansion.digits)
    after = np.arange(levels - 1, -1, -1).reshape(-1, *(1,) * np.ndim(columns.split_levels))
    nodes = 1 << np.maximum(columns.split_levels - 1 - after, 0)
    found: Array = np.where(after < columns.expansion_levels, nodes, 0)
    return found


def switch_counts(columns: Columns) -> Array:
    """Key switches of every level of the expansion, (levels, ...)."""
    found: Array = node_counts(columns) * columns.level_repetitions()
    return found


def own_digits(columns: Columns, digits: Floats) -> Floats:
    """Digits of all keys of the expansion, those of a key that levels share once."""
    own = columns.level_numbers() >= columns.repeated_level
    found: Floats = np.sum(np.where(own, digits, 0.0), axis=0)
    return found


def expansion_digits(
    columns: Columns, table: SwitchTable, rows: Array, target: Floats, per_fold: Floats, per_column: Floats
) -> Digits:
    """Digits of every level, (levels, ...), for a variance of all of them together in the result.

    A level is allowed the share of the target that its nodes have among all; its noise reaches the result through the
    folds and through the table by its energy, but through the worst table, which flooding has to hide, coherently.
    Levels that share a key have the digits that the first of them needs, and the variance of all applications.
    """
    levels = len(columns.expansion.digits)
    nodes = node_counts(columns)
    after = np.arange(levels - 1, -1, -1.0).reshape(-1, *(1,) * np.ndim(columns.split_levels))
    coherent = np.where(after < columns.split_levels, 1.0, 0.0) + 2.0 * after
    in_table = np.where(columns.flooded > 0, coherent, after)
    with np.errstate(divide="ignore"):
        weight = np.maximum(np.log2(per_fold) + after, np.log2(per_column) + in_table) + np.log2(columns.degree)
        allowed = np.log2(target) + (np.log2(nodes / columns.expansion_switches) - weight)
    times, number = columns.level_repetitions(), columns.level_numbers()
    shared = (number >= 0) & (number <= columns.repeated_level)
    least = np.min(np.where(shared, allowed - np.log2(times), np.inf), axis=0)
    found = table.fewest(np.where(shared, least, allowed), rows)
    digits, bits, variance = (np.where(nodes > 0, array, 0.0) for array in found)
    return Digits(digits, bits, variance * times)


def smallest_limb(columns: Columns) -> Any:
    """Bits of the smallest prime of Q."""
    bits = [np.where(limb > 0, limb, 64) for limb in columns.limb_bits]
    return np.minimum(np.minimum(bits[0], bits[1]), bits[2])
