"""Parameters of the folded query, and every count and size that follows from them.

A row of n' packed coefficients lies along a polynomial. If it fills at most half of it, s = 2^floor(log2(N/n')) rows
share the polynomial, interleaved: coefficient i of slot k stands at X^(s*i + k). If it needs more than one, it takes
``blocks`` of them. The ceil(m/s) polynomials of a block are C columns of d1: the query selects one of d1 in every
column, then folds the columns to one, and the slots to slot 0, by one encrypted bit a level.
"""

# mypy: disable-error-code="no-any-return"
# Arithmetic on arrays of any kind of number has no type of its own in numpy.
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from costmodel.expanded.parameters import (
    COUNTER_BYTES,
    Array,
    Columns,
    Count,
    Expanded,
    ExpandedFormulas,
    Gadget,
    GadgetColumns,
    GadgetOf,
    at_least,
    bit_length,
    packed_bytes,
    plain_values,
    require_gadget,
)


class FoldedFormulas(ExpandedFormulas[Count]):
    """Counts and sizes of a folded query, of one configuration or of columns."""

    selectors: Count  # d1, polynomials of a column
    pass_limbs: Count  # primes that are left for the pass over the table and the folds
    fold: GadgetOf[Count]  # of the folds' encrypted bits
    selector_bits: Count  # sent of N*b at a selector's coefficient
    fold_bits: Count  # sent of N*b at a fold's coefficient

    @cached_property
    def blocks(self) -> Count:
        """Polynomials that a row takes, ceil(n'/N)."""
        return -(-self.row_coefficients // self.degree)

    @cached_property
    def slots(self) -> Count:
        """Rows of a polynomial, a power of two."""
        return 1 << self.slot_levels

    @cached_property
    def slot_levels(self) -> Count:
        """Levels that fold the slots."""
        return at_least(bit_length(self.degree // self.row_coefficients) - 1, 0)

    @cached_property
    def polynomials(self) -> Count:
        """Polynomials of a block, ceil(m/slots)."""
        return -(-self.rows // self.slots)

    @cached_property
    def columns(self) -> Count:
        """C, columns of ``selectors`` polynomials in a block."""
        return -(-self.polynomials // self.selectors)

    @cached_property
    def column_levels(self) -> Count:
        """Levels that fold the columns, ceil(log2 C)."""
        return bit_length(self.columns - 1)

    @cached_property
    def fold_levels(self) -> Count:
        """Encrypted bits of a query."""
        return self.column_levels + self.slot_levels

    @cached_property
    def fold_coefficients(self) -> Count:
        """Coefficients of a query that hold gadget multiples of bits."""
        return self.fold_levels * self.fold.digits

    @cached_property
    def query_coefficients(self) -> Count:
        """K, coefficients of a query that hold anything."""
        return self.selectors + self.fold_coefficients

    @cached_property
    def folds(self) -> Count:
        """External products, of all blocks."""
        return self.blocks * (self.columns - 1 + self.slot_levels)

    @cached_property
    def table_products(self) -> Count:
        """Polynomials of the table that a query is multiplied by, those of the last column filled up."""
        return self.blocks * self.columns * self.selectors

    @cached_property
    def results(self) -> Count:
        """Ciphertexts that a row comes in, one a block."""
        return self.blocks

    @cached_property
    def spacing(self) -> Count:
        """A row in slot 0 has every so many coefficients."""
        return self.slots

    @cached_property
    def drops_limbs(self) -> Count:
        """1 where selectors and encrypted bits lose primes before they are used, else 0."""
        return 1 * (self.pass_limbs < self.limbs)

    @cached_property
    def dropped_polynomials(self) -> Count:
        """Polynomials of a query that lose primes: both elements of selectors and of the rows of encrypted bits."""
        return self.drops_limbs * 2 * (self.selectors + 2 * self.fold_coefficients)

    @cached_property
    def dropping_transforms(self) -> Count:
        """Transforms of N residues by which a polynomial loses primes: one for each that goes and each before it."""
        return (self.limbs * (self.limbs + 1) - self.pass_limbs * (self.pass_limbs + 1)) // 2

    @cached_property
    def result_log2_q(self) -> Count:
        """Bits of the modulus of the pass and the folds."""
        kept = [bits * (self.pass_limbs > limb) for limb, bits in enumerate(self.limb_bits)]
        return sum(kept[1:], start=kept[0])

    @cached_property
    def key_rows(self) -> Count:
        """Polynomials modulo Q that the client's keys have, their public halves left out."""
        return self.switching_rows + self.square.digits + self.flooded

    @cached_property
    def key_groups(self) -> tuple[tuple[Count, Count], ...]:
        """Rows modulo Q."""
        return ((self.key_rows, self.limbs),)

    @cached_property
    def query_bytes(self) -> Count:
        """Body of a query: its counter and the used coefficients of N*b."""
        return (
            COUNTER_BYTES
            + packed_bytes(self.selectors, self.selector_bits)
            + packed_bytes(self.fold_coefficients, self.fold_bits)
        )


@dataclass(frozen=True, kw_only=True)
class FoldedParameters(FoldedFormulas[int], Expanded):
    """One folded query: table, ring, gadgets and the widths of everything that travels.

    Raises
    ------
    ValueError
        If a field is out of its bounds; the message names field, value and bound.
    """

    selectors: int
    pass_limbs: int
    fold: Gadget
    selector_bits: int
    fold_bits: int

    def as_columns(self) -> FoldedColumns:
        """Columns of this one configuration."""
        return FoldedColumns.of(self)

    def __post_init__(self) -> None:
        self.check_table()
        self.require("pass_limbs", 1, self.limbs)
        self.check_ring()
        self.require("selectors", 1, self.polynomials)
        if self.query_coefficients > self.degree:
            raise ValueError(f"selectors is {self.selectors}: {self.query_coefficients} coefficients, N={self.degree}")
        require_gadget("fold", self.fold, self.result_log2_q, min(self.limb_bits) - 2)
        for name in ("selector_bits", "fold_bits"):
            self.require(name, 1, self.log2_q)


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldedColumns(FoldedFormulas[Array], Columns):
    """Many folded queries, a column a field."""

    selectors: Array
    pass_limbs: Array
    fold: GadgetColumns
    selector_bits: Array
    fold_bits: Array

    def one(self) -> FoldedParameters:
        """The parameters of columns of one configuration, checked."""
        return FoldedParameters(**plain_values(self))
