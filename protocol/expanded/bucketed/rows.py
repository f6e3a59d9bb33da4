"""The rows of a table in evaluation form, each by itself, from which the polynomials of any bucket are put together.

A row that shares its polynomial with s - 1 others is one in X^s: of its transform every s neighbouring entries are
equal, and one of them is kept. What is left of the transform of s rows in one polynomial is its last log2 s stages. So
all buckets of all clients take the memory of a single table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.expanded.bucketed.placement import IntArray
from protocol.expanded.products import Factors, sums_of_products
from protocol.meter import Tally
from protocol.residue.compiled import kernel
from protocol.residue.modular import multiply_shoup
from protocol.residue.multiply_accumulate import half_bits, transform_table
from protocol.residue.ring import Ring, Tables
from protocol.residue.split_sums import LANES
from protocol.threads import ALONE, Threads

TOGETHER = 64
"""Rows that are transformed together."""


class Rows:
    """A table's rows in evaluation form.

    Parameters
    ----------
    parameters : of the query of a bucket
    ring : of queries
    coefficients : packed coefficients, integers (m, n')
    middle : subtracted from every coefficient
    tally : told of every polynomial encoded
    """

    def __init__(
        self,
        parameters: FoldedParameters,
        ring: Ring,
        coefficients: NDArray[np.integer],
        middle: int,
        tally: Tally,
    ) -> None:
        p = self.parameters = parameters
        self.ring = ring
        self._halves = np.array([half_bits(q) for q in ring.moduli], dtype=np.uint64)
        rows = len(coefficients)
        self._values = np.empty((ring.limbs, p.blocks, rows, p.degree // p.slots), dtype=np.uint64)
        radix = tuple((1 << 64) % q for q in ring.moduli)
        for first in range(0, rows, TOGETHER):
            some = coefficients[first : first + TOGETHER].astype(np.int32) - middle
            padded = np.zeros((len(some), p.blocks * p.degree), dtype=np.int32)
            padded[:, : p.slots * some.shape[1] : p.slots] = some
            polynomials = np.moveaxis(padded.reshape(len(some), p.blocks, p.degree), 1, 0)
            transformed = transform_table(np.ascontiguousarray(polynomials), ring, radix, tally)
            self._values[:, :, first : first + len(some)] = transformed[..., :: p.slots]

    @property
    def size_bytes(self) -> int:
        """Memory of all rows."""
        return self._values.nbytes

    def new_room(self) -> NDArray[np.uint64]:
        """Return room for the polynomials of a bucket, (limbs, tiles, columns, d1, LANES)."""
        p = self.parameters
        cut = (self.ring.limbs, p.degree // LANES, p.blocks * p.columns, p.selectors, LANES)
        return np.zeros(cut, dtype=np.uint64)

    def gather(self, rows: IntArray, out: NDArray[np.uint64], threads: Threads = ALONE) -> None:
        """Put the polynomials of a bucket together.

        Parameters
        ----------
        rows : of the bucket in their order, negative where there is none
        out : of :meth:`new_room`
        threads : share the polynomials
        """

        def gather(first: int, last: int) -> int:
            _gather(
                self._values, rows, first, last, self.parameters.columns, self.ring.tables, self._halves, out
            )  # fmt: skip
            return last - first

        threads.share(gather, -(-rows.size // self.parameters.slots))


class Bucket:
    """A bucket's rows as the table of a folded query.

    Parameters
    ----------
    table : the rows that it is made of
    rows : of the bucket in their order, negative where there is none
    room : for its polynomials, which the next bucket may take
    """

    def __init__(self, table: Rows, rows: IntArray, room: NDArray[np.uint64]) -> None:
        self._table, self._rows, self._room = table, rows, room

    def products(
        self, selectors: Factors, out: NDArray[np.uint64], tally: Tally, threads: Threads
    ) -> NDArray[np.uint64]:
        """Return every column's sum of selectors times polynomials; see :class:`FoldedTable`."""
        self._table.gather(self._rows, self._room, threads)
        return sums_of_products(self._room, selectors, out, tally, threads)


@kernel
def _gather(
    values: NDArray[np.uint64],
    rows: NDArray[np.int64],
    first_place: int,
    last_place: int,
    columns: int,
    tables: Tables,
    halves: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> None:
    """Set places of out (limbs, tiles, blocks * columns, d1, LANES) to packed polynomials of the rows."""
    limbs, blocks, _, points = values.shape
    tiles, selectors, lanes = out.shape[1], out.shape[3], out.shape[4]
    n = tiles * lanes
    slots = n // points
    polynomial = np.empty(n, np.uint64)
    for limb in range(limbs):
        q, half = tables.moduli[limb], halves[limb]
        mask = (np.uint64(1) << half) - np.uint64(1)
        up = np.uint64(32)
        for block in range(blocks):
            for place in range(first_place, last_place):
                first = place * slots
                column, selector = block * columns + place // selectors, place % selectors
                for slot in range(slots):
                    row = rows[first + slot] if first + slot < rows.size else -1
                    if row < 0:
                        for point in range(points):
                            polynomial[point * slots + slot] = np.uint64(0)
                    else:
                        source = values[limb, block, row]
                        for point in range(points):
                            polynomial[point * slots + slot] = source[point]
                stride = slots
                while stride > 1:
                    stride >>= 1
                    groups = n // (2 * stride)
                    for group in range(groups):
                        root, quotient = tables.roots[limb, groups + group], tables.quotients[limb, groups + group]
                        start = 2 * stride * group
                        for i in range(start, start + stride):
                            x, y = polynomial[i], multiply_shoup(polynomial[i + stride], root, quotient, q)
                            total, difference = x + y, x - y
                            polynomial[i] = min(total, total - q)
                            polynomial[i + stride] = min(difference, difference + q)
                for tile in range(tiles):
                    target = out[limb, tile, column, selector]
                    for lane in range(lanes):
                        value = polynomial[tile * lanes + lane]
                        target[lane] = (value & mask) | (value >> half << up)
