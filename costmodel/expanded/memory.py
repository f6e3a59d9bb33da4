"""Memory of a client's keys at the server of an expanded query, ready for use.

Both halves of a row of a key, modulo the limbs that the row has, and of a row of the ring switch's key one a and a b a
secret, each with Shoup's quotients, in residues of 8 bytes:

    16 N sum(rows limbs) + [16 R (1 + O) N' + 8 (4 N' + 3)] L'

with R rows of the switch's key and O secrets, and L' limbs of the ring of its products: one prime of 60 bits, or two
where R N' digits of b bits times residues of log2 q' bits pass it. The ring's roots and their inverses, each with its
quotient, are the last term.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.design import RESIDUE_BYTES
from costmodel.expanded.parameters import Columns

_PRODUCT_BITS = 59
"""Magnitude of a signed sum of products, with a bit to spare, that one prime of 60 bits holds."""


def keys_bytes(p: Columns) -> NDArray[Any]:
    """Memory of the keys of a session.

    Parameters
    ----------
    p
        Parameters of one configuration or of many.
    """
    rows: Any = sum(rows * limbs for rows, limbs in p.key_groups)
    return np.asarray(2 * RESIDUE_BYTES * p.degree * rows + _switch_bytes(p))


def _switch_bytes(p: Columns) -> NDArray[Any]:
    rows, degree = p.ring_switch_rows, p.answer_degree
    largest = np.log2(np.maximum(rows * degree, 1).astype(float)) + p.ring_switch.bits + p.answer_modulus_bits
    limbs = 1 + (largest > _PRODUCT_BITS)
    of_rows = 2 * RESIDUE_BYTES * rows * (1 + p.answer_outputs) * degree
    return np.where(rows > 0, limbs * (of_rows + RESIDUE_BYTES * (4 * degree + 3)), 0)
