"""Folds: of two ciphertexts the one that an encrypted bit names, c0 + bit * (c1 - c0), by an external product.

The encrypted bit is a ciphertext of g_k * bit for every digit k of the gadget, and one of s * g_k * bit. With
phase b + a*s of the first, (0, b) has the phase b*s without any noise of its own, so that only a*s^2 needs a
key switch for the second.

References
----------
.. [1] I. Chillotti, N. Gama, M. Georgieva, M. Izabachene, "TFHE", ePrint 2018/421, sections 3.3 and 3.4 (CMux).
.. [2] H. Chen, I. Chillotti, L. Ren, "Onion ring ORAM", CCS 2019, algorithm 4 (from leaves to such rows).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Gadget
from protocol.expanded.gadget import (
    Decomposition,
    FractionTables,
    GadgetKey,
    fraction_tables,
    multiply_digits,
    new_work,
)
from protocol.expanded.products import Factors, Reduction
from protocol.meter import Tally
from protocol.residue.compiled import kernel
from protocol.residue.ring import Ring, Tables, invert_polynomial
from protocol.threads import ALONE, Threads


def bit_rows(
    leaves: NDArray[np.uint64], square: GadgetKey, ring: Ring, tally: Tally | None = None, threads: Threads = ALONE
) -> NDArray[np.uint64]:
    """Return the rows of encrypted bits.

    Parameters
    ----------
    leaves : ciphertexts of g_k * bit, (bits, digits, 2, limbs, N) in evaluation form
    square : the key from s^2 to s
    tally : told of every key switch
    threads : share the key switches

    Returns
    -------
    (bits, 2 * digits, 2, limbs, N) in evaluation form: rows of b and a for the digits of b, then for those of a
    """
    bits, digits = leaves.shape[:2]
    a = leaves[:, :, 1].reshape(-1, ring.limbs, ring.ring_degree)
    switched = square.switch(ring.inverse(a, threads=threads), tally, threads)
    rows = np.empty((bits, 2 * digits, 2, ring.limbs, ring.ring_degree), dtype=np.uint64)
    rows[:, :digits] = leaves
    rows[:, digits:] = switched.reshape(leaves.shape)
    rows[:, digits:, 1] = ring.add(rows[:, digits:, 1], leaves[:, :, 0])
    return rows


def add_bit_constants(rows: NDArray[np.uint64], constants: NDArray[np.uint64], ring: Ring) -> None:
    """Add constants (bits, digits, limbs) to the b of the leaves that rows were made from."""
    digits = constants.shape[1]
    for element, part in ((0, slice(0, digits)), (1, slice(digits, 2 * digits))):
        rows[:, part, element] = ring.add(
            rows[:, part, element], np.broadcast_to(constants[..., None], rows[:, part, element].shape)
        )


class Bit:
    """An encrypted bit, ready to fold with.

    Attributes
    ----------
    folds : external products made with it so far
    """

    def __init__(self, ring: Ring, rows: NDArray[np.uint64], gadget: Gadget) -> None:
        self.ring = ring
        self.gadget = gadget
        self.folds = 0
        self._factors = Factors.of(ring, rows)

    def fold_pairs(self, nodes: NDArray[np.uint64], stride: int = 1, threads: Threads = ALONE) -> NDArray[np.uint64]:
        """Fold neighbours in the place of the first of both; return a view of what is left.

        The last of an odd number stays as it is. Nothing is named by a set bit in the place of a missing neighbour, so
        that what stays is right where it matters.

        Parameters
        ----------
        nodes : contiguous (count, 2, limbs, N) of coefficients
        stride : distance of neighbours, as earlier folds of the same nodes left it
        threads : share the pairs
        """
        constants = (
            self.ring.tables,
            fraction_tables(self.ring),
            Decomposition.of(self.gadget),
            self._factors.limbs,
            self._factors.reduction,
        )

        def fold(first: int, last: int) -> int:
            return _fold_pairs(nodes[2 * stride * first : 2 * stride * last], stride, *constants)

        pairs = -(-len(nodes) // stride) // 2
        self.folds += threads.share(fold, pairs, grain=2)
        return nodes[:: 2 * stride]

    def fold_slots(self, nodes: NDArray[np.uint64], distance: int, threads: Threads = ALONE) -> NDArray[np.uint64]:
        """Bring what stands ``distance`` coefficients higher down, or nothing, as the bit says."""
        both = np.stack([nodes, lower(nodes, distance, self.ring)], axis=1)
        return self.fold_pairs(both.reshape(-1, *nodes.shape[1:]), threads=threads)


@kernel
def _fold_pairs(
    nodes: NDArray[np.uint64],
    stride: int,
    ring: Tables,
    fractions: FractionTables,
    how: Decomposition,
    factors: NDArray[np.uint64],
    reduction: Reduction,
) -> int:
    """Return the external products made."""
    made = 0
    count, _, limbs, n = nodes.shape
    pairs = (count + stride - 1) // stride // 2
    differences = np.empty((2, 2, limbs, n), np.uint64)
    products = np.empty((1, 2, 2, limbs, n), np.uint64)
    work = new_work(2, how, n)
    for first in range(0, pairs, 2):
        together = min(2, pairs - first)
        for row in range(together):
            place = 2 * (first + row) * stride
            zero, one = nodes[place], nodes[place + stride]
            for element in range(2):
                for limb in range(limbs):
                    x, y, target = zero[element, limb], one[element, limb], differences[row, element, limb]
                    q = ring.moduli[limb]
                    for i in range(n):
                        difference = y[i] - x[i]
                        target[i] = min(difference, difference + q)
        made += multiply_digits(differences[:together], ring, fractions, how, factors, reduction, work, 0, products)
        for row in range(together):
            zero, product = nodes[2 * (first + row) * stride], products[0, row]
            for element in range(2):
                invert_polynomial(product[element], ring)
                for limb in range(limbs):
                    q = ring.moduli[limb]
                    for i in range(n):
                        total = zero[element, limb, i] + product[element, limb, i]
                        zero[element, limb, i] = min(total, total - q)
    return made


def lower(coefficients: NDArray[np.uint64], distance: int, ring: Ring) -> NDArray[np.uint64]:
    """Return X^(-distance) times polynomials (..., limbs, N) of coefficients."""
    wrapped = ring.subtract(np.zeros_like(coefficients[..., :distance]), coefficients[..., :distance])
    return np.concatenate([coefficients[..., distance:], wrapped], axis=-1)
