"""What BumbleBee does to the answers of a tile before they are packed: their used coefficients moved to where packing
takes them.

The columns of a tile lie d1 apart. Shifted down once, in the table's encoding, the first lies at the constant
coefficient: such answers are interleaved as they are. For PackLWEs every further column is moved there by a
multiplication with X^(-r d1).

References
----------
.. [1] Lu et al. BumbleBee. NDSS 2025, ePrint 2023/1678.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.ring import Ring


def shifted_down(polynomials: NDArray[np.signedinteger], places: int) -> NDArray[np.signedinteger]:
    """Polynomials (..., N) times X^-places modulo X^N + 1, for 0 <= places < N."""
    degree = polynomials.shape[-1]
    shifted = np.roll(polynomials, -places, axis=-1)
    shifted[..., degree - places :] *= -1
    return shifted


class Extractor:
    """Makes a leaf of each used coefficient of an answer.

    Parameters
    ----------
    ring : of the answers
    gap : d1, distance of their used coefficients
    columns : d0, how many a whole answer has
    """

    def __init__(self, ring: Ring, gap: int, columns: int) -> None:
        units = np.zeros((columns, ring.ring_degree), dtype=np.int64)
        units[:, 0] = 1
        shifts = np.stack([shifted_down(unit, column * gap) for column, unit in enumerate(units)])
        self._ring = ring
        self._shifts = ring.forward(ring.from_signed(shifts))[:, None]

    def leaves(self, answer: NDArray[np.uint64], columns: int, tally: Tally | None = None) -> NDArray[np.uint64]:
        """The first ``columns`` used coefficients of an answer (2, limbs, N), as leaves (columns, 2, limbs, N).

        The tally is told of every one that is moved.
        """
        if columns == 1:
            return answer[None]
        moved = self._ring.multiply(answer[None], self._shifts[1:columns])
        (tally or Tally()).add(len(moved))
        return np.concatenate([answer[None], moved])
