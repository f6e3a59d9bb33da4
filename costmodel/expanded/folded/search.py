"""Parameters of the folded query by search over its noise model.

For every ring, number of gadget digits of a fold and number of leaves, the other choices are an array: the digit width
of the folds, the share of the noise budget that the expansion's key switches may take (which gives every level the
fewest digits that keep to its part), and the shares of the rounded query. What is left decides the answer's bits. The
cheapest of all, in seconds of server and link, is then held to the exact model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from costmodel.expanded.folded.noise import (
    failure,
    fold_variance,
    leaf_noise,
    noise_to_hide_log2,
    product_variance,
    query_rounding_variance,
    square_secret_variance,
    worst_product_variance,
)
from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.gadgets import (
    Floats,
    answer_bits,
    bits_within,
    expansion_digits,
    fewest_digits,
    ring_switch_digits,
)
from costmodel.expanded.parameters import Gadget
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
from costmodel.noise import TERNARY_VARIANCE, public_key_encryption_variance, required_ratio
from costmodel.security import security_bits

_MOST_FOLD_DIGITS = 16
_WIDEST_FOLD_DIGIT = 26


RINGS = (
    RingChoice(2048, (53,), 2048),
    RingChoice(4096, (53, 53), 2048),
    RingChoice(4096, (53, 53), 4096),
    RingChoice(8192, (60, 60), 4096),
    RingChoice(8192, (53, 53, 53), 4096),
)
"""Rings of at least 128 bits of security by both published tables, the answer's ring at its limb included."""


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
) -> FoldedParameters:
    """Return the cheapest parameters of a folded query that hold the target for every table.

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
    bounded = [(bound, shape) for ring in rings for bound, shape in _bounded(list(_shapes(task, ring)), byte_s)]
    for bound, shape in sorted(bounded, key=lambda pair: pair[0]):
        if best is not None and bound >= best.cost:
            break
        # The arrays take the noise for Gaussian; the exact model is held to the target, with a margin if need be.
        for margin in range(MOST_MARGIN_BITS + 1):
            found, failed = _best_of(shape, margin, byte_s, best)
            if found is not best or not failed:
                best = found
                break
    if best is None:
        raise task.refused(rings)
    return best.parameters


def _best_of(
    shape: FoldedParameters, margin: int, byte_s: float, best: _Candidate | None
) -> tuple[_Candidate | None, bool]:
    """The best so far or a candidate of the shape that beats it and holds the target; whether any failed to hold it."""
    failed = False
    stricter = replace(shape, log2_failure=shape.log2_failure - margin)
    for candidate in _candidates(stricter, byte_s, math.inf if best is None else best.cost):
        if best is not None and candidate.cost >= best.cost:
            break
        found = replace(candidate.parameters, log2_failure=shape.log2_failure)
        if failure(found) <= shape.log2_failure:
            best = candidate._replace(parameters=found)
        else:
            failed = True
    return best, failed


def ring_choices(degree: int, limb_bits: tuple[int, ...]) -> tuple[RingChoice, ...]:
    """Return the rings of a degree and limbs: the answer in the same ring or, where that is secure, in half of it.

    With three limbs an answer comes back in half of it alone.
    """
    halved = int(security_bits(degree // 2, limb_bits[0])) >= SECURITY_FLOOR_BITS
    first = 1 if len(limb_bits) > 2 else 0
    return tuple(RingChoice(degree, limb_bits, degree >> k) for k in range(first, 2 if halved else 1))


class _Candidate(NamedTuple):
    cost: float
    parameters: FoldedParameters


def _shapes(task: Task, ring: RingChoice) -> Iterator[FoldedParameters]:
    """Every sensible d1 and number of digits of a fold; the other choices are still the narrowest."""
    levels = ring.degree.bit_length() - 1
    narrow = Gadget(1, 2)
    template = FoldedParameters(
        **vars(task),
        degree=ring.degree,
        limb_bits=ring.limb_bits,
        selectors=1,
        expansion=(narrow,) * levels,
        square=narrow,
        fold=narrow,
        selector_bits=1,
        fold_bits=1,
        answer_degree=ring.answer_degree,
        ring_switch=narrow if ring.answer_degree < ring.degree else Gadget(0, 0),
        answer_a_bits=1,
        answer_b_bits=1,
    )
    seen = set()
    for digits in range(1, _MOST_FOLD_DIGITS + 1):
        for depth in range(3, levels + 1):
            selectors = _selectors(template, 1 << depth, digits)
            if selectors and (selectors, digits) not in seen:
                seen.add((selectors, digits))
                yield replace(template, selectors=selectors, fold=Gadget(digits, 2))


def _selectors(template: FoldedParameters, leaves: int, digits: int) -> int:
    """Return the d1 that leaves as few columns as so many leaves allow, 0 if there is none."""
    for column_levels in range(25):
        selectors = leaves - digits * (column_levels + template.slot_levels)
        if selectors < 1:
            return 0
        columns = -(-template.polynomials // selectors)
        if (columns - 1).bit_length() <= column_levels:
            return -(-template.polynomials // columns)
    return 0


def _candidates(shape: FoldedParameters, byte_s: float, below: float) -> Iterator[_Candidate]:
    """The cheapest choice of every share of the budget that the expansion may take, if below a cost; cheapest first.

    Axes of the arrays: share of the expansion, width of the folds' digits, share of the rounded selectors, and of the
    rounded bits.
    """
    N, log2_q, sigma = shape.degree, float(shape.log2_q), shape.sigma
    limit, ratio = _limit(shape)
    budget = (limit / ratio / _hiding(shape)) ** 2
    unit = 2.0 ** (-2.0 * log2_q)
    fill = shape.row_coefficients * shape.slots / (shape.blocks * N)

    widest = min(int(log2_q) // shape.fold.digits, _WIDEST_FOLD_DIGIT)
    width = np.arange(2, max(widest, 2) + 1, dtype=np.float64)[None, :, None, None]
    levels = max(shape.fold_levels, 1)
    per_fold = levels * shape.fold.digits * np.exp2(2.0 * width) / 12.0 * (1.0 + N * TERNARY_VARIANCE)
    per_selector = float(shape.selectors) * shape.element_bound**2
    share = np.exp2(-np.arange(1.0, 9.0))[:, None, None, None]
    rounded_selectors = np.exp2(-np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0]))[None, None, :, None]
    rounded_bits = np.exp2(-np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0]))[None, None, None, :]

    selector_bits = bits_within(budget * rounded_selectors / per_selector, log2_q)
    fold_bits = bits_within(budget * rounded_bits / per_fold, log2_q)
    digits, digit_bits, variances = expansion_digits(shape, budget * share / unit, per_fold, per_selector * fill)
    square_target = budget * share / unit / (16.0 * per_fold)
    square = fewest_digits(shape, square_target, square_secret_variance(N))

    fresh = (N * sigma) ** 2
    selector_rounding = query_rounding_variance(log2_q, selector_bits)
    bit = leaf_noise(N, sigma, query_rounding_variance(log2_q, fold_bits), variances)
    if shape.flooding_bits:
        splits = np.arange(shape.expansion_levels) >= shape.expansion_levels - shape.split_levels
        product = worst_product_variance(
            N,
            fresh + selector_rounding,
            variances,
            splits.reshape(-1, 1, 1, 1, 1),
            shape.selectors,
            shape.element_bound,
            fill,
        )
    else:
        selector = leaf_noise(N, sigma, selector_rounding, variances)
        product = product_variance(selector, shape.selectors, shape.element_bound**2, fill)
    folds = shape.fold_levels * fold_variance(N, log2_q, shape.fold.digits, width, bit, square[2])
    hidden = (product + folds) * unit

    ring_switch, switched = ring_switch_digits(shape, (limit / ratio) ** 2 / 64.0)
    flooding = np.zeros(hidden.shape)
    if shape.flooding_bits:
        zero = public_key_encryption_variance(shape.sigma, shape.degree) * 2.0 ** (-2.0 * log2_q)
        hide = noise_to_hide_log2(hidden + zero, shape.row_coefficients, shape.log2_failure) + log2_q
        flooding = np.clip(np.ceil(shape.flooding_bits + hide), 0.0, log2_q - 2)
    room = limit - (np.exp2(flooding - log2_q) if shape.flooding_bits else 0.0)
    left = np.where(room > 0, (room / ratio) ** 2 - hidden - switched, -1.0)
    a_bits, b_bits, returned = answer_bits(shape, left)

    sent = shape.selectors * selector_bits + shape.fold_coefficients * fold_bits + returned
    kept = (np.sum(digits, axis=0) + square[0]) * N * log2_q
    cost = _server_s(shape, digits, square[0]) + byte_s * sent / 8 + KEY_BYTE_S * kept / 8
    cost = np.where(left > 0, cost, np.inf)

    by_share = cost.reshape(len(cost), -1)
    for index in np.argsort(np.min(by_share, axis=1), kind="stable").tolist():
        place = (index, *map(int, np.unravel_index(int(np.argmin(by_share[index])), cost.shape[1:])))
        if not cost[place] < below:
            return

        def at(values: Any, place: tuple[int, ...] = place) -> int:
            return int(np.broadcast_to(values, cost.shape)[place])

        yield _Candidate(
            float(cost[place]),
            replace(
                shape,
                expansion=tuple(Gadget(at(count), at(bits)) for count, bits in zip(digits, digit_bits, strict=True)),
                square=Gadget(at(square[0]), at(square[1])),
                fold=Gadget(shape.fold.digits, at(width)),
                selector_bits=at(selector_bits),
                fold_bits=at(fold_bits),
                ring_switch=ring_switch,
                answer_a_bits=at(a_bits),
                answer_b_bits=at(b_bits),
                flooding_log2_bound=at(flooding),
            ),
        )


def _server_s(shape: FoldedParameters, level_digits: Any, square_digits: Any) -> Floats:
    """Seconds that a query takes, in terms of transforms and of the pass over the table.

    In transforms (`python -m benchmarks.folded`), a node of the expansion takes 3, a squared row 2, either half of a
    fold 1.8 and a column 2.5, and every digit of what is decomposed 1.1 more. Constants and not the machine's, so that
    both parties come to the same parameters.
    """
    digits = np.asarray(level_digits, dtype=np.float64)
    nodes = np.array(shape.expansion_nodes, dtype=np.float64).reshape(-1, *(1,) * (digits.ndim - 1))
    expansion = np.sum(nodes * (3.0 + 1.1 * digits), axis=0)
    squares = shape.fold_coefficients * (2.0 + 1.1 * square_digits)
    folds = shape.folds * 2 * (1.8 + 1.1 * shape.fold.digits) + 2.5 * shape.blocks * shape.columns
    products = 2 * shape.blocks * shape.columns * shape.selectors
    seconds: Floats = shape.limbs * shape.degree * (TRANSFORM_S * (expansion + squares + folds) + PRODUCT_S * products)
    return seconds


def _bounded(shapes: list[FoldedParameters], byte_s: float) -> Iterator[tuple[float, FoldedParameters]]:
    """Yield the shapes of a ring with what none of their choices undercuts."""
    if shapes:
        least_answer_bits = _least_answer_bits(shapes[0])
        for shape in shapes:
            yield _least_cost(shape, byte_s, least_answer_bits), shape


def _least_cost(shape: FoldedParameters, byte_s: float, least_answer_bits: float) -> float:
    """What no choice of the other parameters undercuts: one digit a key switch, every rounding all of the budget."""
    limit, ratio = _limit(shape)
    budget = (limit / ratio / _hiding(shape)) ** 2
    per_selector = shape.selectors * shape.element_bound**2
    per_fold = shape.fold_levels * shape.fold.digits * 4.0**2 / 12.0 * (1.0 + shape.degree * TERNARY_VARIANCE)
    sent = least_answer_bits + shape.selectors * max(-0.5 * math.log2(12.0 * budget / per_selector), 1.0)
    if shape.fold_levels:
        sent += shape.fold_coefficients * max(-0.5 * math.log2(12.0 * budget / per_fold), 1.0)
    return float(_server_s(shape, np.ones(shape.expansion_levels), 1.0) + byte_s * sent / 8)


def _least_answer_bits(shape: FoldedParameters) -> float:
    """Bits of the shortest answer, if nothing but its rounding is in the way; the same for all shapes of a ring."""
    limit, ratio = _limit(shape)
    return float(answer_bits(shape, np.array([(limit / ratio) ** 2]))[2][0])


def _limit(shape: FoldedParameters) -> tuple[float, float]:
    """What an error over Q may not exceed, and by how many standard deviations."""
    return 0.5 / shape.plaintext_modulus, float(required_ratio(shape.log2_failure, shape.row_coefficients))


def _hiding(shape: FoldedParameters) -> float:
    """What the noise is hidden under, over it: at least so much of the limit is the flooding's."""
    return 2.0 ** (shape.flooding_bits + 2) if shape.flooding_bits else 1.0
