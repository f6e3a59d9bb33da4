"""Where a row stands in a folded query: in its column, in a polynomial, and in the answer."""

from __future__ import annotations

import numpy as np

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.expanded.gadget import gadget_elements
from protocol.expanded.layout import ExpandedLayout, Positions, QueryPart


class FoldedLayout(ExpandedLayout[FoldedParameters]):
    """A query is one at the selector of the row within its column, and gadget multiples of the bits that fold to it."""

    @property
    def query_parts(self) -> tuple[QueryPart, ...]:
        """Selectors, then the gadget multiples of the bits."""
        p = self.parameters
        return QueryPart(p.selectors, p.selector_bits), QueryPart(p.fold_coefficients, p.fold_bits)

    @property
    def result_limbs(self) -> int:
        """Those of the pass over the table."""
        return self.parameters.pass_limbs

    def message(self, token: int, modulus: int) -> list[int]:
        """Return Q/t at the row's selector, then the gadget multiples of its column's bits and its slot's."""
        p = self.parameters
        self.check_token(token)
        polynomial, slot = divmod(token, p.slots)
        column, selector = divmod(polynomial, p.selectors)
        bits = [column >> k & 1 for k in range(p.column_levels)] + [slot >> k & 1 for k in range(p.slot_levels)]
        selectors = [0] * p.selectors
        selectors[selector] = (2 * modulus + p.plaintext_modulus) // (2 * p.plaintext_modulus)
        elements = gadget_elements(modulus, p.fold)
        return selectors + [bit * element for bit in bits for element in elements]

    def row_positions(self) -> Positions:
        """Return block and coefficient of every coefficient of a row in slot 0."""
        p = self.parameters
        return Positions(*np.divmod(np.arange(p.row_coefficients, dtype=np.int64) * p.slots, p.degree))
