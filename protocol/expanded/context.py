"""The ring of an expanded query, and its secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from costmodel.parameters import Ring as RingParameters
from protocol.openfhe.context import residue_context
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import read_ring
from protocol.residue.ring import Ring


@lru_cache(maxsize=8)
def _ring(degree: int, limb_bits: tuple[int, ...]) -> Ring:
    return read_ring(residue_context(RingParameters(degree, limb_bits, 2)))


def query_ring(parameters: Expanded) -> Ring:
    """Return the ring of queries and keys, the same for both parties."""
    return _ring(parameters.degree, parameters.limb_bits)


MOST_SECRETS = 64
"""Secrets that are drawn until one is accepted: if four of five are, none in so many is with probability 2^-148."""


def generate_secret(parameters: Expanded, accepts: Callable[[SecretKey], bool]) -> SecretKey:
    """Return a fresh ternary secret, the first that is accepted.

    Raises
    ------
    ValueError
        If OpenFHE refuses the ring.
    RuntimeError
        If no secret in so many is accepted: the source of randomness is broken then.
    """
    ring = query_ring(parameters)
    for _ in range(MOST_SECRETS):
        secret = SecretKey.generate(ring)
        if accepts(secret):
            return secret
    raise RuntimeError(f"{MOST_SECRETS} secrets in a row exceed at a root what the flooding is sized for")


def signed_coefficients(secret: SecretKey) -> NDArray[np.int64]:
    """Return the coefficients -1, 0 and 1 of a secret, (N,)."""
    limb = secret.ring.limb(0)
    signed: NDArray[np.int64] = limb.to_integers(limb.inverse(secret.residues[:1])).astype(np.int64)
    return signed
