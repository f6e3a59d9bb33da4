"""One automorphism key for the first levels of an expansion, applied again and again.

Level i of an expansion applies X -> X^(N/2^i + 1). While N >= 2 4^L,

    (N/2^L + 1)^(2^(L-i)) = N/2^i + 1 modulo 2N                             for i = 0..L

so that the key of level L serves all levels up to L: level i takes 2^(L-i) key switches a node with it. These levels
have one node or a few, so that the rows of their own keys cost more than the switches. An automorphism permutes noise
up to signs: variances add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def largest_repeated_level(degree: int) -> int:
    """Return the last level whose key serves all before it, the largest L with 2 4^L <= N.

    Examples
    --------
    >>> largest_repeated_level(2048), largest_repeated_level(4096)
    (5, 5)
    """
    return (degree.bit_length() - 2) // 2


def repetitions(degree: int, level: int) -> tuple[int, ...]:
    """Return how often the key of a level is applied at levels 0 to ``level``.

    Raises
    ------
    ValueError
        If the powers of the key's automorphism are not those of the levels.

    Examples
    --------
    >>> repetitions(2048, 2)
    (4, 2, 1)
    """
    most = largest_repeated_level(degree)
    if not 0 <= level <= most:
        raise ValueError(f"level is {level}; with degree {degree} the key of a level from 0 to {most} can be repeated")
    return tuple(1 << (level - i) for i in range(level + 1))


def repeated_switches(degree: int, level: int, nodes: Sequence[int]) -> int:
    """Return the key switches of an expansion whose levels up to ``level`` repeat its key.

    Parameters
    ----------
    nodes
        Nodes of every level.

    Examples
    --------
    >>> repeated_switches(2048, 2, (1, 1, 1, 2, 4)) - sum((1, 1, 1, 2, 4))
    4
    """
    times = repetitions(degree, level)
    return sum(count * each for count, each in zip(times, nodes, strict=False)) + sum(nodes[len(times) :])


def repeated_variances(degree: int, level: int, variances: ArrayLike) -> NDArray[np.float64]:
    """Return the variance that every level adds to a node when those up to ``level`` repeat its key.

    Parameters
    ----------
    variances : array_like of float, (levels, ...)
        Of one key switch with the key of every level; those before ``level`` are not used.

    Examples
    --------
    >>> repeated_variances(2048, 2, [9.0, 9.0, 1.0, 5.0]).tolist()
    [4.0, 2.0, 1.0, 5.0]
    """
    out = np.array(variances, dtype=np.float64)
    for i, times in enumerate(repetitions(degree, level)):
        out[i] = times * out[level]
    return out
