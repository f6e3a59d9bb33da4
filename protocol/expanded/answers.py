"""From the ciphertexts of a row to an answer: mask, re-randomisation, flooding, ring switch, fewer bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.expanded.gadget import GadgetKey
from protocol.expanded.layout import ExpandedLayout
from protocol.expanded.messages import Answer
from protocol.randomness import sample_uniform
from protocol.residue.ciphertext import encrypt_zero
from protocol.residue.flooding import flooding
from protocol.residue.ring import Ring
from protocol.residue.rounding import drop_limbs, scale_up
from protocol.residue.switch import switch_modulus


class Masked(NamedTuple):
    """Ciphertexts (count, 2, limbs, N) of coefficients, and the server's share of the row, (n',)."""

    ciphertexts: NDArray[np.uint64]
    share: NDArray[np.uint64]


def mask(
    layout: ExpandedLayout[Any],
    ring: Ring,
    ciphertexts: NDArray[np.uint64],
    middle: int,
    public_key: NDArray[np.uint64] | None,
) -> Masked:
    """Subtract a uniform mask, and with flooding add fresh encryptions of zero and the flooding.

    Parameters
    ----------
    ring : of the result's limbs
    ciphertexts : of the row, (count, 2, limbs, N) of coefficients
    middle : what the table is short of, added to the server's share
    public_key : the client's, (2, limbs, N) in evaluation form; needed if answers are flooded
    """
    p, t = layout.parameters, layout.parameters.plaintext_modulus
    drawn = sample_uniform(t, p.row_coefficients)
    out = ciphertexts.copy()
    if p.flooding_bits:
        if public_key is None:
            raise ValueError("flooded answers need the client's public key")
        out = ring.add(out, ring.inverse(np.stack([encrypt_zero(ring, public_key) for _ in out])))
    b, where = np.moveaxis(out[:, 0], 1, 2), layout.row_positions()  # a view, (count, N, limbs)
    used = ring.subtract(b[where].T, scale_up(drawn, ring, t))
    if p.flooding_bits:
        used = ring.add(used, flooding(ring, p.flooding_log2_bound + 1, drawn.shape))
    b[where] = used.T
    return Masked(out, (drawn + np.uint64(middle % t)) % np.uint64(t))


def compress(
    layout: ExpandedLayout[Any], ring: Ring, ciphertexts: NDArray[np.uint64], ring_switch: GadgetKey | None
) -> Answer:
    """Return what is sent of masked ciphertexts (count, 2, limbs, N) of coefficients."""
    p = layout.parameters
    ring, switched = switch_ring(ring, ciphertexts, ring_switch)
    answers = layout.split(switched)
    b = np.moveaxis(answers[:, 0], 1, 2)[layout.answer_positions()].T
    return Answer(switch_modulus(answers[:, 1], ring, p.answer_a_bits), switch_modulus(b, ring, p.answer_b_bits))


def switch_ring(ring: Ring, ciphertext: NDArray[np.uint64], key: GadgetKey | None) -> tuple[Ring, NDArray[np.uint64]]:
    """Return a ciphertext (count, 2, limbs, N) of coefficients under the answers' secret, and its ring."""
    if key is None:
        return ring, ciphertext
    limb = ring.limb(0)
    dropped = drop_limbs(ciphertext, ring, 1)
    switched = limb.inverse(key.switch(dropped[:, 1]))
    switched[:, 0] = limb.add(switched[:, 0], dropped[:, 0])
    return limb, switched
