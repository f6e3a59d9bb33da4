"""Digits and bits by the noise that they may leave: choices that every search over an expanded query makes."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.noise import dropped_limb_variance, gadget_switch_variance
from costmodel.expanded.parameters import MOST_KEPT_BITS, Expanded, Gadget
from costmodel.noise import TERNARY_VARIANCE

MOST_SWITCH_DIGITS = 24

Floats = NDArray[np.float64]


def bits_within(variance: Floats, log2_q: float) -> Floats:
    """Fewest bits of N*b whose rounding has at most a variance over Q^2."""
    return np.clip(np.ceil(-0.5 * np.log2(12.0 * variance)), 1.0, log2_q)


class Digits(NamedTuple):
    """Number and width of the digits of a key switch, and the variance that it adds."""

    digits: Floats
    bits: Floats
    variance: Floats


@lru_cache(maxsize=64)
def switch_options(degree: int, log2_q: int, widest: int, sigma: float, source_variance: float) -> Digits:
    """Every number of digits of a key switch with its best width and the variance, by number."""
    options = []
    for digits in range(1, MOST_SWITCH_DIGITS + 1):
        widths = np.arange(2, min(min(log2_q, MOST_KEPT_BITS) // digits, widest) + 1)
        noise = gadget_switch_variance(degree, log2_q, digits, widths, sigma, source_variance)
        best = int(np.argmin(noise))
        options.append((digits, widths[best], noise[best]))
    return Digits(*(np.array(column, dtype=np.float64) for column in zip(*options, strict=True)))


def fewest_digits(shape: Expanded, allowed: Floats, source_variance: float) -> Digits:
    """Fewest digits with which a key switch has at most a variance, their best width and the variance."""
    widest = min(shape.limb_bits) - 2
    options = switch_options(shape.degree, shape.log2_q, widest, shape.sigma, source_variance)
    held = options.variance.reshape(-1, *(1,) * allowed.ndim) <= allowed
    chosen = np.where(held.any(axis=0), np.argmax(held, axis=0), int(np.argmin(options.variance)))
    return Digits(options.digits[chosen], options.bits[chosen], options.variance[chosen])


def expansion_digits(shape: Expanded, target: Floats, per_fold: Floats, per_column: float) -> Digits:
    """Digits of every level, (levels, ...), for a variance of all of them together in the result.

    A level is allowed the share of the target that its nodes have among all; its noise reaches the result through the
    folds and through the table by its energy, but through the worst table, which flooding has to hide, coherently.
    """
    nodes = np.array(shape.expansion_nodes, dtype=np.float64)
    chosen = []
    for level, share in enumerate(nodes / nodes.sum()):
        after = shape.expansion_levels - 1 - level
        enters = 2.0 if after < shape.split_levels else 1.0
        in_table = enters * 4.0**after if shape.flooding_bits else 2.0**after
        weight = shape.degree * np.maximum(per_fold * 2.0**after, per_column * in_table)
        chosen.append(fewest_digits(shape, target * share / weight, TERNARY_VARIANCE))
    return Digits(*(np.stack(arrays) for arrays in zip(*chosen, strict=True)))


def ring_switch_digits(shape: Expanded, allowed: float) -> tuple[Gadget, float]:
    """Fewest digits of the ring switch within a variance over Q^2, and that variance with the dropped limb's."""
    if not shape.switches_ring:
        return Gadget(0, 0), 0.0
    limb = shape.limb_bits[0]
    options = switch_options(shape.degree, limb, limb - 2, shape.sigma, TERNARY_VARIANCE)
    dropped = dropped_limb_variance(shape.degree, shape.limbs)
    variances = (options.variance + dropped) * 2.0 ** (-2.0 * limb)
    within = np.flatnonzero(variances <= allowed)
    best = int(within[0]) if within.size else int(np.argmin(variances))
    return Gadget(int(options.digits[best]), int(options.bits[best])), float(variances[best])


def answer_bits(shape: Expanded, room: Floats) -> tuple[Floats, Floats, Floats]:
    """Bits of a and of b that make the shortest answer within a variance over Q^2, and that answer's bits."""
    per_a = shape.answer_degree * TERNARY_VARIANCE / 12.0
    safe = np.where(room > 0, room, 1.0)
    most = min(shape.limb_bits) - 1
    fewest = np.floor(0.5 * np.log2(per_a / safe)) + 1.0
    best_a, best_b, best = np.zeros(safe.shape), np.zeros(safe.shape), np.full(safe.shape, np.inf)
    for more in range(6):
        a = np.clip(fewest + more, 1.0, most)
        left = safe - per_a * np.exp2(-2.0 * a)
        b = np.clip(np.ceil(-0.5 * np.log2(12.0 * np.where(left > 0, left, 1.0))), 1.0, most)
        size = shape.answers * shape.answer_degree * a + shape.row_coefficients * b
        better = (left > 0) & (size < best)
        best_a, best_b = np.where(better, a, best_a), np.where(better, b, best_b)
        best = np.where(better, size, best)
    return best_a, best_b, best
