"""Secrets that a flooding is sized for which hides products of the table and the secret."""

from __future__ import annotations

import numpy as np

from costmodel.expanded.noise import secret_peak
from costmodel.noise import TERNARY_VARIANCE
from protocol.residue.ciphertext import SecretKey


def keeps_to_the_peak(secret: SecretKey) -> bool:
    """Return whether a secret's values at the roots keep to what the flooding is sized for, as four of five do."""
    degree = secret.ring.ring_degree
    return bool(largest_value(secret) <= secret_peak(degree) * TERNARY_VARIANCE * degree)


def largest_value(secret: SecretKey) -> float:
    """Return the largest |s(z)|^2 over the complex roots z of X^N + 1."""
    limb, degree = secret.ring.limb(0), secret.ring.ring_degree
    coefficients = limb.to_integers(limb.inverse(secret.residues[:1])).astype(np.float64)
    twist = np.exp(1j * np.pi * np.arange(degree) / degree)
    return float(np.square(np.abs(np.fft.fft(coefficients * twist))).max())
