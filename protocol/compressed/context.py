"""Secrets of OpenFHE's that the compressed query's flooding is sized for."""

from __future__ import annotations

from typing import Any

import numpy as np

from costmodel.expanded.compressed.noise import secret_peak
from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.noise import TERNARY_VARIANCE
from costmodel.parameters import Ring as RingParameters
from protocol.expanded.context import query_ring
from protocol.openfhe_context import residue_context
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import read_ring, read_secret_key
from protocol.residue.ring import Ring

MOST_SECRETS = 64
"""That are drawn: as many in a row are refused with probability 2^-148."""


def generate_secret(parameters: CompressedParameters) -> SecretKey:
    """Return a fresh secret of OpenFHE's, the first whose values at the roots keep to what the flooding is sized for.

    Raises
    ------
    ValueError
        If OpenFHE refuses the ring.
    RuntimeError
        If no secret in so many keeps to it, which four of five do: OpenFHE's generator is broken then.
    """
    context = residue_context(RingParameters(parameters.degree, parameters.limb_bits, parameters.plaintext_modulus))
    ring = query_ring(parameters)
    if read_ring(context) != ring:
        raise ValueError("OpenFHE's rings of equal sizes differ")
    bound = secret_peak(ring.ring_degree) * TERNARY_VARIANCE * ring.ring_degree
    for _ in range(MOST_SECRETS):
        residues = read_secret_key(context.KeyGen().secretKey, ring)
        if largest_value(ring, residues) <= bound:
            return SecretKey(ring, residues)
    raise RuntimeError(f"{MOST_SECRETS} secrets of OpenFHE's in a row exceed at a root what the flooding is sized for")


def largest_value(ring: Ring, secret: np.ndarray[Any, np.dtype[np.uint64]]) -> float:
    """Return the largest |s(z)|^2 over the complex roots z of X^N + 1, of s in evaluation form, (limbs, N)."""
    limb = ring.limb(0)
    coefficients = limb.to_integers(limb.inverse(secret[:1])).astype(np.float64)
    twist = np.exp(1j * np.pi * np.arange(ring.ring_degree) / ring.ring_degree)
    return float(np.square(np.abs(np.fft.fft(coefficients * twist))).max())
