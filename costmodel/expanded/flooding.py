"""Flooding of expanded queries: the width that is asked for, and the distance that it leaves.

The width is asked for in two ways. As a distance after so many queries it is that of :mod:`costmodel.flooding`. In bits
F, w is at least 2^F times what no coefficient's noise exceeds, but with a probability that is part of the target of
failures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.answers import MOST_LOW_BITS
from costmodel.expanded.noise import Floats, encryption_of_zero_variance
from costmodel.expanded.parameters import Array, Columns
from costmodel.flooding import FISHER_INFORMATION, largest_bits, log2_distance, log2_width
from costmodel.noise import tail_factor

THRESHOLD_ERROR = 2.0 ** (MOST_LOW_BITS + 1)
"""What half a unit that the message is rounded by counts as in the error's root mean square, in units of 1 at Q."""


def log2_mean_square(columns: Columns, hidden: Floats) -> Floats:
    """log2 of the bound of an answer's mean square error before the flooding, in units of 1 at its modulus.

    Expected for the row of largest error. The encryption of zero is counted with the variance over Q^2 that is hidden;
    the rounding of Q/t times an element, half of it at most, and of Q/t times a message are added in magnitude.
    """
    p = columns
    deviation = np.sqrt(hidden + encryption_of_zero_variance(p)) * np.exp2(p.result_log2_q)
    rounding = p.element_bound.astype(float) / 2.0 + THRESHOLD_ERROR
    found: Floats = 2.0 * np.log2(deviation * np.exp2(largest_bits(p.rows) / 2.0) + rounding)
    return found


def bits_over_deviation(columns: Columns, log2_failure: ArrayLike) -> Floats:
    """Bits that w is over the standard deviation of what it hides, in the wider of both ways; not rounded up."""
    p = columns
    share = np.asarray(log2_failure, dtype=float) - np.log2(p.row_coefficients)
    by_bits = np.where(p.flooding_bits > 0, p.flooding_bits + np.log2(tail_factor(share)), -np.inf)
    energy = np.log2(FISHER_INFORMATION * p.row_coefficients.astype(float)) + np.log2(p.queries.astype(float))
    by_distance = 0.5 * (energy + largest_bits(p.rows)) - 1.0 - p.log2_distance
    found: Floats = np.maximum(by_bits, np.where(p.log2_distance < 0, by_distance, -np.inf))
    return found


class Widths(NamedTuple):
    """The widths of floodings over noise that is still open, of flat columns.

    Attributes
    ----------
    columns
        The configurations.
    zero
        Variance over Q^2 of the encryption of zero that is hidden with the noise.
    log2_tail
        log2 of the deviations that no coefficient's noise exceeds, but with its part of the target.
    place
        Of the configurations that noise is given for.
    """

    columns: Columns
    zero: Floats
    log2_tail: Floats
    place: Array | slice

    @classmethod
    def of(cls, columns: Columns, log2_failure: ArrayLike) -> Widths:
        """Widths of columns for a target of a whole answer."""
        share = np.asarray(log2_failure, dtype=float) - np.log2(columns.row_coefficients)
        return cls(columns, encryption_of_zero_variance(columns), np.asarray(np.log2(tail_factor(share))), slice(None))

    def at(self, place: Array) -> Widths:
        """The same for noise of the configurations at an index."""
        return self._replace(place=place)

    def log2_width(self, hidden: Floats) -> Floats:
        """log2 of the least power of two w that is wide enough in both ways, 0 without flooding.

        Parameters
        ----------
        hidden
            Variance over Q^2 of what the flooding hides, for the worst table.
        """
        p, place = self.columns, self.place
        bits, log2_q = p.flooding_bits[place], p.result_log2_q[place]
        noise = 0.5 * np.log2(np.where(p.flooded[place] > 0, hidden + self.zero[place], 1.0)) + log2_q
        by_bits = np.where(bits > 0, np.ceil(bits + noise + self.log2_tail[place]), 0.0)
        by_distance: Floats = np.zeros(())
        if np.any(p.log2_distance < 0):
            asked = np.asarray(p.log2_distance)[place]
            coefficients, queries = p.row_coefficients[place], p.queries[place]
            wanted = log2_width(asked, log2_mean_square(p.taken(place), hidden), coefficients, queries)
            by_distance = np.where(asked < 0, wanted, 0.0)
        found: Floats = np.clip(np.maximum(by_bits, by_distance), 0.0, log2_q - 4.0)
        return found


def reached_bits(columns: Columns, hidden: Floats) -> Floats:
    """F that the width has, whole bits over the noise that it hides; 0 without flooding."""
    p = columns
    share = p.log2_failure - np.log2(p.row_coefficients)
    variance = np.where(p.flooded > 0, hidden + encryption_of_zero_variance(p), 1.0)
    noise = 0.5 * np.log2(variance) + p.result_log2_q + np.log2(tail_factor(share))
    return np.where(p.flooded > 0, np.maximum(np.floor(p.flooding_log2_width - noise + 1e-9), 0.0), 0.0)


def distance(columns: Columns, hidden: Floats, answers: ArrayLike) -> Floats:
    """log2 of the statistical distance that the flooding leaves in so many answers, whatever the table; at most 0."""
    p = columns
    left = log2_distance(p.flooding_log2_width, log2_mean_square(p, hidden), p.row_coefficients, answers)
    found: Floats = np.where(p.flooded > 0, left, 0.0)
    return found
