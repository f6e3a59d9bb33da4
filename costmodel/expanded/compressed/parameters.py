"""Parameters of the compressed query, and every count and size that follows from them.

A table polynomial holds the entries of G = N/s consecutive rows, a *block*, in s columns: row l of the block and column
k stand at X^(l + k G). Times X^-l the row's entries are at the multiples of G. There are ceil(m/G) blocks and
ceil(n'/s) such products, which PackLWEs interleaves by log2 of their number levels instead of log2 n'.

The query is the row's number, bit by bit: the bits of l turn a one into X^-l, those of the block put it in its place.
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
    at_most,
    bit_length,
    packed_bytes,
    plain_values,
    require_gadget,
)
from costmodel.packing import packlwes_depth, packlwes_merges, packlwes_outputs


class CompressedFormulas(ExpandedFormulas[Count]):
    """Counts and sizes of a compressed query, of one configuration or of columns."""

    segments: Count  # s, columns of a table polynomial
    table_limbs: Count  # primes that are left for table and packing, at most two
    bit: GadgetOf[Count]  # of the encrypted bits
    sent_bits: Count  # of N*b at a used coefficient of the query
    packing_digit_bits: Count  # of the digits of the packing keys, in every limb
    packing_dropped_bits: Count  # low bits that they leave out, with one limb

    @cached_property
    def table_log2_q(self) -> Count:
        """Bits of the modulus of table and packing."""
        kept = [bits * (self.table_limbs > limb) for limb, bits in enumerate(self.limb_bits)]
        return sum(kept[1:], start=kept[0])

    @cached_property
    def gap(self) -> Count:
        """G = N/s, rows of a block, and the distance of what is used of a product."""
        return self.degree // self.segments

    @cached_property
    def blocks(self) -> Count:
        """ceil(m/G)."""
        return -(-self.rows // self.gap)

    @cached_property
    def products(self) -> Count:
        """ceil(n'/s), sums of a product a block."""
        return -(-self.row_coefficients // self.segments)

    @cached_property
    def position_levels(self) -> Count:
        """Encrypted bits of a row's place in its block, one at least."""
        return at_least(bit_length(at_most(self.rows, self.gap) - 1), 1)

    @cached_property
    def block_levels(self) -> Count:
        """Encrypted bits of a row's block."""
        return bit_length(self.blocks - 1)

    @cached_property
    def bit_levels(self) -> Count:
        """Encrypted bits of a query."""
        return self.position_levels + self.block_levels

    @cached_property
    def query_coefficients(self) -> Count:
        """K, coefficients of a query that hold gadget multiples of bits."""
        return self.bit_levels * self.bit.digits

    @cached_property
    def external_products(self) -> Count:
        """One a bit of the place, then one for every block but the first."""
        return self.position_levels + self.blocks - 1

    @cached_property
    def packing_depth(self) -> Count:
        """Levels of the packing trees, each with a key."""
        return _as(self.degree, packlwes_depth(self.products, self.gap))

    @cached_property
    def merges(self) -> Count:
        """Key switches of the packing trees."""
        return _as(self.degree, packlwes_merges(self.products, self.gap))

    @cached_property
    def packed(self) -> Count:
        """Polynomials that the results are packed into."""
        return _as(self.degree, packlwes_outputs(self.products, self.gap))

    @cached_property
    def spacing(self) -> Count:
        """Distance of the used coefficients of a packed polynomial."""
        return self.gap >> self.packing_depth

    @cached_property
    def results(self) -> Count:
        """Ciphertexts that a row comes in."""
        return self.packed

    @cached_property
    def result_log2_q(self) -> Count:
        """The table's modulus."""
        return self.table_log2_q

    @cached_property
    def packing_digits(self) -> Count:
        """Digits of a coefficient over the limbs of the table."""
        width = self.packing_digit_bits
        digits = [
            -(-(bits - self.packing_dropped_bits) // width) * (self.table_limbs > limb)
            for limb, bits in enumerate(self.limb_bits)
        ]
        return sum(digits[1:], start=digits[0])

    @cached_property
    def packing_rows(self) -> Count:
        """Rows of the packing keys, their public halves left out; one key at least."""
        return at_least(self.packing_depth, 1) * self.packing_digits

    @cached_property
    def key_rows(self) -> Count:
        """Polynomials modulo Q that the client's keys have."""
        return self.switching_rows + self.square.digits

    @cached_property
    def public_rows(self) -> Count:
        """Polynomials modulo the table's modulus that they have besides: packing keys, and a public key to flood."""
        return self.packing_rows + self.flooded

    @cached_property
    def key_groups(self) -> tuple[tuple[Count, Count], ...]:
        """Rows modulo Q, and modulo the table's modulus."""
        return (self.key_rows, self.limbs), (self.public_rows, self.table_limbs)

    @cached_property
    def query_bytes(self) -> Count:
        """Body of a query: its counter and the used coefficients of N*b."""
        return COUNTER_BYTES + packed_bytes(self.query_coefficients, self.sent_bits)


def _as(like: Count, value: Count) -> Count:
    """A count of :mod:`costmodel.packing` as the parameters have theirs."""
    return int(value) if isinstance(like, int) else value


@dataclass(frozen=True, kw_only=True)
class CompressedParameters(CompressedFormulas[int], Expanded):
    """One compressed query: table, ring, gadgets and the widths of everything that travels.

    Raises
    ------
    ValueError
        If a field is out of its bounds; the message names field, value and bound.
    """

    segments: int
    table_limbs: int
    bit: Gadget
    sent_bits: int
    packing_digit_bits: int
    packing_dropped_bits: int

    def as_columns(self) -> CompressedColumns:
        """Columns of this one configuration."""
        return CompressedColumns.of(self)

    def __post_init__(self) -> None:
        self.check_table()
        self.require("segments", 1, self.degree // 2)
        if self.segments & (self.segments - 1):
            raise ValueError(f"segments is {self.segments}; it must be a power of two")
        self.require("table_limbs", 1, min(self.limbs, 2))
        self.check_ring()
        require_gadget("bit", self.bit, self.log2_q, min(self.limb_bits) - 2)
        if self.query_coefficients > self.degree:
            raise ValueError(
                f"bit has {self.bit.digits} digits; {self.bit_levels} bits of them are more than N={self.degree}"
            )
        self.require("sent_bits", 1, self.log2_q)
        self.require("packing_digit_bits", 1, min(self.limb_bits) - 2)
        self.require("packing_dropped_bits", 0, self.limb_bits[0] - 2 if self.table_limbs == 1 else 0)


@dataclass(frozen=True, eq=False, kw_only=True)
class CompressedColumns(CompressedFormulas[Array], Columns):
    """Many compressed queries, a column a field."""

    segments: Array
    table_limbs: Array
    bit: GadgetColumns
    sent_bits: Array
    packing_digit_bits: Array
    packing_dropped_bits: Array

    def one(self) -> CompressedParameters:
        """The parameters of columns of one configuration, checked."""
        return CompressedParameters(**plain_values(self))
