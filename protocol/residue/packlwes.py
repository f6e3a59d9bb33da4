"""PackLWEs: the constant coefficients of many ciphertexts gathered into few.

Leaf i of a tree of depth l lands, multiplied by 2^l, at coefficient sum_k bit_k(i) * N/2^(k+1) of its output. Level
k = 1..l joins an even and an odd node, of phases f and g, into (f + X^(N/2^k) g) + sigma(f - X^(N/2^k) g) with
sigma: X -> X^(2^k + 1), which keeps X^j for the even multiples j of N/2^k and negates it for the odd ones: at these
coefficients f and X^(N/2^k) g are both doubled. Neighbours are joined first, so leaves may come one after the other,
and a node whose sibling is missing is joined with nothing. More than N leaves fill several outputs; all have the
depth of the first. Other coefficients of an output mean nothing.

The tree acts on b linearly: at those coefficients the b of an output is 2^l times the b of the leaves plus what the key
switches of the a contribute, which is the output of the same tree with every b zero. So all of that is done as soon
as the a are known; and with 2^-l folded into the table that multiplies a, none is left for the one that meets b.

Leaves that are used at every multiple of a gap G, a power of two, are interleaved by the same tree with G in the place
of N and the automorphisms X -> X^(2^k N/G + 1): coefficient j of leaf i lands, for a multiple j of G, at j more than
its coefficient 0 does, and G leaves fill an output. What a function here calls ``ring_degree`` is then the gap, but
where it takes both.

References
----------
.. [1] H. Chen, W. Dai, M. Kim, Y. Song, "Efficient homomorphic conversion between (ring) LWE ciphertexts",
   ePrint 2020/015, algorithm 2.
.. [2] Lu et al. BumbleBee. NDSS 2025, ePrint 2023/1678: interleaving.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.packing_tree import packed_polynomials, packing_depth
from protocol.residue.automorphism import evaluation_permutation
from protocol.residue.compiled import kernel
from protocol.residue.keyswitch import KeyTables, SwitchingKeys, add_switched
from protocol.residue.modular import multiply_shoup, shoup_quotients
from protocol.residue.ring import Ring, Tables


class LevelTables(NamedTuple):
    """What a merge of every level needs, in the form that compiled kernels take.

    Attributes
    ----------
    permutations : of sigma in evaluation form, (levels, N)
    shifts, quotients : X^(N/2^k) in evaluation form, (levels, limbs, N), with Shoup's quotients
    """

    permutations: NDArray[np.int64]
    shifts: NDArray[np.uint64]
    quotients: NDArray[np.uint64]


def packing_factors(leaves: int, ring: Ring, gap: int | None = None) -> tuple[int, ...]:
    """Return 2^-l in every limb, by which leaves have to be multiplied for the tree's factor 2^l to cancel."""
    depth = packing_depth(leaves, gap or ring.ring_degree)
    return tuple(pow(pow(2, depth, q), -1, q) for q in ring.moduli)


class Packer:
    """Joins leaves as they come; holds one node a level.

    Parameters
    ----------
    keys : for the automorphisms of :func:`packing_exponents`, in that order (more do no harm)
    leaves : how many will come
    gap : distance of the coefficients that are used of a leaf; the constant ones alone if left out

    Attributes
    ----------
    merges : nodes joined so far, each with one key switch

    Raises
    ------
    ValueError
        If there are fewer keys than levels.
    """

    def __init__(self, keys: SwitchingKeys, leaves: int, gap: int | None = None) -> None:
        ring = keys.ring
        degree, gap = ring.ring_degree, gap or ring.ring_degree
        self.leaves = leaves
        self.depth = packing_depth(leaves, gap)
        if len(keys.tables.bits) < self.depth:
            raise ValueError(f"{len(keys.tables.bits)} keys: {leaves} leaves need {self.depth}")
        self._keys = keys
        self._levels = _level_tables(ring, self.depth, gap)
        self._stack = np.zeros((self.depth + 1, 2, ring.limbs, degree), dtype=np.uint64)
        self._out = np.zeros((packed_polynomials(leaves, gap), 2, ring.limbs, degree), dtype=np.uint64)
        self._pushed = 0
        self.merges = 0

    def push(self, leaves: NDArray[np.uint64]) -> None:
        """Join further leaves, (count, 2, limbs, N) in evaluation form and canonical.

        Raises
        ------
        ValueError
            If they are of another shape or more than announced.
        """
        if leaves.shape[1:] != self._stack.shape[1:]:
            raise ValueError(f"leaves of shape {leaves.shape}: need (count, {self._stack.shape[1:]})")
        if self._pushed + len(leaves) > self.leaves:
            raise ValueError(f"{self._pushed + len(leaves)} leaves pushed, {self.leaves} announced")
        self.merges += _push(
            np.ascontiguousarray(leaves),  # a kernel is compiled for every order of memory
            self._pushed,
            self.depth,
            self._keys.ring.tables,
            self._keys.tables,
            self._levels,
            self._stack,
            self._out,
        )
        self._pushed += len(leaves)

    def finish(self) -> NDArray[np.uint64]:
        """Return the outputs, (ceil(leaves/N), 2, limbs, N) in evaluation form.

        Raises
        ------
        ValueError
            If leaves are missing.
        """
        if self._pushed != self.leaves:
            raise ValueError(f"{self._pushed} leaves pushed, {self.leaves} announced")
        self.merges += _finish(
            self.leaves & ((1 << self.depth) - 1),
            self.depth,
            self._keys.ring.tables,
            self._keys.tables,
            self._levels,
            self._stack,
            self._out[-1],
        )
        return self._out


@lru_cache(maxsize=16)
def _level_tables(ring: Ring, depth: int, gap: int) -> LevelTables:
    degree = ring.ring_degree
    monomials = np.zeros((depth, degree), dtype=np.int64)
    monomials[np.arange(depth), gap >> np.arange(1, depth + 1)] = 1
    shifts = ring.forward(ring.from_signed(monomials))
    quotients = [shoup_quotients(shifts[:, i], q) for i, q in enumerate(ring.moduli)]
    permutations = [evaluation_permutation((degree // gap << k) + 1, degree) for k in range(1, depth + 1)]
    return LevelTables(
        np.array(permutations, dtype=np.int64).reshape(depth, degree), shifts, np.stack(quotients, axis=1)
    )


@kernel
def _merge(
    even: NDArray[np.uint64],
    odd: NDArray[np.uint64],
    level: int,
    ring: Tables,
    keys: KeyTables,
    levels: LevelTables,
    scratch: NDArray[np.uint64],
    rest: NDArray[np.int64],
    out: NDArray[np.uint64],
) -> None:
    """Join two nodes (2, limbs, N) into a third; scratch is (2 + limbs, N)."""
    limbs, n = even.shape[1], even.shape[2]
    permutation = levels.permutations[level]
    a = scratch[2:]
    for element in range(2):
        for limb in range(limbs):
            q = ring.moduli[limb]
            f, g, total, difference = even[element, limb], odd[element, limb], out[element, limb], scratch[0]
            shift, quotients = levels.shifts[level, limb], levels.quotients[level, limb]
            for i in range(n):
                shifted = multiply_shoup(g[i], shift[i], quotients[i], q)
                plus, minus = f[i] + shifted, f[i] - shifted
                total[i] = min(plus, plus - q)
                difference[i] = min(minus, minus + q)
            if element == 0:
                for i in range(n):
                    plus = total[i] + difference[permutation[i]]
                    total[i] = min(plus, plus - q)
            else:
                for i in range(n):
                    a[limb, i] = difference[permutation[i]]
    add_switched(a[:limbs], ring, keys, level, scratch[1], rest, out)


@kernel
def _push(
    leaves: NDArray[np.uint64],
    first: int,
    depth: int,
    ring: Tables,
    keys: KeyTables,
    levels: LevelTables,
    stack: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> int:
    """Return the nodes joined."""
    merges = 0
    limbs, n = leaves.shape[2], leaves.shape[3]
    scratch, rest = np.empty((2 + limbs, n), np.uint64), np.empty(n, np.int64)
    nodes = np.empty((3, 2, limbs, n), np.uint64)
    for i in range(leaves.shape[0]):
        index = first + i
        node = nodes[2]
        node[:] = leaves[i]
        level = 0
        while level < depth and (index >> level) & 1:
            _merge(stack[level], node, level, ring, keys, levels, scratch, rest, nodes[level & 1])
            node = nodes[level & 1]
            level += 1
            merges += 1
        if level == depth:
            out[index >> depth] = node
        else:
            stack[level] = node
    return merges


@kernel
def _finish(
    remaining: int,
    depth: int,
    ring: Tables,
    keys: KeyTables,
    levels: LevelTables,
    stack: NDArray[np.uint64],
    out: NDArray[np.uint64],
) -> int:
    """Return the nodes joined."""
    merges = 0
    limbs, n = stack.shape[2], stack.shape[3]
    scratch, rest = np.empty((2 + limbs, n), np.uint64), np.empty(n, np.int64)
    nodes = np.empty((2, 2, limbs, n), np.uint64)
    nothing = np.zeros((2, limbs, n), np.uint64)
    node = nothing
    begun = False
    for level in range(depth):
        target = nodes[level & 1]
        if (remaining >> level) & 1:
            _merge(stack[level], node, level, ring, keys, levels, scratch, rest, target)
            begun = True
            merges += 1
        elif begun:
            _merge(node, nothing, level, ring, keys, levels, scratch, rest, target)
            merges += 1
        if begun:
            node = target
    if begun:
        out[:] = node
    return merges
