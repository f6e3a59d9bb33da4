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

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.expanded.folded.noise import (
    LeafNoise,
    dropped_limb_variance,
    fold_variance,
    gadget_switch_variance,
    leaf_noise,
    query_rounding_variance,
    square_secret_variance,
)
from costmodel.noise import (
    TERNARY_VARIANCE,
    key_switch_variance,
    log2_failure_of_products,
    log2_flooding_distance,
    modulus_switch_variance,
    noise_bound,
    packlwes_variance,
    public_key_encryption_variance,
)
from costmodel.protocols.compact import FLOODING_TAIL_BITS

SECRET_PEAK_MARGIN = 1.5
"""Over ln(N/2), where the largest value of a random secret at the roots lies, squared, over the mean."""


class CompressedNoise(NamedTuple):
    """Variances over Q^2 of an answer coefficient's error, step by step.

    Attributes
    ----------
    product : external products and the drop to the table's limbs, through a table of the mean square
    packing : PackLWEs
    flooding : uniform flooding and the encryption of zero
    ring_switch : rounding to one limb and the key switch to the smaller ring
    rounding : of the answer's bits
    worst_product : as ``product``, through the worst table
    """

    product: Any
    packing: Any
    flooding: Any
    ring_switch: Any
    rounding: Any
    worst_product: Any

    @property
    def total(self) -> Any:
        """Variance that a measurement of many coefficients finds."""
        return self.product + self.packing + self.flooding + self.ring_switch + self.rounding


def bit_noise(parameters: CompressedParameters) -> LeafNoise:
    """Noise of an expanded bit."""
    p = parameters
    log2_q = float(p.log2_q)
    switches = np.array([gadget_switch_variance(p.degree, log2_q, *gadget, p.sigma) for gadget in p.expansion])
    return leaf_noise(p.degree, p.sigma, query_rounding_variance(log2_q, p.sent_bits), switches)


def external_product_variance(parameters: CompressedParameters, ones: float = 1.0) -> float:
    """V over Q^2 of one external product with a bit that is one so often: what the digits leave out meets the bit."""
    p = parameters
    log2_q, leaf = float(p.log2_q), bit_noise(p)
    square = gadget_switch_variance(p.degree, log2_q, *p.square, p.sigma, square_secret_variance(p.degree))
    variance = math.ldexp(float(fold_variance(p.degree, log2_q, *p.bit, leaf, square)), -2 * p.log2_q)
    left_out = math.ldexp(1.0 + TERNARY_VARIANCE * p.degree, -2 * p.bit.kept_bits) / 12.0
    return variance - (1.0 - ones) * left_out


def entries_met(parameters: CompressedParameters) -> float:
    """External products' worth of noise in a result: s ((log2 G - 1) G + 2 (B - 1) m / B) of V E[W^2]."""
    return _first_products(parameters) + _block_products(parameters)


def worst_entries_met(parameters: CompressedParameters) -> float:
    """The same for the worst table, of the square of its largest element."""
    return (_first_products(parameters) + 2 * _block_products(parameters)) * secret_peak(parameters.degree)


def secret_peak(degree: int) -> float:
    """Bound of a secret's value at any root of X^N + 1, squared, over its mean 2N/3: ln(N/2) + 1.5."""
    return math.log(degree / 2) + SECRET_PEAK_MARGIN


def _first_products(p: CompressedParameters) -> float:
    return p.segments * max(p.position_levels - 1, 1) * min(p.rows, p.gap)


def _block_products(p: CompressedParameters) -> float:
    return p.segments * 2 * (p.blocks - 1) / p.blocks * p.rows


def _heaviest_bit(p: CompressedParameters) -> float:
    """Entries met by the noise of one bit: of the place, or of a level of the tree over the blocks, 2 m/B a node."""
    nodes = [(-(-p.blocks >> level)) - (-(-p.blocks >> level + 1)) for level in range(p.block_levels)]
    place = min(p.rows, p.gap) if p.position_levels > 1 else 0
    return float(p.segments * max(place, 2 * max(nodes, default=0) * p.rows / p.blocks, 1))


def dropped_variance(parameters: CompressedParameters) -> float:
    """Variance over Q^2 of rounding the blocks' ciphertexts to the table's limbs, through entries of 1: s m terms."""
    p = parameters
    if p.table_limbs == p.limbs:
        return 0.0
    rounding = math.ldexp(float(dropped_limb_variance(p.degree, p.limbs)), -2 * p.table_log2_q)
    return p.segments * p.rows * rounding


def packing_variance(parameters: CompressedParameters) -> float:
    """Variance over the table's modulus squared that the packing trees add."""
    p = parameters
    switches = sum(
        float(key_switch_variance(p.degree, bits, p.packing_digit_bits, p.sigma, p.packing_dropped_bits))
        for bits in p.limb_bits[: p.table_limbs]
    )
    return math.ldexp(float(packlwes_variance(switches, p.packing_depth)), -2 * p.table_log2_q)


def answer_ring_variance(parameters: CompressedParameters) -> float:
    """Variance over Q^2 of dropping to the first limb and switching to the answer's ring, 0 if that is N's."""
    p = parameters
    if not p.switches_ring:
        return 0.0
    limb = float(p.limb_bits[0])
    switch = gadget_switch_variance(p.degree, limb, *p.ring_switch, p.sigma)
    return float((dropped_limb_variance(p.degree, p.table_limbs) + switch) * np.exp2(-2.0 * limb))


def encryption_of_zero_variance(parameters: CompressedParameters) -> float:
    """Variance over Q^2 of the fresh public-key encryption of zero that flooded answers take on."""
    p = parameters
    return math.ldexp(float(public_key_encryption_variance(p.sigma, p.degree)), -2 * p.table_log2_q)


def compressed_noise(parameters: CompressedParameters, mean_square: ArrayLike, ones: float = 0.5) -> CompressedNoise:
    """Noise of a compressed query for tables of a mean square E[W^2] of their centred packed elements.

    Parameters
    ----------
    ones : how many of the bits of the row's number are one; the worst table meets a number of ones alone
    """
    p = parameters
    square = np.asarray(mean_square, dtype=np.float64)
    external, dropped = external_product_variance(p, ones), dropped_variance(p)
    worst = worst_entries_met(p) * external_product_variance(p) + secret_peak(p.degree) * dropped
    flooding = 4.0 ** (p.flooding_log2_bound - p.table_log2_q) / 3.0 + encryption_of_zero_variance(p)
    return CompressedNoise(
        product=square * (entries_met(p) * external + dropped),
        packing=packing_variance(p),
        flooding=flooding if p.flooding_bits else 0.0,
        ring_switch=answer_ring_variance(p),
        rounding=modulus_switch_variance(0.0, p.answer_degree, p.answer_a_bits, p.answer_b_bits),
        worst_product=p.element_bound**2 * worst,
    )


def noise_to_hide_log2(worst_variance: ArrayLike, flooding_bits: int) -> Any:
    """log2 of what a coefficient's noise exceeds with a probability 24 bits below 2^-flooding_bits alone."""
    return np.log2(noise_bound(np.sqrt(worst_variance), -(flooding_bits + FLOODING_TAIL_BITS)))[()]


def flooding_distance(parameters: CompressedParameters) -> float:
    """log2 of the statistical distance that the flooding leaves in one answer; 0 without flooding.

    From the width that the parameters have over the worst noise, which is at least what was asked for.
    """
    p = parameters
    if not p.flooding_bits:
        return 0.0
    noise = compressed_noise(p, 0.0)
    worst = noise.worst_product + noise.packing + encryption_of_zero_variance(p)
    hidden = noise_to_hide_log2(worst, p.flooding_bits) + p.table_log2_q
    return float(log2_flooding_distance(p.flooding_log2_bound - hidden, p.row_coefficients))


def failure(parameters: CompressedParameters) -> float:
    """log2 of the probability that any coefficient of an answer decrypts wrongly.

    For elements at their bound and a row whose number has no bit but ones. The flooding is bounded and comes off the
    limit, 1/(2t) - flooding/Q; the tail is that of :func:`costmodel.noise.log2_failure_of_products`.
    """
    p = parameters
    noise = compressed_noise(p, float(p.element_bound) ** 2, 1.0)
    limit = 0.5 / p.plaintext_modulus
    unflooded = noise.product + noise.packing + noise.ring_switch + noise.rounding
    if p.flooding_bits:
        limit -= 2.0 ** (p.flooding_log2_bound - p.table_log2_q)
        unflooded += encryption_of_zero_variance(p)
    if limit <= 0:
        return 0.0
    leaf = bit_noise(p)
    products = float(p.element_bound) ** 2 * entries_met(p) * external_product_variance(p, 0.0)
    known = float(leaf.constant / (leaf.constant + leaf.others))
    terms = p.bit.digits * entries_met(p) / _heaviest_bit(p)
    return log2_failure_of_products(unflooded - products, products, known, terms, limit, p.row_coefficients)
