"""Parameters of the folded query by search over its noise model.

Shapes are ring, number of gadget digits of a fold and number of leaves. The other choices are arrays: the digit width
of the folds, the share of the noise budget that the expansion's key switches may take (which gives every level the
fewest digits that keep to its part), and the shares of the rounded query. The room that is left decides the
answer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from costmodel.expanded.folded.noise import (
    dropped_bits_variance,
    dropped_selectors_variance,
    failure,
    fill,
    product_variance,
    worst_product_variance,
)
from costmodel.expanded.folded.parameters import FoldedColumns, FoldedParameters
from costmodel.expanded.gadgets import Digits, bits_within, expansion_digits, own_digits, switch_counts
from costmodel.expanded.noise import (
    Floats,
    fold_variance,
    leaf_noise,
    query_rounding_variance,
    secret_peak,
)
from costmodel.expanded.parameters import MOST_LIMBS, Array, GadgetColumns, bit_length
from costmodel.expanded.search import (
    BYTE_S,
    KEY_BYTE_S,
    PRODUCT_S,
    ROUNDED,
    SHARES,
    TRANSFORM_S,
    Model,
    Priced,
    RingChoice,
    Rings,
    Search,
    Shapes,
    Task,
    log2_over_limit,
)
from costmodel.noise import TERNARY_VARIANCE

RINGS = (
    RingChoice(2048, (53,)),
    RingChoice(4096, (53, 53)),
    RingChoice(8192, (60, 60)),
    RingChoice(8192, (53, 53, 53)),
)
"""Rings of at least 128 bits of security by both published tables."""

MOST_FOLD_DIGITS = 16
WIDEST_FOLD_DIGIT = 26
WIDTH_BITS = 8
"""Bits by which a fold's digits hold more than the fewest that hold: what they leave out is then 4^-8 of the room."""


@lru_cache(maxsize=1024)
def choose_parameters(
    rows: int,
    channels: int,
    widths: tuple[int, ...],
    flooding_bits: int = 0,
    log2_failure: float = -40,
    *,
    plaintext_modulus: int | None = None,
    rings: tuple[RingChoice, ...] = RINGS,
    sigma: float = 3.19,
    byte_s: float = BYTE_S,
    log2_distance: float = 0.0,
    queries: int = 1,
    tokens: int = 1,
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
    log2_distance : that the flooding may leave after all queries, whatever the table; 0 asks for none
    queries : planned number of answers
    tokens : rows that are looked up together, which may share one a

    Raises
    ------
    ValueError
        If no ring holds the target.

    Examples
    --------
    >>> chosen = choose_parameters(300, 40, (4, 3))
    >>> chosen.degree, chosen.limb_bits
    (2048, (53,))
    """
    task = Task.of(
        rows,
        channels,
        widths,
        flooding_bits,
        log2_failure,
        plaintext_modulus,
        sigma,
        byte_s,
        log2_distance,
        queries,
        tokens,
    )
    return FoldedSearch().single(task, rings).one()


class _Choice(NamedTuple):
    """Choices of shapes, as arrays that broadcast with them."""

    share: Floats
    width: Floats
    rounded_selectors: Floats
    rounded_bits: Floats


class _Query(NamedTuple):
    """Digits and bits of the client's keys and query for a choice, and the cost of all but the answer."""

    expansion: Digits
    square: Digits
    selector_bits: Floats
    fold_bits: Floats
    cost: Floats


def expansion_transforms(columns: FoldedColumns, digits: Floats) -> Floats:
    """Transforms that the expansion of a query takes with so many digits a level, (levels, ...)."""
    found: Floats = np.sum(switch_counts(columns) * (3.0 + 1.1 * digits), axis=0)
    return found


def server_s(columns: FoldedColumns, expansion: Floats, square_digits: Floats) -> Floats:
    """Seconds that a query takes, in terms of transforms and of the pass over the table.

    In transforms (`python -m benchmarks.folded`), a node of the expansion takes 3, a squared row 2, either half of
    a fold 1.8 and a column 2.5, and every digit of what is decomposed 1.1 more. Every transform by which a polynomial
    loses primes counts as 1.1 (`python -m benchmarks.dropped_limb --kernel`).
    """
    p = columns
    squares = p.fold_coefficients * (2.0 + 1.1 * square_digits)
    dropped = 1.1 * p.dropped_polynomials * p.dropping_transforms / p.limbs
    folds = p.folds * 2 * (1.8 + 1.1 * p.fold.digits) + 2.5 * p.blocks * p.columns
    before, after = expansion + squares + dropped, folds * (p.pass_limbs / p.limbs)
    products = PRODUCT_S * 2 * p.table_products * (p.pass_limbs / p.limbs)
    found: Floats = p.limbs * p.degree * (TRANSFORM_S * (before + after) + products)
    return found


class _Model(Model):
    """The noise and cost of shapes for any choice of the rest; shapes lie along the first axis of ``axes``."""

    def __init__(self, shapes: Shapes[FoldedColumns], axes: int) -> None:
        def wide(array: Any) -> Any:
            return array.reshape(*array.shape, *(1,) * (axes - 1))

        self.columns = p = shapes.columns.mapped(wide)
        self.byte_s, self.limit, self.ratio = wide(shapes.byte_s), wide(shapes.limit), wide(shapes.ratio)
        self.log2_failure = wide(shapes.log2_failure)
        self.log2_q = p.log2_q.astype(float)
        self.tables, self.rows = shapes.tables, wide(shapes.ring)
        self.over = wide(log2_over_limit(shapes))
        hiding = np.where(p.flooded > 0, np.exp2(self.over + 2.0), 1.0)
        self.budget = np.square(self.limit / self.ratio / hiding)
        self.unit = np.exp2(-2.0 * self.log2_q)
        self.fill = fill(p)
        self.fresh = np.square(p.degree * p.sigma)
        self.per_selector = p.selectors * np.square(p.element_bound.astype(float))
        self.flooded = bool(np.any(p.flooded))
        peak = np.where(p.flooded > 0, secret_peak(p.degree), 1.0)
        self.dropped = dropped_selectors_variance(p, np.square(p.element_bound.astype(float)), peak)

    def narrowest(self) -> Array:
        """Fewest bits of a fold's digits that leave out little enough for any answer."""
        p = self.columns
        room = np.square(self.limit / self.ratio) * np.exp2(-2.0 * self.over)
        with np.errstate(divide="ignore"):
            bits = np.log2(p.fold_levels * (1.0 + TERNARY_VARIANCE * p.degree) / 12.0) - np.log2(room)
        found: Array = np.maximum(np.ceil(bits / (2.0 * p.fold.digits) - 1e-9), 2.0)
        return found

    def widest(self) -> Array:
        """Most bits of a fold's digits."""
        found: Array = np.minimum(
            np.maximum(self.columns.result_log2_q // self.columns.fold.digits, 2), WIDEST_FOLD_DIGIT
        )
        return found

    def query(self, choice: _Choice) -> _Query:
        """Digits and bits of keys and query, and their cost."""
        p = self.columns
        energy = np.exp2(2.0 * choice.width) / 12.0 * (1.0 + p.degree * TERNARY_VARIANCE)
        per_fold = np.maximum(p.fold_levels, 1) * p.fold.digits * energy
        target = self.budget * choice.share / self.unit
        expansion = expansion_digits(
            p, self.tables.expansion, self.rows, target, per_fold, self.per_selector * self.fill
        )
        square = self.tables.square.fewest(np.log2(target / (16.0 * per_fold)), self.rows)
        selector_bits = bits_within(self.budget * choice.rounded_selectors / self.per_selector, self.log2_q)
        fold_bits = bits_within(self.budget * choice.rounded_bits / per_fold, self.log2_q)
        expanding = expansion_transforms(p, expansion.digits)
        kept = (own_digits(p, expansion.digits) + square.digits) * p.degree * self.log2_q
        sent = p.selectors * selector_bits + p.fold_coefficients * fold_bits
        cost = server_s(p, expanding, square.digits) + self.byte_s * sent / 8 + KEY_BYTE_S * kept / 8
        return _Query(expansion, square, selector_bits, fold_bits, cost)

    def hidden(self, choice: _Choice, query: _Query) -> tuple[Floats, Floats]:
        """Variances over Q^2 of what the flooding hides: the columns' sums, the worst where flooded, and the folds."""
        p = self.columns
        rounding = query_rounding_variance(self.log2_q, query.selector_bits)
        bit = leaf_noise(
            p.degree, p.sigma, query_rounding_variance(self.log2_q, query.fold_bits), query.expansion.variance
        )
        selector = leaf_noise(p.degree, p.sigma, rounding, query.expansion.variance)
        product = product_variance(selector, p.selectors, np.square(p.element_bound.astype(float)), self.fill)
        if self.flooded:
            after = np.arange(len(p.expansion.digits) - 1, -1, -1).reshape(-1, *(1,) * p.degree.ndim)
            worst = worst_product_variance(
                p.degree,
                self.fresh + rounding,
                query.expansion.variance,
                after < p.split_levels,
                p.selectors,
                p.element_bound,
                self.fill,
            )
            product = np.where(p.flooded > 0, worst, product)
        folds = fold_variance(p.degree, self.log2_q, p.fold.digits, choice.width, bit, query.square.variance)
        folded = p.fold_levels * folds * self.unit + dropped_bits_variance(p, choice.width)
        return product * self.unit + self.dropped, folded

    def cheapest_query(self) -> Priced:
        """The largest shares of the budget, and the narrowest digits."""
        return self._priced(_Choice(SHARES[:1], self.narrowest(), ROUNDED[:1], ROUNDED[:1]))

    def every(self) -> Priced:
        """Axes: shape, share of the expansion, width, share of the rounded selectors and of the rounded bits."""
        width = self.widths((1, 1, -1, 1, 1))
        shares = SHARES.reshape(1, -1, 1, 1, 1)
        return self._priced(_Choice(shares, width, ROUNDED.reshape(1, 1, 1, -1, 1), ROUNDED.reshape(1, 1, 1, 1, -1)))

    def widths(self, axes: tuple[int, ...]) -> Floats:
        """Bits of a fold's digits along an axis; one more than the most where there are no more."""
        digits = self.columns.fold.digits
        most = WIDTH_BITS // int(digits.min(initial=WIDTH_BITS)) + 1
        more = np.arange(most + 1.0).reshape(axes)
        within = more * digits < WIDTH_BITS + digits
        width = np.where(within, self.narrowest() + more, np.inf)
        found: Floats = np.where(width <= self.widest(), width, self.widest() + 1.0)
        return found

    def _priced(self, choice: _Choice) -> Priced:
        query = self.query(choice)
        return Priced(choice.width, query.cost, lambda: self.hidden(choice, query))

    def least_hidden(self) -> Floats:
        """Variance over Q^2 that no choice undercuts: of the encryptions' errors, through the table."""
        found: Floats = self.per_selector * self.fresh * self.unit + self.dropped
        return found


class FoldedSearch(Search[FoldedColumns]):
    """The folded query's part of a search; its groups are the shares of the expansion."""

    groups = len(SHARES)
    axes = 5

    def shapes(self, task: Task, rings: Rings) -> Shapes[FoldedColumns]:
        """Every sensible d1 and number of digits of a fold."""
        levels = int(np.max(rings.degree)).bit_length() - 1
        digits = np.arange(1, MOST_FOLD_DIGITS + 1)[:, None]
        leaves = 1 << np.arange(3, levels + 1)

        def wide(array: Array) -> Array:
            return array.reshape(*array.shape, 1, 1)

        degree, coefficients = wide(rings.degree), task.row_coefficients.reshape(-1, 1, 1, 1)
        slot_levels = np.maximum(bit_length(degree // coefficients) - 1, 0)
        polynomials = -(-task.rows.reshape(-1, 1, 1, 1) >> slot_levels)
        column_levels = np.zeros(np.broadcast_shapes(polynomials.shape, digits.shape, leaves.shape), dtype=np.int64)
        while True:  # the fewest levels that fold the columns which the leaves besides their bits leave
            selectors = np.maximum(leaves - digits * (column_levels + slot_levels), 1)
            needed = np.maximum(bit_length(-(-polynomials // selectors) - 1), column_levels)
            if np.array_equal(needed, column_levels):
                break
            column_levels = needed
        fits = (leaves - digits * (column_levels + slot_levels) >= 1) & (leaves <= degree)
        selectors = -(-polynomials // -(-polynomials // selectors))
        fits[..., 1:] &= ~(fits[..., :-1] & (selectors[..., 1:] == selectors[..., :-1]))
        limbs = sum((1 * (bits > 0) for bits in rings.limb_bits[1:]), start=1 * (rings.limb_bits[0] > 0))
        left = np.arange(1, MOST_LIMBS + 1)
        hidden = (task.flooding_bits > 0) | (task.log2_distance < 0)
        passes = (left == limbs[..., None]) | ((left < limbs[..., None]) & hidden[:, None, None])
        row, ring, digit, leaf, kept = np.nonzero(fits[..., None] & passes[:, :, None, None, :])
        zero = np.zeros(len(row), dtype=np.int64)
        return rings.shapes(
            FoldedColumns,
            task,
            row,
            ring,
            selectors=selectors[row, ring, digit, leaf],
            pass_limbs=left[kept],
            fold=GadgetColumns(digits[digit, 0], zero),
            selector_bits=zero,
            fold_bits=zero,
        )

    def model(self, shapes: Shapes[FoldedColumns], axes: int) -> _Model:
        """Noise and cost of shapes."""
        return _Model(shapes, axes)

    def quietest(self, shapes: Shapes[FoldedColumns]) -> Floats:
        """Of the smallest shares of the budget, with the best width of a fold's digits."""
        model = _Model(shapes, 2)
        choice = _Choice(SHARES[-1:], model.widths((1, -1)), ROUNDED[-1:], ROUNDED[-1:])
        product, folds = model.hidden(choice, model.query(choice))
        hidden = np.where(choice.width <= model.widest(), product + folds, np.inf)
        found: Floats = hidden.min(axis=1) * (1 - 1e-9)
        return found

    def parameters(self, shapes: Shapes[FoldedColumns], group: Array, place: Array) -> FoldedColumns:
        """Parameters of one choice of every shape."""
        model = _Model(shapes, 1)
        width, selectors, bits = np.unravel_index(place, (WIDTH_BITS + 2, len(ROUNDED), len(ROUNDED)))
        choice = _Choice(SHARES[group], model.narrowest() + width, ROUNDED[selectors], ROUNDED[bits])
        query = model.query(choice)
        product, folds = model.hidden(choice, query)
        columns = replace(
            model.columns,
            expansion=query.expansion.gadget,
            square=query.square.gadget,
            fold=GadgetColumns(model.columns.fold.digits, choice.width.astype(np.int64)),
            selector_bits=query.selector_bits.astype(np.int64),
            fold_bits=query.fold_bits.astype(np.int64),
        )
        return self.answering(shapes).settled(columns, product + folds)

    def failure(self, columns: FoldedColumns) -> Floats:
        """log2 of the failure probability by the exact model."""
        return failure(columns)
