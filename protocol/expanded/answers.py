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
    """What is sent of a row, and the server's share of it modulo t, (n',)."""

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
    """Return the answer of ciphertexts (count, 2, limbs, N) of coefficients, and the server's share.

    The modulus is switched at once from that of the ciphertexts to a power of two, so that the low bits say nothing of
    the row; see section 2 of ``docs/flooding.md``.

    Parameters
    ----------
    ring : of the result's limbs
    ciphertexts : of the row, flooded or not
    middle : what the table is short of in every entry, added to the server's share
    switch : to the answer's secrets; none where answers stay under the client's own
    """
    shape = layout.parameters.shared_answer
    a, b = (switched(ciphertexts[:, element], ring, shape.modulus_bits) for element in (1, 0))
    missing = -len(a) % shape.ciphertexts
    rounded, shares, low = [], [], []
    for first in range(0, len(a), shape.ciphertexts):
        last = first + shape.ciphertexts
        fill = ((0, missing if last > len(a) else 0), (0, 0))
        if switch is None:
            one_a, bs = a[first], split_parts(b[first:last], 1)[:, 0]
        else:
            one_a, bs = switch.switch(np.pad(a[first:last], fill), np.pad(b[first:last], fill))
        rounded.append(round_a(shape, one_a))
        share, bits = server_shares(shape, bs)
        shares.append(share)
        low.append(bits)
    where = layout.answer_positions()
    t = np.uint64(layout.parameters.plaintext_modulus)
    share = (np.concatenate(shares)[where] + np.uint64(middle % int(t))) % t
    return Answered(Answer(np.stack(rounded), np.concatenate(low)[where]), share)


def switched(coefficients: NDArray[np.uint64], ring: Ring, bits: int) -> NDArray[np.uint64]:
    """Return round(2^bits/Q * x) mod 2^bits of residues (..., limbs, N), for any number of limbs."""
    if ring.limbs <= 2:
        return switch_modulus(coefficients, ring, bits)
    integers = ring.to_integers(coefficients)
    values = round_off(integers.reshape(-1).tolist(), ring.modulus, bits)
    return np.array(values, dtype=np.uint64).reshape(integers.shape)
