"""Secrets that the compressed query's flooding is sized for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.compressed_noise import secret_peak
from costmodel.compressed_parameters import CompressedParameters
from costmodel.noise import TERNARY_VARIANCE
from protocol.expanded.context import query_ring
from protocol.residue.ciphertext import SecretKey
from protocol.residue.ring import Ring

MOST_SECRETS = 64
"""That are drawn: as many in a row are refused with probability 2^-148."""


def generate_secret(parameters: CompressedParameters) -> SecretKey:
    """Return a fresh ternary secret, the first whose values at the roots keep to what the flooding is sized for.

    Raises
    ------
    ValueError
        If OpenFHE refuses the ring.
    RuntimeError
        If no secret in so many keeps to it, which four of five do: the source of randomness is broken then.
    """
    ring = query_ring(parameters)
    bound = secret_peak(ring.ring_degree) * TERNARY_VARIANCE * ring.ring_degree
    for _ in range(MOST_SECRETS):
        secret = SecretKey.generate(ring)
        if largest_value(ring, secret.residues) <= bound:
            return secret
    raise RuntimeError(f"{MOST_SECRETS} secrets in a row exceed at a root what the flooding is sized for")


def largest_value(ring: Ring, secret: NDArray[np.uint64]) -> float:
    """Return the largest |s(z)|^2 over the complex roots z of X^N + 1, of s in evaluation form, (limbs, N)."""
    limb = ring.limb(0)
    coefficients = limb.to_integers(limb.inverse(secret[:1])).astype(np.float64)
    twist = np.exp(1j * np.pi * np.arange(ring.ring_degree) / ring.ring_degree)
    return float(np.square(np.abs(np.fft.fft(coefficients * twist))).max())
