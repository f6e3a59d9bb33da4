"""Residues modulo a Q of several limbs, in fewer bits on the way of a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from protocol.meter import Tally
from protocol.residue.ring import Ring


def round_off(values: Iterable[int], modulus: int, bits: int) -> list[int]:
    """Return round(2^bits x / Q) mod 2^bits of integers."""
    return [((x << (bits + 1)) + modulus) // (2 * modulus) % (1 << bits) for x in values]


def restore(values: Sequence[int], ring: Ring, bits: int, tally: Tally | None = None) -> NDArray[np.uint64]:
    """Return round(v Q / 2^bits) of such values, (count, limbs); the tally is told of each."""
    lifted = [((v * ring.modulus << 1) + (1 << bits)) >> (bits + 1) for v in values]
    (tally or Tally()).add(len(lifted))
    return np.array([[x % q for q in ring.moduli] for x in lifted], dtype=np.uint64).reshape(len(lifted), ring.limbs)
