"""Noise of an answer to a one-hot query on seeded ciphertexts, and the flooding that hides it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from costmodel.compact.ledger import sends_low_bits, tile, trees
from costmodel.grid import Grid
from costmodel.ledger import Number
from costmodel.noise import (
    dropped_bits_variance,
    key_switch_variance,
    modulus_switch_variance,
    noise_bound,
    packlwes_variance,
    plaintext_product_variance,
    public_key_encryption_variance,
    secret_key_encryption_variance,
)
from costmodel.packing import packlwes_depth

Floats = NDArray[np.float64]

FLOODING_TAIL_BITS = 24
"""How far below 2^-flooding_bits the probability lies that a coefficient exceeds the bound of the flooding."""


def product_variance(grid: Grid, mean_square: Number) -> Number:
    """Variance of the product and the packing, which both depend on the table, in units of 1 at q."""
    shape = tile(grid)
    entries = np.minimum(shape.d0 * shape.d1, grid.degree) * grid.rows / shape.d1
    dropped = np.maximum(grid.log2_q - grid.query_bits, 0) if grid.limbs == 1 else np.int64(0)
    fresh = secret_key_encryption_variance(grid.sigma) + dropped_bits_variance(dropped)
    variance = plaintext_product_variance(fresh, entries, mean_square)
    if grid.output != "packlwes":
        return variance
    switches = sum(
        key_switch_variance(grid.degree, bits, np.maximum(grid.digit_bits, 1), grid.sigma, grid.digit_dropped_bits)
        for bits in grid.limb_bits
    )
    packed = trees(grid)
    return variance + packlwes_variance(switches, packlwes_depth(packed.leaves, packed.gap))


def flooding_width_bits(grid: Grid) -> Number:
    """K such that flooding uniform in [-2^(k-1), 2^(k-1)) is 2^flooding_bits over what it hides.

    That is the worst table's noise, the noise of the encryption of zero, which would tell of its randomness, and the
    rounding of Q/t times an element. A coefficient exceeds the bound with a probability 24 bits below 2^-flooding_bits,
    so that the statistical distance is the flooding's.
    """
    hidden = product_variance(grid, grid.element_worst_square) + public_key_encryption_variance(grid.sigma, grid.degree)
    rounding = math.sqrt(grid.element_worst_square) / 2 + 1
    bound = noise_bound(np.sqrt(hidden), -(grid.flooding_bits + FLOODING_TAIL_BITS)) + rounding
    return np.ceil(np.log2(bound) + grid.flooding_bits).astype(np.int64) + 1


def noise(grid: Grid) -> Number:
    """Variance of an answer coefficient's error over (q/t)^2, as the client measures it."""
    return _noise(grid, rounded_b_bits(grid))


def rounded_b_bits(grid: Grid) -> Number:
    """Bits that b is rounded to: of r low bits the last is 2^-r of a cell, which makes log2 t + r bits."""
    whole = grid.log2_plaintext_modulus if sends_low_bits(grid) else 0
    return whole + grid.answer_b_bits


def noise_before_b(grid: Grid) -> Number:
    """Variance over (q/t)^2 of the error without the rounding of b."""
    return _noise(grid, np.inf)


def _noise(grid: Grid, b_bits: Number) -> Number:
    variance = product_variance(grid, grid.element_mean_square)
    flooded = grid.flooding_bits > 0
    hidden = np.exp2(2.0 * flooding_width_bits(grid)) / 12
    variance = variance + np.where(flooded, hidden + public_key_encryption_variance(grid.sigma, grid.degree), 0.0)
    switched = modulus_switch_variance(grid.log2_q, grid.degree, grid.answer_a_bits, b_bits)
    return (variance + switched) * np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q))
