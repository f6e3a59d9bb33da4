"""The table as the residue engine multiplies by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.compact import ledger as compact
from protocol.compact.extraction import Extractor, shifted_down
from protocol.compact.plan import Plan
from protocol.elements import middle_element
from protocol.engine import Progress
from protocol.meter import Meter
from protocol.residue.inner_product import convolution_order
from protocol.residue.multiply_accumulate import transform_table
from protocol.residue.packlwes import packing_factors
from quantize.packing import UnsignedArray

COLUMN_CHUNK = 32
"""Packed columns that are transformed, multiplied and packed together."""


class EncodedTable:
    """The packed table less its middle element, as numbers and as polynomials.

    Parameters
    ----------
    plan
        Where its entries lie.
    coefficients
        The packed table, shape (m, n').
    meter
        Counts and times the encoding.
    progress
        Called with what is being done, how much is done, and of how much.

    Attributes
    ----------
    middle : what every entry is less
    weights : the entries, columns first, (n', m)
    transformed : their polynomials in evaluation form, (limbs, outputs, inputs, N), scaled for packing
    extractor : of the used coefficients of an answer, where packing wants them apart
    """

    def __init__(self, plan: Plan, coefficients: UnsignedArray, meter: Meter, progress: Progress) -> None:
        layout, ring = plan.layout, plan.ring
        self.middle = middle_element(plan.configuration.packing.field_moduli)
        signed = np.int16 if plan.plaintext_modulus <= compact.SHORT_PLAINTEXT_MODULUS else np.int64
        self.weights = _centred_columns(coefficients, self.middle, np.dtype(signed))
        tile = layout.tile_rows, layout.tile_columns
        self.extractor = Extractor(ring, *tile) if plan.packs and plan.extracts else None
        factors = packing_factors(plan.leaves, ring, plan.gap) if plan.packs else None
        shape = (ring.limbs, layout.outputs, layout.inputs, ring.ring_degree)
        self.transformed = np.empty(shape, dtype=np.uint64)
        for first in range(0, layout.outputs, COLUMN_CHUNK):
            chunk = range(first, min(first + COLUMN_CHUNK, layout.outputs))
            with meter.counting("encode table") as encoded:
                polynomials = self._polynomials(plan, chunk)
                self.transformed[:, first : chunk.stop] = transform_table(polynomials, ring, factors, encoded)
            progress("encoding table", chunk.stop, layout.outputs)

    def _polynomials(self, plan: Plan, outputs: range) -> NDArray[np.signedinteger]:
        layout = plan.layout
        if plan.whole_columns:
            return convolution_order(self.weights[outputs.start : outputs.stop], plan.ring.ring_degree)
        rows = self.weights.T
        polynomials = np.stack(
            [
                np.stack([layout.table_polynomial(rows, block, output, 0) for block in range(layout.inputs)])
                for output in outputs
            ]
        )
        return shifted_down(polynomials, layout.tile_rows - 1) if plan.packs else polynomials


def _centred_columns(
    coefficients: UnsignedArray, middle: int, dtype: np.dtype[np.signedinteger]
) -> NDArray[np.signedinteger]:
    """The packed table less its middle element, columns first, shape (n', m)."""
    columns = np.empty(coefficients.shape[::-1], dtype=dtype)
    for first in range(0, columns.shape[0], COLUMN_CHUNK):
        chunk = slice(first, first + COLUMN_CHUNK)
        columns[chunk] = coefficients[:, chunk].T.astype(np.int64) - middle
    return columns
