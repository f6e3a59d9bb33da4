r"""SoftSpokenOT over small fields: a k-th of IKNP's bytes a transfer, for about 2^k / k times its hashing.

The 128 base OTs form blocks of k (one shorter block if k does not divide 128). In a block the receiver holds
the 2^k leaves s_x of a tree of seeds and the sender all of them but one, s_D, with D a uniform number of k
bits that only the sender knows. With the generator G and + as exclusive or, bit by bit,

    receiver:  u = sum_x G(s_x),   v = sum_x x G(s_x)
    sender:    w = sum_{x != D} (x + D) G(s_x) = v + D u

(the term x = D is zero, so that the missing leaf is not missed). That is the correlation of `extension` with
one u for k columns, so that one d = u + r serves k columns: ceil(128/k) bits a transfer, at the same secret
delta of 128 bits and the same security. k = 1 would be IKNP.

The tree: the two keys of a block's first base OT are the two nodes of level one, and every node has two
children by SHAKE-128. For each further level l the receiver sends the sum of all left children and that of
all right children, masked with the keys of base OT l. The sender's base OT choices c_l open the way off the
path to D: it takes D_l = 1 - c_l, knows the nodes of side c_l off the path, and gets the path's sibling on
level l from the sum. So `delta` is the complement of the base OT choices.

References
----------
L. Roy, "SoftSpokenOT: quieter OT extension from small-field silent VOLE in the Minicrypt model", CRYPTO 2022,
ePrint 2022/192, figure 7 (small-field VOLE); no consistency check, because both parties follow the protocol.
O. Goldreich, S. Goldwasser and S. Micali, "How to construct random functions", J. ACM 33(4), 1986 (the tree).
"""

from __future__ import annotations

import hashlib
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from protocol.alignment.base_ot import BASE_OTS, SEED_BYTES
from protocol.alignment.exchange import Exchange, receive_exactly
from protocol.alignment.extension import expand

LEVEL_SUMS = "seed_tree_sums"


def block_widths(block_bits: int) -> tuple[int, ...]:
    """Widths of the blocks that make up 128 columns: `block_bits` each, the last what is left."""
    whole, rest = divmod(BASE_OTS, block_bits)
    return (block_bits,) * whole + (rest,) * (rest > 0)


def level_sum_bytes(block_bits: int) -> int:
    """Bytes of the setup message: two masked sums of 16 bytes for each level but a block's first."""
    return 2 * SEED_BYTES * (BASE_OTS - len(block_widths(block_bits)))


def _children(nodes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Next level of a tree: (count, 16) nodes to (count, 2, 16) children."""
    digests = (hashlib.shake_128(b"node" + node.tobytes()).digest(2 * SEED_BYTES) for node in nodes)
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 2, SEED_BYTES)


def _fold(streams: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """sum_x G(s_x), (length,), and sum_x x G(s_x) by the bits of x, highest first, (k, length)."""
    weighted = []
    while len(streams) > 1:
        lower, upper = np.split(streams, 2)
        weighted.append(np.bitwise_xor.reduce(upper, axis=0))
        streams = lower ^ upper
    return streams[0], np.stack(weighted)


class SoftSpokenReceiverSeeds:
    """The receiver's seeds: the leaves of whole trees, one array of shape (2^k, 16) a block."""

    def __init__(self, leaves: list[NDArray[np.uint8]]) -> None:
        self._leaves = leaves
        self.block_widths = tuple(len(block).bit_length() - 1 for block in leaves)

    def columns(self, counter: int, length: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(u, v), as `ReceiverSeeds` has it."""
        folded = [_fold(expand(block, counter, length)) for block in self._leaves]
        return np.stack([total for total, _ in folded]), np.concatenate([weighted for _, weighted in folded])


class SoftSpokenSenderSeeds:
    """The sender's seeds: all leaves but one of every tree, and the missing ones' indices as `delta`.

    `leaves[block][y - 1]`, (2^k - 1, 16), is the leaf of index y + D, y = 1 ... 2^k - 1.
    """

    def __init__(self, leaves: list[NDArray[np.uint8]], delta: NDArray[np.bool_]) -> None:
        self._leaves = leaves
        self.block_widths = tuple(len(block).bit_length() for block in leaves)
        self.delta = delta

    def columns(self, counter: int, length: int) -> NDArray[np.uint8]:
        """w, as `SenderSeeds` has it."""
        missing = np.zeros((1, length), np.uint8)
        blocks = (np.concatenate([missing, expand(block, counter, length)]) for block in self._leaves)
        return np.concatenate([_fold(streams)[1] for streams in blocks])


def grow_trees(exchange: Exchange, keys: NDArray[np.uint8], block_bits: int) -> SoftSpokenReceiverSeeds:
    """Receiver's part of the setup after the base OTs; `keys` are both keys of each, shape (128, 2, 16)."""
    widths = block_widths(block_bits)
    leaves, sums = [], []
    for first, width in zip(accumulate(widths, initial=0), widths, strict=False):
        nodes = keys[first]
        for level in range(first + 1, first + width):
            children = _children(nodes)
            sums.append(np.bitwise_xor.reduce(children, axis=0) ^ keys[level])
            nodes = children.reshape(-1, SEED_BYTES)
        leaves.append(nodes)
    exchange.send(LEVEL_SUMS, b"".join(pair.tobytes() for pair in sums))
    return SoftSpokenReceiverSeeds(leaves)


def puncture_trees(
    exchange: Exchange, keys: NDArray[np.uint8], choices: NDArray[np.bool_], block_bits: int
) -> SoftSpokenSenderSeeds:
    """Sender's part of the setup after the base OTs; `keys`, shape (128, 16), are those that `choices` chose.

    Raises
    ------
    ValueError
        If the receiver's message has another length than `level_sum_bytes(block_bits)`.
    """
    widths = block_widths(block_bits)
    payload = receive_exactly(exchange, LEVEL_SUMS, level_sum_bytes(block_bits))
    pairs = iter(np.frombuffer(payload, np.uint8).reshape(-1, 2, SEED_BYTES))
    sides = choices.astype(np.intp)
    leaves = []
    for first, width in zip(accumulate(widths, initial=0), widths, strict=False):
        # Nodes are ordered by distance, the exclusive or of their index with the path's: the unknown one has
        # 0, `known` starts at 1. The children of distance y have 2y on the path's side, 2y + 1 on the other.
        known = keys[first][None]
        for level in range(first + 1, first + width):
            side = sides[level]
            children = _children(known)[:, [1 - side, side]]
            sibling = np.bitwise_xor.reduce(children[:, 1], axis=0) ^ next(pairs)[side] ^ keys[level]
            known = np.concatenate([sibling[None], children.reshape(-1, SEED_BYTES)])
        leaves.append(known)
    return SoftSpokenSenderSeeds(leaves, ~choices)
