"""From the folded ciphertext to an answer: mask, re-randomisation, flooding, ring switch, fewer bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.expanded.answers import round_answer, subtract_mask, switch_ring
from protocol.expanded.gadget import GadgetKey
from protocol.expanded.messages import Answer
from protocol.folded.layout import answer_positions, row_positions
from protocol.randomness import sample_uniform
from protocol.residue.ciphertext import encrypt_zero
from protocol.residue.ring import Ring


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
    subtract_mask(p, ring, out, drawn, row_positions(p))
    return Masked(out, (drawn + np.uint64(middle % t)) % np.uint64(t))


def compress(parameters: FoldedParameters, ring: Ring, masked: Masked, ring_switch: GadgetKey | None) -> Answer:
    """Return what is sent of a masked ciphertext."""
    p = parameters
    ring, ciphertext = switch_ring(ring, masked.ciphertext, ring_switch)
    step = p.degree // p.answer_degree
    parts = p.answers // p.blocks
    halves = np.stack([ciphertext[..., part::step] for part in range(parts)], axis=1)
    halves = halves.reshape(p.answers, 2, ring.limbs, p.answer_degree)
    return round_answer(p, ring, halves, answer_positions(p))
