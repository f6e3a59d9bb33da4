"""Parameters of the compressed query by search over its noise model.

Shapes are ring, number of limbs that the table keeps, number of segments and of digits of a bit, with the fewest digits
of the packing keys that hold their share. The other choices are arrays: the width of a bit's digits, and the shares of
the noise budget that the expansion's key switches and the rounded query may take. The room that is left decides the
answer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from costmodel.expanded.compressed.noise import (
    dropped_variance,
    entries_met,
    failure,
    packing_variance,
    worst_entries_met,
)
from costmodel.expanded.compressed.parameters import CompressedColumns, CompressedParameters
from costmodel.expanded.gadgets import Digits, bits_within, expansion_digits, own_digits, smallest_limb, switch_counts
from costmodel.expanded.noise import Floats, fold_variance, leaf_noise, query_rounding_variance, secret_peak
from costmodel.expanded.parameters import MOST_KEPT_BITS, Array, GadgetColumns
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
from costmodel.noise import TERNARY_VARIANCE, key_switch_variance

RINGS = (
    RingChoice(2048, (53,)),
    RingChoice(4096, (53, 53)),
    RingChoice(8192, (53, 53, 53)),
    RingChoice(8192, (60, 60, 60)),
)
"""Rings of at least 128 bits of security by both published tables."""

SEGMENTS = np.array([1, 2, 4, 8, 16])
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
    log2_failure: float = -40,
    *,
    plaintext_modulus: int | None = None,
    rings: tuple[RingChoice, ...] = RINGS,
    sigma: float = 3.19,
    byte_s: float = BYTE_S,
    log2_distance: float = 0.0,
    queries: int = 1,
    tokens: int = 1,
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
    log2_distance : that the flooding may leave after all queries, whatever the table; 0 asks for none
    queries : planned number of answers
    tokens : rows that are looked up together, which may share one a

    Raises
    ------
    ValueError
        If no ring holds the target.

    Examples
    --------
    >>> chosen = choose_parameters(300, 40, (4, 3, 3))
    >>> chosen.degree, chosen.blocks
    (4096, 2)
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
    return CompressedSearch().single(task, rings).one()


class _Choice(NamedTuple):
    """Choices of shapes, as arrays that broadcast with them."""

    share: Floats
    width: Floats
    rounded: Floats


class _Query(NamedTuple):
    """Digits and bits of the client's keys and query for a choice, and the cost of all but the answer."""

    expansion: Digits
    square: Digits
    sent_bits: Floats
    cost: Floats


def _budget(shapes: Shapes[CompressedColumns]) -> Floats:
    """Variance over Q^2 that the flooding hides at most, or, without flooding, of all errors together."""
    over = log2_over_limit(shapes)
    hiding = np.where(shapes.columns.flooded > 0, np.exp2(over + 2.0), 1.0)
    found: Floats = np.square(shapes.limit / (shapes.ratio * hiding))
    return found


class _Model(Model):
    """The noise and cost of shapes for any choice of the rest; shapes lie along the first axis of ``axes``."""

    def __init__(self, shapes: Shapes[CompressedColumns], axes: int) -> None:
        def wide(array: Any) -> Any:
            return array.reshape(*array.shape, *(1,) * (axes - 1))

        flat = shapes.columns
        self.columns = p = flat.mapped(wide)
        self.byte_s = wide(shapes.byte_s)
        self.log2_q = p.log2_q.astype(float)
        self.tables, self.rows = shapes.tables, wide(shapes.ring)
        self.budget, self.unit = wide(_budget(shapes)), np.exp2(-2.0 * self.log2_q)
        flooded, square = flat.flooded > 0, np.square(flat.element_bound.astype(float))
        self.met = wide(square * np.where(flooded, worst_entries_met(flat), entries_met(flat)))
        dropped = square * dropped_variance(flat) * np.where(flooded, secret_peak(flat.degree), 1.0)
        self.fixed = wide(packing_variance(flat) + dropped)

    def narrowest(self) -> Array:
        """Fewest bits of a bit's digits that leave out little enough."""
        p = self.columns
        left_out = self.met * (1.0 + p.degree * TERNARY_VARIANCE) / (12.0 * self.budget)
        found: Array = np.maximum(np.ceil(0.5 * np.log2(left_out) / p.bit.digits), 2.0)
        return found

    def widest(self) -> Array:
        """Most bits of a bit's digits."""
        kept = np.minimum(self.columns.log2_q, MOST_KEPT_BITS)
        found: Array = np.minimum(kept // self.columns.bit.digits, WIDEST_BIT_DIGIT)
        return found

    def query(self, choice: _Choice) -> _Query:
        """Digits and bits of keys and query, and their cost."""
        p = self.columns
        per_energy = self.met * p.bit.digits * np.exp2(2.0 * choice.width) / 12.0 * (1.0 + p.degree * TERNARY_VARIANCE)
        target = self.budget * choice.share / self.unit
        none = np.zeros(p.degree.shape)
        expansion = expansion_digits(p, self.tables.expansion, self.rows, target, per_energy, none)
        square = self.tables.square.fewest(np.log2(target / (16.0 * per_energy)), self.rows)
        sent_bits = bits_within(self.budget * choice.rounded / per_energy, self.log2_q)
        expanding = np.sum(switch_counts(p) * (1.5 + 1.33 * expansion.digits), axis=0)
        kept = (own_digits(p, expansion.digits) + square.digits) * p.degree * self.log2_q
        kept = kept + p.packing_rows * p.degree * p.table_log2_q
        cost = self.server_s(expanding, square.digits) + KEY_BYTE_S * kept / 8
        return _Query(expansion, square, sent_bits, cost + self.byte_s * p.query_coefficients * sent_bits / 8)

    def server_s(self, expansion: Floats, square_digits: Floats) -> Floats:
        """Seconds that a query takes, in terms of transforms and of the pass over the table.

        A polynomial's digits cost half a transform, the two products of a digit with its row a third.
        """
        p = self.columns
        polynomials = expansion + p.query_coefficients * (1.5 + 1.33 * square_digits)
        polynomials = polynomials + p.external_products * 2 * (1.5 + 1.33 * p.bit.digits) + 2 * p.blocks
        packing = p.table_limbs * p.merges * (3.0 + 1.33 * p.packing_digits)
        passes = PRODUCT_S * p.table_limbs * 2 * p.blocks * p.products
        found: Floats = p.degree * (TRANSFORM_S * (p.limbs * polynomials + packing) + passes)
        return found

    def hidden(self, choice: _Choice, query: _Query) -> tuple[Floats]:
        """Variance over Q^2 of all that the flooding hides: external products, packing and dropped limbs."""
        p = self.columns
        rounding = query_rounding_variance(self.log2_q, query.sent_bits)
        leaf = leaf_noise(p.degree, p.sigma, rounding, query.expansion.variance)
        external = fold_variance(p.degree, self.log2_q, p.bit.digits, choice.width, leaf, query.square.variance)
        return (self.met * external * self.unit + self.fixed,)

    def cheapest_query(self) -> Priced:
        """The largest shares of the budget, and the narrowest digits."""
        return self._priced(_Choice(SHARES[:1], self.narrowest(), ROUNDED[:1]))

    def every(self) -> Priced:
        """Axes: shape, share of the expansion, width, share of the rounded query."""
        width = self.narrowest() + np.arange(BIT_WIDTHS).reshape(1, 1, -1, 1)
        return self._priced(_Choice(SHARES.reshape(1, -1, 1, 1), width, ROUNDED.reshape(1, 1, 1, -1)))

    def _priced(self, choice: _Choice) -> Priced:
        query = self.query(choice)
        return Priced(choice.width, query.cost, lambda: self.hidden(choice, query))

    def least_hidden(self) -> Floats:
        """Variance over Q^2 that no choice undercuts: of packing and dropped limbs."""
        found: Floats = self.fixed
        return found


class CompressedSearch(Search[CompressedColumns]):
    """The compressed query's part of a search; all choices of a shape are one group."""

    groups = 1
    axes = 4

    def shapes(self, task: Task, rings: Rings) -> Shapes[CompressedColumns]:
        """Every limb count of the table, number of segments and of digits of a bit."""
        sizes = (len(task), rings.degree.shape[1], 2, len(SEGMENTS))
        limbs = np.sum([np.minimum(bits, 1) for bits in rings.limb_bits], axis=0)[:, :, None, None]
        kept = np.array([1, 2])[:, None]
        fits = (kept <= limbs) & ((SEGMENTS == 1) | (2 * task.row_coefficients.reshape(-1, 1, 1, 1) > SEGMENTS))
        row, ring, table, segment = np.nonzero(np.broadcast_to(fits, sizes))
        zero = np.zeros(len(row), dtype=np.int64)
        packed = self._packing(
            rings.shapes(
                CompressedColumns,
                task,
                row,
                ring,
                table_limbs=table + 1,
                segments=SEGMENTS[segment],
                bit=GadgetColumns(zero, zero),
                sent_bits=zero,
                packing_digit_bits=zero,
                packing_dropped_bits=zero,
            )
        )
        digits = np.arange(1, MOST_BIT_DIGITS + 1)
        shape, number = np.nonzero(packed.columns.bit_levels[:, None] * digits <= packed.columns.degree[:, None])
        every = packed.taken(shape)
        return replace(every, columns=replace(every.columns, bit=GadgetColumns(digits[number], every.columns.bit.bits)))

    def _packing(self, shapes: Shapes[CompressedColumns]) -> Shapes[CompressedColumns]:
        """The shapes whose packing keys hold their share, with the fewest digits that do."""
        p, first = shapes.columns, shapes.columns.limb_bits[0][:, None, None]
        drops = np.arange(int(np.max(first, initial=2)) // 2)
        allowed = np.where((p.table_limbs == 1)[:, None, None], drops < first // 2, drops == 0)
        digits = np.arange(1, MOST_PACKING_DIGITS + 1)[:, None]
        widths = -(-(first - drops) // digits)
        noise = key_switch_variance(p.degree[:, None, None], first, widths, p.sigma[:, None, None], drops)
        narrow = (widths <= (smallest_limb(p) - 2)[:, None, None]) & allowed
        least = np.argmin(np.where(narrow, noise, np.inf), axis=-1)
        width = np.take_along_axis(widths, least[..., None], axis=-1)[..., 0]
        wide = replace(p.mapped(lambda array: array[..., None]), packing_digit_bits=width, packing_dropped_bits=least)
        held = narrow.any(axis=-1) & (packing_variance(wide) <= (_budget(shapes) * PACKING_SHARE)[:, None])
        rows, fewest = np.flatnonzero(held.any(axis=-1)), np.argmax(held, axis=-1)
        chosen = shapes.taken(rows)
        place = (rows, fewest[rows])
        columns = replace(chosen.columns, packing_digit_bits=width[place], packing_dropped_bits=least[place])
        return replace(chosen, columns=columns)

    def model(self, shapes: Shapes[CompressedColumns], axes: int) -> _Model:
        """Noise and cost of shapes."""
        return _Model(shapes, axes)

    def parameters(self, shapes: Shapes[CompressedColumns], group: Array, place: Array) -> CompressedColumns:
        """Parameters of one choice of every shape."""
        model = _Model(shapes, 1)
        share, width, rounded = np.unravel_index(place, (len(SHARES), BIT_WIDTHS, len(ROUNDED)))
        choice = _Choice(SHARES[share], model.narrowest() + width, ROUNDED[rounded])
        query = model.query(choice)
        (hidden,) = model.hidden(choice, query)
        columns = replace(
            model.columns,
            expansion=query.expansion.gadget,
            square=query.square.gadget,
            bit=GadgetColumns(model.columns.bit.digits, choice.width.astype(np.int64)),
            sent_bits=query.sent_bits.astype(np.int64),
        )
        return self.answering(shapes).settled(columns, hidden)

    def failure(self, columns: CompressedColumns) -> Floats:
        """log2 of the failure probability by the exact model."""
        return failure(columns)
