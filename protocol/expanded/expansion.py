"""One ciphertext expanded into one ciphertext a coefficient.

Level i adds to a ciphertext its image under X -> X^(N/2^i + 1): coefficients at multiples of 2^(i+1) are doubled,
those at odd multiples of 2^i vanish, or the other way round where the image is subtracted, and are then brought down
by X^(-2^i). The used coefficients stand at multiples of the stride; all others, which are not sent and hold noise of
the size of Q, vanish on the way. Leaf j ends as N times coefficient j * stride, a constant.

Only a is expanded: b enters the used coefficients linearly, as N times their b, which is all that the client sends.

References
----------
.. [1] S. Angel, H. Chen, K. Laine, S. Setty, "PIR with compressed queries and amortized query processing",
   IEEE S&P 2018, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from costmodel.repetition import repetitions
from protocol.expanded.gadget import (
    Decomposition,
    FractionTables,
    GadgetKey,
    fraction_tables,
    multiply_digits,
    new_work,
)
from protocol.expanded.products import Reduction
from protocol.meter import Tally
from protocol.residue.automorphism import evaluation_permutation
from protocol.residue.compiled import kernel
from protocol.residue.modular import multiply_shoup, shoup_quotients
from protocol.residue.repetition import rotate_repeatedly
from protocol.residue.ring import Ring, Tables, invert_polynomial
from protocol.threads import ALONE, Threads


def expansion_exponents(degree: int) -> tuple[int, ...]:
    """Return the automorphisms N/2^i + 1 of the levels, for which keys are needed in this order."""
    return tuple((degree >> level) + 1 for level in range(degree.bit_length() - 1))


def leaf_positions(parameters: Expanded) -> NDArray[np.int64]:
    """Return the coefficient that every leaf comes from."""
    return np.arange(parameters.query_coefficients, dtype=np.int64) * parameters.stride


def new_leaves(parameters: Expanded) -> NDArray[np.uint64]:
    """Return room for the leaves of an expansion, (K, 2, limbs, N)."""
    p = parameters
    return np.empty((p.query_coefficients, 2, p.limbs, p.degree), dtype=np.uint64)


def expand(
    a: NDArray[np.uint64],
    keys: Sequence[GadgetKey],
    parameters: Expanded,
    ring: Ring,
    leaves: NDArray[np.uint64] | None = None,
    tally: Tally | None = None,
    threads: Threads = ALONE,
) -> NDArray[np.uint64]:
    """Return the leaves (K, 2, limbs, N) of a ciphertext (0, a), all in evaluation form.

    Parameters
    ----------
    a : (limbs, N)
    keys : one a level, from s(X^(N/2^i + 1)) to s; the first levels have the key of the last of them
    leaves : room for them, new if left out
    tally : told of every key switch
    threads : share the nodes of a level
    """
    p = parameters
    leaves = new_leaves(p) if leaves is None else leaves
    leaves[0, 0] = 0
    leaves[0, 1] = a
    single = p.expansion_levels - p.split_levels
    for level, (nodes, key) in enumerate(zip(p.expansion_nodes, keys, strict=True)):
        if level < p.repeated_level:
            distance = nodes if level >= single else p.query_coefficients
            for node in range(nodes):
                _split_repeatedly(leaves, node, node + distance, level, p.repeated_level, key, ring, tally)
            continue
        expand_nodes = partial(
            _expand_level,
            leaves,
            nodes if level >= single else p.query_coefficients,
            ring.tables,
            fraction_tables(ring),
            Decomposition.of(key.gadget),
            key.factors.limbs,
            key.factors.reduction,
            _level_tables(ring, level),
        )
        (tally or Tally()).add(threads.share(expand_nodes, nodes, grain=2))
    return leaves


def _split_repeatedly(
    leaves: NDArray[np.uint64],
    node: int,
    other: int,
    level: int,
    last: int,
    key: GadgetKey,
    ring: Ring,
    tally: Tally | None,
) -> None:
    """Split a node of a level whose automorphism is a power of that of the last level which shares the key."""
    exponent = expansion_exponents(ring.ring_degree)[last]
    times = repetitions(ring.ring_degree, last)[level]
    x = leaves[node : node + 1]
    image = rotate_repeatedly(ring, x, exponent, times, lambda a: key.switch(ring.inverse(a), tally))
    if other < len(leaves):
        lowered = np.broadcast_to(_level_tables(ring, level).lowered, x.shape)
        leaves[other : other + 1] = ring.multiply(ring.subtract(x, image), lowered)
    leaves[node : node + 1] = ring.add(x, image)


class LevelTables(NamedTuple):
    """Of a level: the automorphism's permutation (N,) and X^(-2^i), (limbs, N), with Shoup's quotients."""

    permutation: NDArray[np.int64]
    lowered: NDArray[np.uint64]
    quotients: NDArray[np.uint64]


@lru_cache(maxsize=64)
def _level_tables(ring: Ring, level: int) -> LevelTables:
    monomial = np.zeros(ring.ring_degree, dtype=np.int64)
    monomial[-(1 << level)] = -1
    values = ring.forward(ring.from_signed(monomial))
    return LevelTables(
        evaluation_permutation(expansion_exponents(ring.ring_degree)[level], ring.ring_degree),
        values,
        np.stack([shoup_quotients(values[i], q) for i, q in enumerate(ring.moduli)]),
    )


@kernel
def _expand_level(
    leaves: NDArray[np.uint64],
    distance: int,
    ring: Tables,
    fractions: FractionTables,
    how: Decomposition,
    factors: NDArray[np.uint64],
    reduction: Reduction,
    level: LevelTables,
    first_node: int,
    last_node: int,
) -> int:
    """Replace nodes by their sums with their images, and put the lowered differences ``distance`` further on.

    Return the key switches.
    """
    switches = 0
    limbs, n = leaves.shape[2], leaves.shape[3]
    images = np.empty((2, 1, limbs, n), np.uint64)
    switched = np.empty((1, 2, 2, limbs, n), np.uint64)
    work = new_work(1, how, n)
    for first in range(first_node, last_node, 2):
        together = min(2, last_node - first)
        for row in range(together):
            for limb in range(limbs):
                source, target = leaves[first + row, 1, limb], images[row, 0, limb]
                for i in range(n):
                    target[i] = source[level.permutation[i]]
            invert_polynomial(images[row, 0], ring)
        switches += multiply_digits(images[:together], ring, fractions, how, factors, reduction, work, 0, switched)
        for row in range(together):
            _split(leaves, first + row, distance, switched[0, row], level, ring.moduli)
    return switches


@kernel
def _split(
    leaves: NDArray[np.uint64],
    node: int,
    distance: int,
    switched: NDArray[np.uint64],
    level: LevelTables,
    moduli: NDArray[np.uint64],
) -> None:
    """Split one node by the key switch (2, limbs, N) of its image's a.

    A difference beyond the last leaf is left out.
    """
    limbs, n = leaves.shape[2], leaves.shape[3]
    image = np.empty(n, np.uint64)
    other = node + distance
    for limb in range(limbs):
        q = moduli[limb]
        for element in range(2):
            x, added = leaves[node, element, limb], switched[element, limb]
            if element == 0:
                for i in range(n):
                    total = x[level.permutation[i]] + added[i]
                    image[i] = min(total, total - q)
            else:
                image[:] = added
            if other < leaves.shape[0]:
                target = leaves[other, element, limb]
                for i in range(n):
                    difference = x[i] - image[i] + q
                    target[i] = multiply_shoup(difference, level.lowered[limb, i], level.quotients[limb, i], q)
            for i in range(n):
                total = x[i] + image[i]
                x[i] = min(total, total - q)
