"""From a ciphertext of the row to an answer: mask and flooding, ring switch, fewer bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from protocol.expanded.gadget import GadgetKey
from protocol.expanded.messages import Answer
from protocol.residue.flooding import flooding
from protocol.residue.ring import Ring
from protocol.residue.rounding import drop_limbs, scale_up
from protocol.residue.switch import switch_modulus

Positions = tuple[NDArray[np.int64], NDArray[np.int64]]


def subtract_mask(
    parameters: Expanded, ring: Ring, ciphertext: NDArray[np.uint64], mask: NDArray[np.uint64], where: Positions
) -> None:
    """Subtract a mask (n',) in place at the row's coefficients of (count, 2, limbs, N); add the flooding there."""
    p = parameters
    b = np.moveaxis(ciphertext[:, 0], 1, 2)  # a view, (count, N, limbs)
    used = ring.subtract(b[where].T, scale_up(mask, ring, p.plaintext_modulus))
    if p.flooding_bits:
        used = ring.add(used, flooding(ring, p.flooding_log2_bound + 1, mask.shape))
    b[where] = used.T


def switch_ring(ring: Ring, ciphertext: NDArray[np.uint64], key: GadgetKey | None) -> tuple[Ring, NDArray[np.uint64]]:
    """Return a ciphertext (count, 2, limbs, N) of coefficients under the answers' secret, and its ring."""
    if key is None:
        return ring, ciphertext
    limb = ring.limb(0)
    dropped = drop_limbs(ciphertext, ring, 1)
    switched = limb.inverse(key.switch(dropped[:, 1]))
    switched[:, 0] = limb.add(switched[:, 0], dropped[:, 0])
    return limb, switched


def round_answer(parameters: Expanded, ring: Ring, answers: NDArray[np.uint64], where: Positions) -> Answer:
    """Return what is sent of ciphertexts (answers, 2, limbs, N') of coefficients, whose row stands at ``where``."""
    b = np.moveaxis(answers[:, 0], 1, 2)[where].T
    return Answer(
        switch_modulus(answers[:, 1], ring, parameters.answer_a_bits),
        switch_modulus(b, ring, parameters.answer_b_bits),
    )
