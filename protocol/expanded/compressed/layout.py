"""Where a row stands in a compressed query: the bits of its number, and where its packed coefficients come back."""

from __future__ import annotations

import numpy as np

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.expanded.gadget import gadget_elements
from protocol.expanded.layout import ExpandedLayout, Positions, QueryPart
from protocol.packing_tree import packed_positions


class CompressedLayout(ExpandedLayout[CompressedParameters]):
    """A query is gadget multiples of the bits of the row's number; a row comes back as PackLWEs leaves it."""

    @property
    def query_parts(self) -> tuple[QueryPart, ...]:
        """All used coefficients alike."""
        return (QueryPart(self.parameters.query_coefficients, self.parameters.sent_bits),)

    @property
    def result_limbs(self) -> int:
        """The table's."""
        return self.parameters.table_limbs

    def row_bits(self, row: int) -> tuple[int, ...]:
        """Return the bits of a row's place in its block, then those of its block, each lowest first.

        Raises
        ------
        ValueError
            If it is outside the table; its number is not in the message.
        """
        p = self.parameters
        self.check_token(row)
        block, position = divmod(row, p.gap)
        return (
            *(position >> k & 1 for k in range(p.position_levels)),
            *(block >> k & 1 for k in range(p.block_levels)),
        )

    def message(self, token: int, modulus: int) -> list[int]:
        """Return the gadget multiples of the bits of the row's number."""
        elements = gadget_elements(modulus, self.parameters.bit)
        return [bit * element for bit in self.row_bits(token) for element in elements]

    def row_positions(self) -> Positions:
        """Return where a row stands in the packed polynomials of degree N."""
        p = self.parameters
        product, segment = np.divmod(np.arange(p.row_coefficients, dtype=np.int64), p.segments)
        polynomial, coefficient = packed_positions(p.products, p.gap)
        return Positions(polynomial[product], coefficient[product] + segment * p.gap)
