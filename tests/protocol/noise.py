"""Noise that was measured against the noise that a model predicts: how far apart chance alone can bring them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import chi2

IMPROBABLE = 1e-9
"""A chance that is no explanation: of a thousand tests of a right program, one in a million runs fails by it."""
MODEL_BITS = 0.25
"""How far a model of noise may be off."""


def log2_ratio(measured: Any, variance: float) -> float:
    """log2 of the root mean square of errors over the predicted deviation."""
    return float(0.5 * np.log2(np.mean(np.square(measured)) / variance))


def sampling_bits(samples: int) -> tuple[float, float]:
    """Between these bits the ratio of so many independent normal errors lies, but for an improbable chance."""
    low, high = chi2.ppf(IMPROBABLE, samples), chi2.isf(IMPROBABLE, samples)
    return float(0.5 * np.log2(low / samples)), float(0.5 * np.log2(high / samples))


def assert_noise(measured: Any, variance: float, bits: float = MODEL_BITS, samples: int | None = None) -> None:
    """Hold errors to a predicted variance, within the bits of the model and what their number adds.

    Errors that share a key or a secret are fewer samples than they are; the caller says then how many.
    """
    samples = np.size(measured) if samples is None else samples
    low, high = sampling_bits(samples)
    ratio = log2_ratio(measured, variance)
    assert low - bits < ratio < high + bits, f"{ratio:+.3f} bits off, of {samples} samples"
