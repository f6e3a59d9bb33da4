"""Parameters of the compressed query by search over its noise model.

For every ring, number of limbs that the table keeps, number of segments and of digits of a bit, the other choices are
an array: the width of these digits, and the shares of the noise budget that the expansion's key switches and the
rounded query may take. What is left decides the answer's bits. The cheapest of all, in seconds of server and link, is
then held to the exact model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from costmodel.expanded.compressed.noise import (
    dropped_variance,
    encryption_of_zero_variance,
    entries_met,
    failure,
    noise_to_hide_log2,
    packing_variance,
    secret_peak,
    worst_entries_met,
)
from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.expanded.folded.noise import (
    fold_variance,
    leaf_noise,
    query_rounding_variance,
    square_secret_variance,
)
from costmodel.expanded.gadgets import (
    Floats,
    answer_bits,
    bits_within,
    expansion_digits,
    fewest_digits,
    ring_switch_digits,
)
from costmodel.expanded.parameters import MOST_KEPT_BITS, Gadget
from costmodel.expanded.search import (
    BYTE_S,
    KEY_BYTE_S,
    MOST_MARGIN_BITS,
    PRODUCT_S,
    SECURITY_FLOOR_BITS,
    TRANSFORM_S,
    RingChoice,
    Task,
)
from costmodel.noise import TERNARY_VARIANCE, key_switch_variance, required_ratio
from costmodel.security import security_bits

RINGS = (
    RingChoice(2048, (53,), 2048),
    RingChoice(4096, (53, 53), 2048),
    RingChoice(4096, (53, 53), 4096),
    RingChoice(8192, (53, 53, 53), 2048),
    RingChoice(8192, (60, 60, 60), 4096),
)
"""Rings of at least 128 bits of security by both published tables, the answer's ring at its limb included."""

MOST_SEGMENTS = 16
MOST_BIT_DIGITS = 24
WIDEST_BIT_DIGIT = 40
BIT_WIDTHS = 5
"""Widths of a bit's digits from the narrowest that leaves out little enough: each wider one adds a bit of noise."""
MOST_PACKING_DIGITS = 6
"""Of a limb."""
PACKING_SHARE = 1.0 / 16.0
"""Of the noise budget that the packing may take."""


@lru_cache(maxsize=1024)
def choose_parameters(
    rows: int,
    channels: int,
    widths: tuple[int, ...],
    flooding_bits: int = 0,
    log2_failure: int = -40,
    *,
    plaintext_modulus: int | None = None,
    rings: tuple[RingChoice, ...] = RINGS,
    sigma: float = 3.19,
    byte_s: float = BYTE_S,
) -> CompressedParameters:
    """Return the cheapest parameters of a compressed query that hold the target for every table.

    Parameters
    ----------
    rows, channels : m and n of the table
    widths : bits of the channels that share a coefficient
    flooding_bits : least width of the flooding over the worst table's noise; 0 is no flooding
    log2_failure : of a whole answer
    plaintext_modulus : t; the smallest that holds the packing if left out
    rings : to choose from
    sigma : noise of encryptions and keys
    byte_s : what a byte of query and answer costs beside the server's seconds: 8 over the bits a second of a link

    Raises
    ------
    ValueError
        If no ring holds the target.
    """
    task = Task.of(rows, channels, widths, flooding_bits, log2_failure, plaintext_modulus, sigma)
    best: _Candidate | None = None
    shapes = [(_least_cost(shape, byte_s), shape) for ring in rings for shape in _shapes(task, ring)]
    for bound, shape in sorted(shapes, key=lambda pair: pair[0]):
        if best is not None and bound >= best.cost:
            break
        # The arrays take the noise for Gaussian; the exact model is held to the target with a margin if need be.
        for margin in range(MOST_MARGIN_BITS + 1):
            candidate = _cheapest(replace(shape, log2_failure=log2_failure - margin), byte_s)
            if candidate is None or (best is not None and candidate.cost >= best.cost):
                break
            found = replace(candidate.parameters, log2_failure=log2_failure)
            if failure(found) <= log2_failure:
                best = candidate._replace(parameters=found)
                break
    if best is None:
        raise task.refused(rings)
    return best.parameters


def ring_choices(degree: int, limb_bits: tuple[int, ...]) -> tuple[RingChoice, ...]:
    """Return the rings of a degree and limbs: the answer in the same ring, or wherever the first limb is secure."""
    secure = [k for k in (1, 2) if int(security_bits(degree >> k, limb_bits[0])) >= SECURITY_FLOOR_BITS]
    return tuple(RingChoice(degree, limb_bits, degree >> k) for k in (0, *secure))


class _Candidate(NamedTuple):
    cost: float
    parameters: CompressedParameters


def _shapes(task: Task, ring: RingChoice) -> Iterator[CompressedParameters]:
    """Every limb count of the table, number of segments and of digits of a bit, with the packing digits that hold."""
    narrow = Gadget(1, 2)
    template = CompressedParameters(
        **vars(task),
        degree=ring.degree,
        limb_bits=ring.limb_bits,
        segments=1,
        table_limbs=1,
        expansion=(narrow,) * (ring.degree.bit_length() - 1),
        square=narrow,
        bit=narrow,
        sent_bits=1,
        packing_digit_bits=1,
        packing_dropped_bits=0,
        answer_degree=ring.answer_degree,
        ring_switch=narrow if ring.answer_degree < ring.degree else Gadget(0, 0),
        answer_a_bits=1,
        answer_b_bits=1,
    )
    for table_limbs in range(1, min(len(ring.limb_bits), 2) + 1):
        segments = 1
        while segments <= MOST_SEGMENTS and (segments == 1 or segments < 2 * task.row_coefficients):
            shape = _packing(replace(template, table_limbs=table_limbs, segments=segments))
            segments *= 2
            if shape is None:
                continue
            for digits in range(1, MOST_BIT_DIGITS + 1):
                if shape.bit_levels * digits <= ring.degree:
                    yield replace(shape, bit=Gadget(digits, 2))


def _packing(shape: CompressedParameters) -> CompressedParameters | None:
    """The shape with the fewest digits of the packing keys that hold their share, None if none do."""
    budget = _budget(shape) * PACKING_SHARE
    bits = shape.limb_bits[0]
    drops = np.arange(bits // 2 if shape.table_limbs == 1 else 1)
    for digits in range(1, MOST_PACKING_DIGITS + 1):
        widths = -(-(bits - drops) // digits)
        noise = key_switch_variance(shape.degree, bits, widths, shape.sigma, drops)
        least = int(np.argmin(np.where(widths <= min(shape.limb_bits) - 2, noise, np.inf)))
        if widths[least] > min(shape.limb_bits) - 2:
            continue
        quietest = replace(shape, packing_digit_bits=int(widths[least]), packing_dropped_bits=int(drops[least]))
        if packing_variance(quietest) <= budget:
            return quietest
    return None


def _budget(shape: CompressedParameters) -> float:
    """Variance over Q^2 that what the flooding hides may have, or, without flooding, all errors together."""
    limit = 0.5 / shape.plaintext_modulus
    ratio = float(required_ratio(shape.log2_failure, shape.row_coefficients))
    flooded: float = 2.0 ** (shape.flooding_bits + 2) if shape.flooding_bits else 1.0
    return (limit / (ratio * flooded)) ** 2


def _cheapest(shape: CompressedParameters, byte_s: float) -> _Candidate | None:
    """The cheapest choice of digit widths and shares of the budget, None if none holds.

    Axes of the arrays: share of the expansion, width of a bit's digits, share of the rounded query.
    """
    N, log2_q, sigma = shape.degree, float(shape.log2_q), shape.sigma
    limit = 0.5 / shape.plaintext_modulus
    ratio = float(required_ratio(shape.log2_failure, shape.row_coefficients))
    budget, unit = _budget(shape), 2.0 ** (-2.0 * log2_q)
    bound = float(shape.element_bound) ** 2
    met = bound * (worst_entries_met(shape) if shape.flooding_bits else entries_met(shape))
    dropped = bound * dropped_variance(shape) * (secret_peak(N) if shape.flooding_bits else 1.0)
    fixed = packing_variance(shape) + dropped

    widest = min(min(int(log2_q), MOST_KEPT_BITS) // shape.bit.digits, WIDEST_BIT_DIGIT)
    left_out = met * (1.0 + N * TERNARY_VARIANCE) / (12.0 * budget)  # over the budget by digits that hold nothing
    narrowest = max(int(np.ceil(0.5 * np.log2(left_out) / shape.bit.digits)), 2)
    if narrowest > widest:
        return None
    width = np.arange(narrowest, min(narrowest + BIT_WIDTHS, widest + 1), dtype=np.float64)[None, :, None]
    per_energy = met * shape.bit.digits * np.exp2(2.0 * width) / 12.0 * (1.0 + N * TERNARY_VARIANCE)
    share = np.exp2(-np.arange(1.0, 9.0))[:, None, None]
    rounded = np.exp2(-np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0]))[None, None, :]

    sent_bits = bits_within(budget * rounded / per_energy, log2_q)
    digits, digit_bits, variances = expansion_digits(shape, budget * share / unit, per_energy, 0.0)
    square = fewest_digits(shape, budget * share / unit / (16.0 * per_energy), square_secret_variance(N))
    leaf = leaf_noise(N, sigma, query_rounding_variance(log2_q, sent_bits), variances)
    external = fold_variance(N, log2_q, shape.bit.digits, width, leaf, square[2]) * unit
    hidden = met * external + fixed

    ring_switch, switched = ring_switch_digits(shape, (limit / ratio) ** 2 / 64.0)
    flooding = np.zeros(hidden.shape)
    if shape.flooding_bits:
        zero = encryption_of_zero_variance(shape)
        hide = noise_to_hide_log2(hidden + zero, shape.flooding_bits) + shape.table_log2_q
        flooding = np.clip(np.ceil(shape.flooding_bits + hide), 0.0, shape.table_log2_q - 2)
    room = limit - (np.exp2(flooding - shape.table_log2_q) if shape.flooding_bits else 0.0)
    left = np.where(room > 0, (room / ratio) ** 2 - hidden - switched, -1.0)
    a_bits, b_bits, returned = answer_bits(shape, left)

    sent = shape.query_coefficients * sent_bits + returned
    kept = (np.sum(digits, axis=0) + square[0]) * N * log2_q + shape.packing_rows * N * shape.table_log2_q
    cost = _server_s(shape, digits, square[0]) + byte_s * sent / 8 + KEY_BYTE_S * kept / 8
    cost = np.where(left > 0, cost, np.inf)
    place = tuple(map(int, np.unravel_index(int(np.argmin(cost)), cost.shape)))
    if not np.isfinite(cost[place]):
        return None

    def at(values: Any) -> int:
        return int(np.broadcast_to(values, cost.shape)[place])

    return _Candidate(
        float(cost[place]),
        replace(
            shape,
            expansion=tuple(Gadget(at(count), at(bits)) for count, bits in zip(digits, digit_bits, strict=True)),
            square=Gadget(at(square[0]), at(square[1])),
            bit=Gadget(shape.bit.digits, at(width)),
            sent_bits=at(sent_bits),
            ring_switch=ring_switch,
            answer_a_bits=at(a_bits),
            answer_b_bits=at(b_bits),
            flooding_log2_bound=at(flooding),
        ),
    )


def _server_s(shape: CompressedParameters, level_digits: Any, square_digits: Any) -> Floats:
    """Seconds that a query takes, in terms of transforms and of the pass over the table.

    A polynomial's digits cost half a transform, the two products of a digit with its row a third.
    """
    digits = np.asarray(level_digits, dtype=np.float64)
    nodes = np.array(shape.expansion_nodes, dtype=np.float64).reshape(-1, *(1,) * (digits.ndim - 1))
    polynomials = np.sum(nodes * (1.5 + 1.33 * digits), axis=0)
    polynomials = polynomials + shape.query_coefficients * (1.5 + 1.33 * square_digits)
    polynomials = polynomials + shape.external_products * 2 * (1.5 + 1.33 * shape.bit.digits) + 2 * shape.blocks
    packing = shape.merges * (3.0 + 1.33 * shape.packing_digits)
    passes = 2 * shape.blocks * shape.products
    seconds: Floats = shape.degree * (
        TRANSFORM_S * (shape.limbs * polynomials + shape.table_limbs * packing) + PRODUCT_S * shape.table_limbs * passes
    )
    return seconds


def _least_cost(shape: CompressedParameters, byte_s: float) -> float:
    """What no choice of the other parameters undercuts: one digit a key switch, coefficients of log2 t bits."""
    coefficients = shape.answers * shape.answer_degree + shape.row_coefficients
    sent = byte_s * coefficients * np.log2(shape.plaintext_modulus) / 8
    return float(_server_s(shape, np.ones(shape.expansion_levels), 1.0) + sent)
