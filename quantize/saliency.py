"""Which channels deserve the wider fields, and the channel order that follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def channel_order(scores: NDArray[np.float64], field_levels: Sequence[int]) -> NDArray[np.int64]:
    """Order of channels in which the most salient lie in the widest fields of each coefficient.

    Packed position k lies in field ``k mod g``. The positions of the field with most levels take the most
    salient channels, those of the next the following ones; fields of equal levels share theirs. Within such
    a class, channels keep their original sequence, so that equal fields keep the original order.

    Parameters
    ----------
    scores : array, shape (n,)
        Saliency; ties are broken by channel number.
    field_levels : sequence of int

    Returns
    -------
    array of int64, shape (n,)
        Original channel of each packed position.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.3: 1/3 of the channels get 4 bits, "the bit-widths of three
           adjacent
       channels will be 4-bit, 3-bit, and 3-bit".
    """
    channels = len(scores)
    levels = np.resize(np.asarray(field_levels, np.int64), channels)
    ranked = np.argsort(-scores, kind="stable")
    order = np.empty(channels, np.int64)
    taken = 0
    for count in sorted(set(levels.tolist()), reverse=True):
        positions = np.flatnonzero(levels == count)
        order[positions] = np.sort(ranked[taken : taken + len(positions)])
        taken += len(positions)
    return order
