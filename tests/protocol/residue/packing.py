"""Trees of PackLWEs as tests want them: whole, split at the a, and with the counts and noise that they should have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.packing_tree import packed_positions, packing_depth
from protocol.residue.keyswitch import Gadget, SwitchingKeys
from protocol.residue.packlwes import Packer
from protocol.residue.ring import Ring

SIGMA = 3.19


def pack(leaves: NDArray[np.uint64], keys: SwitchingKeys) -> NDArray[np.uint64]:
    """The outputs (ceil(leaves/N), 2, limbs, N) of leaves (count, 2, limbs, N), all in evaluation form."""
    packer = Packer(keys, len(leaves))
    packer.push(leaves)
    return packer.finish()


def pack_first_halves(a: NDArray[np.uint64], keys: SwitchingKeys) -> NDArray[np.uint64]:
    """The outputs of the tree over (0, a), before any b is known, of a (count, limbs, N) times 2^-l."""
    return pack(np.stack([np.zeros_like(a), a], axis=1), keys)


def add_constants(b: NDArray[np.uint64], constants: NDArray[np.uint64], ring: Ring) -> NDArray[np.uint64]:
    """The b of the outputs (outputs, limbs, N) of coefficients, once constants (leaves, limbs) are known."""
    output, coefficient = packed_positions(len(constants), ring.ring_degree)
    out = b.copy()
    for limb, q in enumerate(ring.moduli):
        total = b[output, limb, coefficient] + constants[:, limb]
        out[output, limb, coefficient] = np.minimum(total, total - np.uint64(q))
    return out


def packing_merges(leaves: int, ring_degree: int) -> int:
    """Merges of a tree, each with one key switch: sum over outputs and levels k of ceil(leaves / 2^k)."""
    depth = packing_depth(leaves, ring_degree)
    counts = [min(ring_degree, leaves - start) for start in range(0, leaves, ring_degree)]
    return sum(-(-count >> k) for count in counts for k in range(1, depth + 1))


def switch_variance(gadget: Gadget, ring: Ring) -> float:
    """Variance that one key switch from a ternary secret adds to a coefficient of the phase.

    N * sigma^2 * sum E[d_ij^2] with digits uniform in {-B/2, ..., B/2 - 1}, but for the last, which is what is left of
    q: (B^2 + 2)/12 and (q / 2^dropped / B^(d-1))^2/12; and N * 2/3 * 4^dropped/12 for the dropped bits.
    """
    base, step = float(1 << gadget.digit_bits), float(1 << gadget.dropped_bits)
    squares = sum(
        (count - 1) * (base**2 + 2) / 12 + (q / step / base ** (count - 1)) ** 2 / 12
        for q, count in zip(ring.moduli, gadget.counts(ring), strict=True)
    )
    return ring.ring_degree * (SIGMA**2 * squares + (step**2 - 1) / 12 * 2 / 3)


def packing_noise_variance(ring: Ring, gadgets: tuple[Gadget, ...]) -> float:
    """Variance that packing adds: a merge's own noise is doubled, with its message, by every later level."""
    depth = len(gadgets)
    return sum(switch_variance(g, ring) * 4.0 ** (depth - level) for level, g in enumerate(gadgets, start=1))
