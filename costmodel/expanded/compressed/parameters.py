"""Parameters of the compressed query, and every count and size that follows from them.

A table polynomial holds the entries of G = N/s consecutive rows, a *block*, in s columns: row l of the block and column
k stand at X^(l + k G). Times X^-l the row's entries are at the multiples of G. There are ceil(m/G) blocks and
ceil(n'/s) such products, which PackLWEs interleaves by log2 of their number levels instead of log2 n'.

The query is the row's number, bit by bit: the bits of l turn a one into X^-l, those of the block put it in its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.expanded.folded.parameters import COUNTER_BYTES
from costmodel.expanded.parameters import Expanded, Gadget, packed_bytes, require_gadget
from costmodel.packing import packlwes_depth, packlwes_merges, packlwes_outputs


@dataclass(frozen=True)
class CompressedParameters(Expanded):
    """One compressed query: table, ring, gadgets and the widths of everything that travels.

    Raises
    ------
    ValueError
        If a field is out of its bounds; the message names field, value and bound.
    """

    rows: int  # m
    row_coefficients: int  # n', packed coefficients of a row
    element_bound: int  # largest magnitude of a centred packed element
    plaintext_modulus: int  # t
    degree: int  # N
    limb_bits: tuple[int, ...]  # of Q, one to three primes
    segments: int  # s, columns of a table polynomial
    table_limbs: int  # primes that are left for table and packing, at most two
    expansion: tuple[Gadget, ...]  # of the automorphism keys, one a level from X -> X^(N+1) on
    square: Gadget  # of the key from s^2
    bit: Gadget  # of the encrypted bits
    sent_bits: int  # of N*b at a used coefficient of the query
    packing_digit_bits: int  # of the digits of the packing keys, in every limb
    packing_dropped_bits: int  # low bits that they leave out, with one limb
    answer_degree: int  # N', N or, after the ring switch, half or a quarter of it
    ring_switch: Gadget  # of the key to the ring of degree N'; (0, 0) without a switch
    answer_a_bits: int  # kept of a coefficient of the answer's a
    answer_b_bits: int  # and of its b
    flooding_bits: int = 0  # asked for; 0 leaves the table unprotected from the client
    flooding_log2_bound: int = 0  # the flooding is uniform in [-2^this, 2^this)
    log2_failure: int = -40  # target of a whole answer
    sigma: float = 3.19

    def __post_init__(self) -> None:
        self.require("rows", 1, 1 << 24)
        self.require("row_coefficients", 1, 1 << 20)
        self.require("element_bound", 1, (1 << 15) - 1)
        self.require("plaintext_modulus", 2, 1 << 50)
        self.check_ring()
        self.require("segments", 1, self.degree // 2)
        if self.segments & (self.segments - 1):
            raise ValueError(f"segments is {self.segments}; it must be a power of two")
        self.require("table_limbs", 1, min(self.limbs, 2))
        require_gadget("bit", self.bit, self.log2_q, min(self.limb_bits) - 2)
        if self.query_coefficients > self.degree:
            raise ValueError(
                f"bit has {self.bit.digits} digits; {self.bit_levels} bits of them are more than N={self.degree}"
            )
        self.require("sent_bits", 1, self.log2_q)
        self.require("packing_digit_bits", 1, min(self.limb_bits) - 2)
        self.require("packing_dropped_bits", 0, self.limb_bits[0] - 2 if self.table_limbs == 1 else 0)
        self.require("flooding_bits", 0, 128)
        self.require("flooding_log2_bound", 0, self.table_log2_q - 2)
        self.require("log2_failure", -1000, 0)

    @property
    def table_log2_q(self) -> int:
        """Bits of the modulus of table and packing."""
        return sum(self.limb_bits[: self.table_limbs])

    @property
    def gap(self) -> int:
        """G = N/s, rows of a block, and the distance of what is used of a product."""
        return self.degree // self.segments

    @property
    def blocks(self) -> int:
        """ceil(m/G)."""
        return -(-self.rows // self.gap)

    @property
    def products(self) -> int:
        """ceil(n'/s), sums of a product a block."""
        return -(-self.row_coefficients // self.segments)

    @property
    def position_levels(self) -> int:
        """Encrypted bits of a row's place in its block, one at least."""
        return max((min(self.rows, self.gap) - 1).bit_length(), 1)

    @property
    def block_levels(self) -> int:
        """Encrypted bits of a row's block."""
        return (self.blocks - 1).bit_length()

    @property
    def bit_levels(self) -> int:
        """Encrypted bits of a query."""
        return self.position_levels + self.block_levels

    @property
    def query_coefficients(self) -> int:
        """K, coefficients of a query that hold gadget multiples of bits."""
        return self.bit_levels * self.bit.digits

    @property
    def external_products(self) -> int:
        """One a bit of the place, then one for every block but the first."""
        return self.position_levels + self.blocks - 1

    @property
    def packing_depth(self) -> int:
        """Levels of the packing trees, each with a key."""
        return int(packlwes_depth(self.products, self.gap))

    @property
    def merges(self) -> int:
        """Key switches of the packing trees."""
        return int(packlwes_merges(self.products, self.gap))

    @property
    def packed(self) -> int:
        """Polynomials that the results are packed into."""
        return int(packlwes_outputs(self.products, self.gap))

    @property
    def spacing(self) -> int:
        """Distance of the used coefficients of a packed polynomial."""
        return self.gap >> self.packing_depth

    @property
    def parts(self) -> int:
        """Ciphertexts of degree N' that a packed polynomial comes back as: the residues of used exponents mod N/N'."""
        return max(self.degree // self.answer_degree // self.spacing, 1)

    @property
    def answers(self) -> int:
        """Answer ciphertexts of degree N'."""
        return self.packed * self.parts

    @property
    def packing_digits(self) -> int:
        """Digits of a coefficient over the limbs of the table."""
        width = self.packing_digit_bits
        return sum(-(-(bits - self.packing_dropped_bits) // width) for bits in self.limb_bits[: self.table_limbs])

    @property
    def packing_rows(self) -> int:
        """Rows of the packing keys, their public halves left out; one key at least."""
        return max(self.packing_depth, 1) * self.packing_digits

    @property
    def key_rows(self) -> int:
        """Polynomials modulo Q that the client's keys have."""
        return sum(gadget.digits for gadget in self.expansion) + self.square.digits

    @property
    def public_rows(self) -> int:
        """Polynomials modulo the table's modulus that they have besides: packing keys, and a public key to flood."""
        return self.packing_rows + (1 if self.flooding_bits else 0)

    @property
    def key_groups(self) -> tuple[tuple[int, int], ...]:
        """Rows modulo Q, modulo the table's modulus, and those of the ring switch modulo the first limb."""
        return (self.key_rows, self.limbs), (self.public_rows, self.table_limbs), (self.ring_switch_rows, 1)

    @property
    def query_bytes(self) -> int:
        """Body of a query: its counter and the used coefficients of N*b."""
        return COUNTER_BYTES + packed_bytes(self.query_coefficients, self.sent_bits)
