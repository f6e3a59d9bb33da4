"""The ring of an expanded query, and the secret that its answers come back under."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from costmodel.parameters import Ring as RingParameters
from protocol.openfhe.context import residue_context
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import read_ring
from protocol.residue.ring import Ring
from protocol.residue.sampling import sample_ternary

Word = TypeVar("Word", np.int64, np.uint64)


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


def answer_secret(parameters: Expanded, ring: Ring) -> SecretKey:
    """Return a fresh secret s'(X^(N/N')) of the first limb's ring, s' a ternary secret of the answer's ring.

    OpenFHE refuses that ring if it is not secure with a modulus of the limb's size.
    """
    p = parameters
    residue_context(RingParameters(p.answer_degree, p.limb_bits[:1], 2))
    limb = ring.limb(0)
    return SecretKey(limb, limb.forward(limb.from_signed(interleaved(sample_ternary(p.answer_degree), p.degree))))


def interleaved(coefficients: NDArray[Word], degree: int) -> NDArray[Word]:
    """Return f(X^k) in a ring of k times the degree, of coefficients of f."""
    out: NDArray[Word] = np.zeros((*coefficients.shape[:-1], degree), dtype=coefficients.dtype)
    out[..., :: degree // coefficients.shape[-1]] = coefficients
    return out
