"""From the folded ciphertext to the bytes of an answer: mask, re-randomisation, flooding, ring switch, fewer bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.folded_parameters import FoldedParameters
from protocol.folded.gadget import GadgetKey
from protocol.folded.layout import answer_positions, row_positions
from protocol.folded.messages import Answer
from protocol.randomness import sample_uniform
from protocol.residue.ciphertext import encrypt_zero
from protocol.residue.flooding import flooding
from protocol.residue.ring import Ring
from protocol.residue.rounding import drop_limbs, scale_up
from protocol.residue.switch import switch_modulus


class Masked(NamedTuple):
    """A ciphertext (blocks, 2, limbs, N) of coefficients and the server's share of the row, (n',)."""

    ciphertext: NDArray[np.uint64]
    share: NDArray[np.uint64]


def mask(
    parameters: FoldedParameters,
    ring: Ring,
    product: NDArray[np.uint64],
    middle: int,
    public_key: NDArray[np.uint64] | None,
) -> Masked:
    """Subtract a uniform mask, and with flooding add a fresh encryption of zero and the flooding.

    Parameters
    ----------
    product : the folded ciphertext, (blocks, 2, limbs, N) of coefficients
    middle : what the table is short of, added to the server's share
    public_key : the client's, (2, limbs, N) in evaluation form; needed if answers are flooded
    """
    p, t = parameters, parameters.plaintext_modulus
    drawn = sample_uniform(t, p.row_coefficients)
    out = product.copy()
    if p.flooding_bits:
        if public_key is None:
            raise ValueError("flooded answers need the client's public key")
        out = ring.add(out, ring.inverse(np.stack([encrypt_zero(ring, public_key) for _ in range(p.blocks)])))
    block, coefficient = row_positions(p)
    b = np.moveaxis(out[:, 0], 1, 2)  # a view, (blocks, N, limbs)
    used = b[block, coefficient].T
    used = ring.subtract(used, scale_up(drawn, ring, t))
    if p.flooding_bits:
        used = ring.add(used, flooding(ring, p.flooding_log2_bound + 1, (p.row_coefficients,)))
    b[block, coefficient] = used.T
    return Masked(out, (drawn + np.uint64(middle % t)) % np.uint64(t))


def compress(parameters: FoldedParameters, ring: Ring, masked: Masked, ring_switch: GadgetKey | None) -> Answer:
    """Return what is sent of a masked ciphertext."""
    p = parameters
    ciphertext = masked.ciphertext
    if ring_switch is not None:
        limb = ring.limb(0)
        dropped = drop_limbs(ciphertext, ring, 1)
        switched = limb.inverse(ring_switch.switch(dropped[:, 1]))
        switched[:, 0] = limb.add(switched[:, 0], dropped[:, 0])
        ciphertext, ring = switched, limb
    step = p.degree // p.answer_degree
    parts = p.answers // p.blocks
    halves = np.stack([ciphertext[..., part::step] for part in range(parts)], axis=1)
    halves = halves.reshape(p.answers, 2, ring.limbs, p.answer_degree)
    which, coefficient = answer_positions(p)
    b = np.moveaxis(halves[:, 0], 1, 2)[which, coefficient].T
    return Answer(
        switch_modulus(halves[:, 1], ring, p.answer_a_bits),
        switch_modulus(b, ring, p.answer_b_bits),
    )
