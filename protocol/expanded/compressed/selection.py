"""Encrypted bits turned into selectors: X^-l in the row's block and zero in every other.

A one, encrypted without noise, is multiplied by X^-(2^k) or left as it is, as bit k of l says. The result is then
handed down a binary tree over the blocks: a bit times a node goes to one side, the rest of the node to the other.

Products with the bits are external ones by approximate gadgets, whose noise adds up along the tree. Multiplying BFV
ciphertexts instead multiplies all noise by t sqrt(N/18), that of the expansion's key switches included, so that there
can be one such product only: a monomial of N/s coefficients then has to be sent, and a selector for every block, where
here the bits of the row's number are all there is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.expanded.fold import Bit
from protocol.residue.ring import Ring
from protocol.threads import ALONE, Threads


def monomial(one: NDArray[np.uint64], bits: Sequence[Bit]) -> NDArray[np.uint64]:
    """Return X^-l times a ciphertext (2, limbs, N) of coefficients, for the encrypted bits of l, lowest first."""
    nodes = one[None]
    for level, bit in enumerate(bits):
        nodes = bit.fold_slots(nodes, 1 << level)
    return nodes.reshape(one.shape)


def hand_down(
    node: NDArray[np.uint64], bits: Sequence[Bit], blocks: int, ring: Ring, threads: Threads = ALONE
) -> NDArray[np.uint64]:
    """Return ciphertexts (blocks, 2, limbs, N): the given one at the block that the bits name, lowest first, else zero.

    Nodes whose right side has no blocks are handed down as they are: where the bit is set, they hold nothing. Threads
    share the nodes of a level.
    """
    nodes = node[None]
    for level in range(len(bits) - 1, -1, -1):
        width = -(-blocks >> level)
        pairs = width - len(nodes)
        left = np.zeros((2 * pairs, *nodes.shape[1:]), dtype=np.uint64)
        left[1::2] = nodes[:pairs]
        right = bits[level].fold_pairs(left, threads=threads)
        out = np.empty((width, *nodes.shape[1:]), dtype=np.uint64)
        out[0 : 2 * pairs : 2] = ring.subtract(nodes[:pairs], right)
        out[1 : 2 * pairs : 2] = right
        out[2 * pairs :] = nodes[pairs:]
        nodes = out
    return nodes
