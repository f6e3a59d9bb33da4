"""From packed polynomials to the bytes of an answer: mask, re-randomisation, flooding, ring switch, fewer bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.compressed_parameters import CompressedParameters
from protocol.compressed.layout import answer_positions, row_positions, split_parts
from protocol.folded.gadget import GadgetKey
from protocol.folded.messages import Answer
from protocol.residue.ciphertext import encrypt_zero
from protocol.residue.flooding import flooding
from protocol.residue.ring import Ring
from protocol.residue.rounding import drop_limbs, scale_up
from protocol.residue.switch import switch_modulus


def masked(
    parameters: CompressedParameters,
    ring: Ring,
    packed: NDArray[np.uint64],
    mask: NDArray[np.uint64],
    public_key: NDArray[np.uint64] | None,
) -> NDArray[np.uint64]:
    """Return packed polynomials less a mask, with flooding re-randomised and flooded, in coefficient form.

    Parameters
    ----------
    ring : of the table's limbs
    packed : (packed, 2, limbs, N) in evaluation form
    mask : uniform modulo t, (n',)
    public_key : the client's, (2, limbs, N) in evaluation form; needed if answers are flooded
    """
    p = parameters
    if p.flooding_bits:
        if public_key is None:
            raise ValueError("flooded answers need the client's public key")
        packed = ring.add(packed, np.stack([encrypt_zero(ring, public_key) for _ in range(p.packed)]))
    out = ring.inverse(packed)
    b = np.moveaxis(out[:, 0], 1, 2)  # a view, (packed, N, limbs)
    where = row_positions(p)
    used = ring.subtract(b[where].T, scale_up(mask, ring, p.plaintext_modulus))
    if p.flooding_bits:
        used = ring.add(used, flooding(ring, p.flooding_log2_bound + 1, mask.shape))
    b[where] = used.T
    return out


def compress(
    parameters: CompressedParameters, ring: Ring, ciphertext: NDArray[np.uint64], ring_switch: GadgetKey | None
) -> Answer:
    """Return what is sent of a masked ciphertext (packed, 2, limbs, N) of coefficients."""
    p = parameters
    if ring_switch is not None:
        limb = ring.limb(0)
        dropped = drop_limbs(ciphertext, ring, 1)
        switched = limb.inverse(ring_switch.switch(dropped[:, 1]))
        switched[:, 0] = limb.add(switched[:, 0], dropped[:, 0])
        ciphertext, ring = switched, limb
    answers = split_parts(p, ciphertext)
    b = np.moveaxis(answers[:, 0], 1, 2)[answer_positions(p)].T
    return Answer(
        switch_modulus(answers[:, 1], ring, p.answer_a_bits),
        switch_modulus(b, ring, p.answer_b_bits),
    )
