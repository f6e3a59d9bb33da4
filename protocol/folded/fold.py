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

from costmodel.folded_parameters import Gadget
from protocol.folded.gadget import GadgetKey, decompose, rows_in_cache
from protocol.folded.products import Factors, sums_of_products
from protocol.residue.ring import Ring


def bit_rows(leaves: NDArray[np.uint64], square: GadgetKey, ring: Ring) -> NDArray[np.uint64]:
    """Return the rows of encrypted bits.

    Parameters
    ----------
    leaves : ciphertexts of g_k * bit, (bits, digits, 2, limbs, N) in evaluation form
    square : the key from s^2 to s

    Returns
    -------
    (bits, 2, 2 * digits, limbs, N) in evaluation form: b and a of the rows for the digits of b, then for those of a
    """
    bits, digits = leaves.shape[:2]
    switched = square.switch(ring.inverse(leaves[:, :, 1].reshape(-1, ring.limbs, ring.ring_degree)))
    switched = switched.reshape(leaves.shape)
    rows = np.empty((bits, 2, 2 * digits, ring.limbs, ring.ring_degree), dtype=np.uint64)
    rows[:, 0, :digits] = leaves[:, :, 0]
    rows[:, 1, :digits] = leaves[:, :, 1]
    rows[:, 0, digits:] = switched[:, :, 0]
    rows[:, 1, digits:] = ring.add(switched[:, :, 1], leaves[:, :, 0])
    return rows


def add_bit_constants(rows: NDArray[np.uint64], constants: NDArray[np.uint64], ring: Ring) -> NDArray[np.uint64]:
    """Return the rows with constants (bits, digits, limbs) added to the b of the leaves that they were made from."""
    digits = constants.shape[1]
    out = rows.copy()
    for element, part in ((0, slice(0, digits)), (1, slice(digits, 2 * digits))):
        out[:, element, part] = ring.add(
            rows[:, element, part], np.broadcast_to(constants[..., None], rows[:, 0, :digits].shape)
        )
    return out


class Bit:
    """An encrypted bit, ready to fold with."""

    def __init__(self, ring: Ring, rows: NDArray[np.uint64], gadget: Gadget) -> None:
        self.ring = ring
        self.gadget = gadget
        self._factors = Factors.scaled(ring, rows)

    def fold_pairs(self, nodes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Fold neighbours, (count, 2, limbs, N) of coefficients; the last of an odd number stays as it is.

        Nothing is named by a set bit in the place of a missing neighbour, so that what stays is right where it matters.
        """
        pairs = len(nodes) // 2
        out = np.empty((len(nodes) - pairs, *nodes.shape[1:]), dtype=np.uint64)
        chunk = rows_in_cache(self.ring, 2 * self.gadget.digits)
        for first in range(0, pairs, chunk):
            last = min(first + chunk, pairs)
            out[first:last] = self._choose(nodes[2 * first : 2 * last : 2], nodes[2 * first + 1 : 2 * last : 2])
        out[pairs:] = nodes[2 * pairs :]
        return out

    def fold_slots(self, nodes: NDArray[np.uint64], distance: int) -> NDArray[np.uint64]:
        """Bring what stands ``distance`` coefficients higher down, or nothing, as the bit says."""
        return self._choose(nodes, lower(nodes, distance, self.ring))

    def _choose(self, zero: NDArray[np.uint64], one: NDArray[np.uint64]) -> NDArray[np.uint64]:
        digits = decompose(self.ring.subtract(one, zero), self.ring, self.gadget)
        return self.ring.add(zero, self.ring.inverse(sums_of_products(digits, self._factors)))


def lower(coefficients: NDArray[np.uint64], distance: int, ring: Ring) -> NDArray[np.uint64]:
    """Return X^(-distance) times polynomials (..., limbs, N) of coefficients."""
    wrapped = ring.subtract(np.zeros_like(coefficients[..., :distance]), coefficients[..., :distance])
    return np.concatenate([coefficients[..., distance:], wrapped], axis=-1)
