"""Noise of the compressed query, step by step, as variances of the phase error.

Expansion, encrypted bits and external products are those of :mod:`costmodel.expanded.noise`; V is the variance that an
external product adds. A one becomes X^-l in log2 G products, the first of which, of a ciphertext with a = 0, adds next
to nothing. Of a node's product with a bit, c b, one child has the noise and the other, c - c b, its negative; of what a
node carries, only the child that the bit names inherits any. So the products on the way to the row's own block are the
only ones whose noise comes from far: B - 1 products leave 2 (B - 1) V in all blocks together, and the log2 G - 1 before
them add theirs to the row's own block alone.

A sum over the blocks meets all s m entries of s columns, G s of them a block:

    V E[W^2] s ((log2 G - 1) G + 2 (B - 1) m / B)

Worst table. What the products add does not depend on the table, but its coefficients are not independent of each other:
most of it is a multiple of s, whose values at the roots of X^N + 1 differ. A table with all of its weight at one root
meets |s|^2 there in place of its mean, 2N/3. Clients draw secrets until none of their N/2 pairs of values exceeds
ln(N/2) + 1.5 times the mean, which four of five do not: values of a random secret exceed it x times with probability
exp(-x). And a table whose blocks differ in sign, where the two children of a node add up, has twice the second term.

References
----------
.. [1] H. Chen, W. Dai, M. Kim, Y. Song, ePrint 2020/015 (PackLWEs).
.. [2] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421 (gadget and external products).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.expanded.compressed.parameters import CompressedColumns, CompressedParameters
from costmodel.expanded.noise import (
    Floats,
    answer_limit,
    answer_noise,
    bit_noise,
    dropped_limb_variance,
    encryption_of_zero_variance,
    flooding_variance,
    fold_variance,
    secret_peak,
    square_switch_variance,
)
from costmodel.noise import TERNARY_VARIANCE, key_switch_variance, log2_failure_of_products, packlwes_variance


class CompressedNoise(NamedTuple):
    """Variances over Q^2 of an answer coefficient's error, step by step.

    Attributes
    ----------
    product : external products and the drop to the table's limbs, through a table of the mean square
    packing : PackLWEs
    flooding : sum of three uniforms and the encryption of zero
    ring_switch : rounding to the answer's modulus and the key switch to its secrets
    rounding : of the answer's a
    low_bits : of the answer's b
    worst_product : as ``product``, through the worst table
    """

    product: Any
    packing: Any
    flooding: Any
    ring_switch: Any
    rounding: Any
    low_bits: Any
    worst_product: Any

    @property
    def total(self) -> Any:
        """Variance that a measurement of many coefficients finds."""
        return self.product + self.packing + self.flooding + self.ring_switch + self.rounding + self.low_bits

    @property
    def hidden(self) -> Any:
        """Variance that the flooding hides, of the worst table."""
        return self.worst_product + self.packing


def external_product_variance(parameters: CompressedParameters | CompressedColumns, ones: float = 1.0) -> Floats:
    """V over Q^2 of one external product with a bit that is one so often: what the digits leave out meets the bit."""
    p = CompressedColumns.of(parameters)
    leaf, square = bit_noise(p, p.sent_bits), square_switch_variance(p)
    variance = fold_variance(p.degree, p.log2_q, p.bit.digits, p.bit.bits, leaf, square) * np.exp2(-2.0 * p.log2_q)
    left_out = np.exp2(-2.0 * (p.bit.digits * p.bit.bits)) * (1.0 + TERNARY_VARIANCE * p.degree) / 12.0
    found: Floats = variance - (1.0 - ones) * left_out
    return found


def entries_met(columns: CompressedColumns) -> Floats:
    """External products' worth of noise in a result: s ((log2 G - 1) G + 2 (B - 1) m / B) of V E[W^2]."""
    return _first_products(columns) + _block_products(columns)


def worst_entries_met(columns: CompressedColumns) -> Floats:
    """The same for the worst table, of the square of its largest element."""
    return (_first_products(columns) + 2 * _block_products(columns)) * secret_peak(columns.degree)


def _first_products(p: CompressedColumns) -> Floats:
    found: Floats = _float(p.segments * np.maximum(p.position_levels - 1, 1) * np.minimum(p.rows, p.gap))
    return found


def _block_products(p: CompressedColumns) -> Floats:
    found: Floats = p.segments * 2 * (p.blocks - 1) / p.blocks * p.rows
    return found


def _heaviest_bit(p: CompressedColumns) -> Floats:
    """Entries met by the noise of one bit: of the place, or of a level of the tree over the blocks, 2 m/B a node."""
    levels = np.arange(int(np.max(p.block_levels, initial=0))).reshape(-1, *(1,) * np.ndim(p.blocks))
    nodes = (-(-p.blocks >> levels)) - (-(-p.blocks >> levels + 1))
    most = np.max(nodes, axis=0, initial=0)
    place = np.where(p.position_levels > 1, np.minimum(p.rows, p.gap), 0)
    found: Floats = p.segments * np.maximum(np.maximum(place, 2 * most * p.rows / p.blocks), 1.0)
    return found


def dropped_variance(columns: CompressedColumns) -> Floats:
    """Variance over Q^2 of rounding the blocks' ciphertexts to the table's limbs, through entries of 1: s m terms."""
    p = columns
    rounding = dropped_limb_variance(p.degree, p.limbs) * np.exp2(-2.0 * p.table_log2_q)
    return np.where(p.table_limbs == p.limbs, 0.0, p.segments * p.rows * rounding)


def packing_variance(columns: CompressedColumns) -> Floats:
    """Variance over the table's modulus squared that the packing trees add."""
    p = columns
    switches = sum(
        np.where(
            p.table_limbs > limb,
            key_switch_variance(p.degree, bits, p.packing_digit_bits, p.sigma, p.packing_dropped_bits),
            0.0,
        )
        for limb, bits in enumerate(p.limb_bits)
    )
    found: Floats = packlwes_variance(switches, p.packing_depth) * np.exp2(-2.0 * p.table_log2_q)
    return found


def gaussian_terms(parameters: CompressedParameters | CompressedColumns) -> Floats:
    """One over the largest share that one Gaussian term may have in the error of an answer to the worst table."""
    p = CompressedColumns.of(parameters)
    found: Floats = p.bit.digits * entries_met(p) / _heaviest_bit(p)
    return found


def compressed_noise(
    parameters: CompressedParameters | CompressedColumns, mean_square: ArrayLike, ones: float = 0.5
) -> CompressedNoise:
    """Noise of a compressed query for tables of a mean square E[W^2] of their centred packed elements.

    Parameters
    ----------
    ones : how many of the bits of the row's number are one; the worst table meets a number of ones alone
    """
    p = CompressedColumns.of(parameters)
    square = np.asarray(mean_square, dtype=np.float64)
    external, dropped = external_product_variance(p, ones), dropped_variance(p)
    worst = worst_entries_met(p) * external_product_variance(p) + secret_peak(p.degree) * dropped
    answer = answer_noise(p)
    return CompressedNoise(
        product=square * (entries_met(p) * external + dropped),
        packing=packing_variance(p),
        flooding=flooding_variance(p) + encryption_of_zero_variance(p),
        ring_switch=answer.switch,
        rounding=answer.rounding,
        low_bits=answer.low_bits,
        worst_product=np.square(_float(p.element_bound)) * worst,
    )


def failure(parameters: CompressedParameters | CompressedColumns) -> Floats:
    """log2 of the probability that any coefficient of an answer decrypts wrongly.

    The statement holds for a table whose every element is at its bound and a row whose number has no bit but ones, with
    signs that do not conspire with the secret's values at the roots: products are taken in the mean. Flooded answers
    are sized for the worst table, whose noise is ``worst_product``; without flooding the bound of the worst table would
    allow a larger failure. The limit is that of shares of low bits, less the flooding, which is bounded; the tail is
    that of :func:`costmodel.noise.log2_failure_of_products`.
    """
    p = CompressedColumns.of(parameters)
    bound = np.square(_float(p.element_bound))
    noise = compressed_noise(p, bound, 1.0)
    leaf = bit_noise(p, p.sent_bits)
    products = bound * entries_met(p) * external_product_variance(p, 0.0)
    return log2_failure_of_products(
        noise.product - products + noise.packing + noise.ring_switch + noise.rounding + encryption_of_zero_variance(p),
        products,
        leaf.constant / (leaf.constant + leaf.others),
        gaussian_terms(p),
        answer_limit(p),
        p.row_coefficients,
    )


def _float(value: ArrayLike) -> Any:
    return np.asarray(value, dtype=np.float64)
