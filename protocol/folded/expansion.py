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

import numpy as np
from numpy.typing import NDArray

from costmodel.folded_parameters import FoldedParameters
from protocol.folded.gadget import GadgetKey, rows_in_cache
from protocol.residue.automorphism import evaluation_permutation
from protocol.residue.compiled import kernel
from protocol.residue.modular import multiply_shoup, shoup_quotients
from protocol.residue.ring import Ring


def expansion_exponents(degree: int) -> tuple[int, ...]:
    """Return the automorphisms N/2^i + 1 of the levels, for which keys are needed in this order."""
    return tuple((degree >> level) + 1 for level in range(degree.bit_length() - 1))


def leaf_positions(parameters: FoldedParameters) -> NDArray[np.int64]:
    """Return the coefficient that every leaf comes from."""
    return np.arange(parameters.query_coefficients, dtype=np.int64) * parameters.stride


def expand(
    a: NDArray[np.uint64], keys: Sequence[GadgetKey], parameters: FoldedParameters, ring: Ring
) -> NDArray[np.uint64]:
    """Return the leaves (K, 2, limbs, N) of a ciphertext (0, a), all in evaluation form.

    Parameters
    ----------
    a : (limbs, N)
    keys : one a level, from s(X^(N/2^i + 1)) to s
    """
    leaves = np.empty((parameters.query_coefficients, 2, ring.limbs, ring.ring_degree), dtype=np.uint64)
    leaves[0, 0] = 0
    leaves[0, 1] = a
    single = parameters.expansion_levels - parameters.split_levels
    exponents = expansion_exponents(ring.ring_degree)
    for level, (nodes, exponent, key) in enumerate(zip(parameters.expansion_nodes, exponents, keys, strict=True)):
        permutation = evaluation_permutation(exponent, ring.ring_degree)
        lowered, quotients = _negative_power(ring, 1 << level)
        children = nodes if level >= single else leaves.shape[0]
        together = rows_in_cache(ring, key.gadget.digits)
        for first in range(0, nodes, together):
            images = leaves[first : min(first + together, nodes), 1][..., permutation]
            switched = key.switch(ring.inverse(images))
            _split(leaves, first, children, permutation, switched, lowered, quotients, ring.tables.moduli)
    return leaves


def _negative_power(ring: Ring, power: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return X^(-power) in evaluation form, (limbs, N), with Shoup's quotients."""
    monomial = np.zeros(ring.ring_degree, dtype=np.int64)
    monomial[-power] = -1
    values = ring.forward(ring.from_signed(monomial))
    return values, np.stack([shoup_quotients(values[i], q) for i, q in enumerate(ring.moduli)])


@kernel
def _split(
    leaves: NDArray[np.uint64],
    first: int,
    distance: int,
    permutation: NDArray[np.int64],
    switched: NDArray[np.uint64],
    lowered: NDArray[np.uint64],
    quotients: NDArray[np.uint64],
    moduli: NDArray[np.uint64],
) -> None:
    """Replace nodes by their sums with their images, and put the lowered differences ``distance`` further on.

    ``switched`` is the key switch of the images' a; differences beyond the last leaf are left out.
    """
    limbs, n = leaves.shape[2], leaves.shape[3]
    image = np.empty(n, np.uint64)
    for node in range(switched.shape[0]):
        even, other = first + node, first + node + distance
        for limb in range(limbs):
            q = moduli[limb]
            for element in range(2):
                x, added = leaves[even, element, limb], switched[node, element, limb]
                if element == 0:
                    for i in range(n):
                        total = x[permutation[i]] + added[i]
                        image[i] = min(total, total - q)
                else:
                    image[:] = added
                if other < leaves.shape[0]:
                    target = leaves[other, element, limb]
                    for i in range(n):
                        difference = x[i] - image[i] + q
                        target[i] = multiply_shoup(difference, lowered[limb, i], quotients[limb, i], q)
                for i in range(n):
                    total = x[i] + image[i]
                    x[i] = min(total, total - q)
