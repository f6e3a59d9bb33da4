"""From the ciphertexts of a row to an answer: flooding, the switch to secrets under one a, low bits of b."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.expanded.layout import ExpandedLayout
from protocol.expanded.messages import Answer
from protocol.expanded.rounding import round_off
from protocol.residue.ciphertext import encrypt_zero
from protocol.residue.low_bits import round_a, server_shares
from protocol.residue.ring import Ring
from protocol.residue.shared_switch import SharedSwitch, split_parts
from protocol.residue.smooth_flooding import smooth_flooding
from protocol.residue.switch import switch_modulus


class Answered(NamedTuple):
    """What is sent of some rows, and the server's shares of them modulo t, (rows, n')."""

    answer: Answer
    share: NDArray[np.uint64]


def flood(
    layout: ExpandedLayout[Any], ring: Ring, ciphertexts: NDArray[np.uint64], public_key: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Return ciphertexts with fresh encryptions of zero, and the flooding where a row stands.

    Parameters
    ----------
    ring : of the result's limbs
    ciphertexts : of the row, (count, 2, limbs, N) of coefficients
    public_key : the client's, (2, limbs, N) in evaluation form
    """
    p = layout.parameters
    out = ring.add(ciphertexts, ring.inverse(np.stack([encrypt_zero(ring, public_key) for _ in ciphertexts])))
    b, where = np.moveaxis(out[:, 0], 1, 2), layout.row_positions()  # a view, (count, N, limbs)
    noise = smooth_flooding(ring, p.flooding_log2_width, (p.row_coefficients,))
    b[where] = ring.add(b[where].T, noise).T
    return out


def compress(
    layout: ExpandedLayout[Any], ring: Ring, ciphertexts: NDArray[np.uint64], middle: int, switch: SharedSwitch | None
) -> Answered:
    """Return the answer of ciphertexts (rows, count, 2, limbs, N) of coefficients, and the server's shares.

    The modulus is switched at once from that of the ciphertexts to a power of two, so that the low bits say nothing of
    the row; see section 2 of ``docs/flooding.md``.

    Parameters
    ----------
    ring : of the result's limbs
    ciphertexts : of up to as many rows as an answer is of, flooded or not
    middle : what the table is short of in every entry, added to the server's share
    switch : to the answer's secrets; none where answers stay under the client's own
    """
    shape, p = layout.parameters.shared_answer, layout.parameters
    rows = len(ciphertexts)
    results = ciphertexts.reshape(-1, *ciphertexts.shape[2:])
    fill = ((0, p.answers * shape.ciphertexts - len(results)), (0, 0))
    a, b = (np.pad(switched(results[:, element], ring, shape.modulus_bits), fill) for element in (1, 0))
    rounded, shares, low = [], [], []
    for first in range(0, len(a), shape.ciphertexts):
        part = slice(first, first + shape.ciphertexts)
        one_a, bs = (a[first], split_parts(b[part], 1)[:, 0]) if switch is None else switch.switch(a[part], b[part])
        rounded.append(round_a(shape, one_a))
        share, bits = server_shares(shape, bs)
        shares.append(share)
        low.append(bits)
    where = layout.answer_positions()
    t = np.uint64(p.plaintext_modulus)
    share = (np.concatenate(shares)[where] + np.uint64(middle % int(t))) % t
    sent = np.concatenate(low)[where]
    sent[rows:] = 0
    return Answered(Answer(np.stack(rounded), sent), share[:rows])


def switched(coefficients: NDArray[np.uint64], ring: Ring, bits: int) -> NDArray[np.uint64]:
    """Return round(2^bits/Q * x) mod 2^bits of residues (..., limbs, N), for any number of limbs."""
    if ring.limbs <= 2:
        return switch_modulus(coefficients, ring, bits)
    integers = ring.to_integers(coefficients)
    values = round_off(integers.reshape(-1).tolist(), ring.modulus, bits)
    return np.array(values, dtype=np.uint64).reshape(integers.shape)
