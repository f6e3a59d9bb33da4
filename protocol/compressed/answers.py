"""From packed polynomials to an answer: mask, re-randomisation, flooding, ring switch, fewer bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.compressed.layout import answer_positions, row_positions, split_parts
from protocol.expanded.answers import round_answer, subtract_mask, switch_ring
from protocol.expanded.gadget import GadgetKey
from protocol.expanded.messages import Answer
from protocol.residue.ciphertext import encrypt_zero
from protocol.residue.ring import Ring


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
    subtract_mask(p, ring, out, mask, row_positions(p))
    return out


def compress(
    parameters: CompressedParameters, ring: Ring, ciphertext: NDArray[np.uint64], ring_switch: GadgetKey | None
) -> Answer:
    """Return what is sent of a masked ciphertext (packed, 2, limbs, N) of coefficients."""
    ring, ciphertext = switch_ring(ring, ciphertext, ring_switch)
    return round_answer(parameters, ring, split_parts(parameters, ciphertext), answer_positions(parameters))
