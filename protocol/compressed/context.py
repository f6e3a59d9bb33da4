"""OpenFHE's rings for the compressed query, and secrets that its flooding is sized for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from costmodel.compressed_noise import secret_peak
from costmodel.compressed_parameters import CompressedParameters
from costmodel.noise import TERNARY_VARIANCE
from costmodel.parameters import Ring as RingParameters
from protocol.openfhe_context import generate_context
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import read_ring, read_secret_key
from protocol.residue.ring import Ring

_PLAINTEXT_MODULUS = 1 << 20
"""Of OpenFHE's context, which makes as many limbs as are asked for with it; moduli and secrets do not depend on it."""


def query_context(parameters: CompressedParameters) -> Any:
    """Return OpenFHE's context of the query's ring; it refuses what its table holds for insecure."""
    return generate_context(RingParameters(parameters.degree, parameters.limb_bits, _PLAINTEXT_MODULUS))


@lru_cache(maxsize=8)
def _ring(degree: int, limb_bits: tuple[int, ...]) -> Ring:
    return read_ring(generate_context(RingParameters(degree, limb_bits, _PLAINTEXT_MODULUS)))


def query_ring(parameters: CompressedParameters) -> Ring:
    """Return the ring of queries and keys, the same for both parties."""
    return _ring(parameters.degree, parameters.limb_bits)


def generate_secret(parameters: CompressedParameters) -> SecretKey:
    """Return a fresh secret of OpenFHE's, the first whose values at the roots keep to what the flooding is sized for.

    Raises
    ------
    ValueError
        If OpenFHE refuses the ring.
    """
    context, ring = query_context(parameters), query_ring(parameters)
    if read_ring(context) != ring:
        raise ValueError("OpenFHE's rings of equal sizes differ")
    bound = secret_peak(ring.ring_degree) * TERNARY_VARIANCE * ring.ring_degree
    while True:
        residues = read_secret_key(context.KeyGen().secretKey, ring)
        if largest_value(ring, residues) <= bound:
            return SecretKey(ring, residues)


def largest_value(ring: Ring, secret: np.ndarray[Any, np.dtype[np.uint64]]) -> float:
    """Return the largest |s(z)|^2 over the complex roots z of X^N + 1, of s in evaluation form, (limbs, N)."""
    limb = ring.limb(0)
    coefficients = limb.to_integers(limb.inverse(secret[:1])).astype(np.float64)
    twist = np.exp(1j * np.pi * np.arange(ring.ring_degree) / ring.ring_degree)
    return float(np.square(np.abs(np.fft.fft(coefficients * twist))).max())
