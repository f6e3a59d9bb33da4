"""Queries times the table, and the products packed where answers are packed."""

from __future__ import annotations

from functools import partial

import numpy as np

from protocol.compact.messages import Residues
from protocol.compact.plan import Plan
from protocol.compact.table import COLUMN_CHUNK, EncodedTable
from protocol.errors import ProtocolError
from protocol.meter import Meter
from protocol.residue.keyswitch import SwitchingKeys
from protocol.residue.multiply_accumulate import Query, multiply_accumulate
from protocol.residue.packlwes import Packer

PRODUCT_BYTES = 64 * 2**20
"""Most that the products of a chunk of columns take, over all tokens of a batch."""


def products_together(plan: Plan, tokens: int, halves: int) -> int:
    """Columns whose products of so many tokens are made before they are packed."""
    size = tokens * halves * plan.ring.limbs * plan.ring.ring_degree * 8
    return max(1, min(COLUMN_CHUNK, PRODUCT_BYTES // size, plan.layout.outputs))


class Products:
    """One client's products with the table; its keys pack them.

    Parameters
    ----------
    plan
        Where everything lies.
    table
        What is multiplied by.
    keys
        The client's, where answers are packed; they may not have come yet.
    meter
        Counts and times what is done.
    """

    def __init__(self, plan: Plan, table: EncodedTable, keys: SwitchingKeys | None, meter: Meter) -> None:
        self._plan = plan
        self._table = table
        self._keys = keys
        self._meter = meter

    def of(self, plan: Plan) -> Products:
        """The same for another number of tokens."""
        return Products(plan, self._table, self._keys, self._meter)

    def answers(self, query: Query, halves: int) -> Residues:
        """Answers in evaluation form, (tokens, answers, 2, limbs, N); of one half, a, their b owes nothing to a b.

        Raises
        ------
        ProtocolError
            If answers are packed, and the client sent no keys.
        """
        plan, ring = self._plan, self._plan.ring
        tokens = query.shape[0]
        chunk = products_together(plan, tokens, halves)
        shape = (tokens, plan.answers, 2, ring.limbs, ring.ring_degree)
        answers = np.zeros(shape, dtype=np.uint64)
        packers = [self._packer() for _ in range(tokens)] if plan.key_exponents else []
        for first in range(0, plan.layout.outputs, chunk):
            table = self._table.transformed[:, first : first + chunk]
            with self._meter.counting("multiply-accumulate") as made:
                products = multiply_accumulate(table, query, made, self._meter.threads)
            if packers:
                leaves = [(packer, products[:, token]) for token, packer in enumerate(packers)]
                self._meter.side_by_side(partial(self._push, first), leaves)
                del leaves
            else:
                there = answers if halves == 2 else answers[:, :, 1]
                there[:, first : first + chunk] = np.moveaxis(products, 0, 1)
            del products  # else they would be there until the next ones are
        if packers:
            with self._meter.counting("merge") as merged:
                for token, packed in enumerate(self._meter.threads.map(Packer.finish, packers)):
                    answers[token] = packed
                    merged.add(packers[token].merges)
        return answers

    def _packer(self) -> Packer:
        if self._keys is None:
            raise ProtocolError("no keys were sent for packing")
        return Packer(self._keys, self._plan.leaves, self._plan.gap)

    def _push(self, first: int, meter: Meter, leaves: tuple[Packer, Residues]) -> None:
        """Pack answers of a token from the ``first`` of all: (count, 2, limbs, N), or their a alone."""
        packer, products = leaves
        extractor = self._table.extractor
        if extractor is None:
            with meter.counting("merge"):
                packer.push(_whole(products))
            return
        for output, product in enumerate(_whole(products), start=first):
            columns = self._plan.layout.used(output).size
            with meter.counting("extract") as extracted:
                found = extractor.leaves(product, columns, extracted)
            with meter.counting("merge"):
                packer.push(found)


def _whole(products: Residues) -> Residues:
    """Answers (count, 2, limbs, N), with a b of zeros where only their a, (count, limbs, N), is at hand."""
    if products.ndim == 4:
        return products
    whole = np.zeros((len(products), 2, *products.shape[1:]), dtype=np.uint64)
    whole[:, 1] = products
    return whole
