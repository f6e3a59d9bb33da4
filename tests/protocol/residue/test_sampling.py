from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from protocol.residue import sampling
from protocol.residue.ring import Ring

IMPROBABLE = 1e-9


def expand_slowly(seed: bytes, label: str, index: int, limb: int, modulus: int, count: int) -> list[int]:
    """Return what the docstring of expand says, in plain Python."""
    message = seed + bytes([len(label)]) + label.encode() + index.to_bytes(8, "little") + limb.to_bytes(8, "little")
    bits = (modulus - 1).bit_length()
    width = (bits + 7) // 8
    stream = hashlib.shake_128(message).digest(width * 4 * count)
    candidates = [int.from_bytes(stream[i : i + width], "little") % (1 << bits) for i in range(0, len(stream), width)]
    return [c for c in candidates if c < modulus][:count]


@pytest.mark.parametrize("bits", [20, 33, 52, 60, 61])
@pytest.mark.parametrize("limbs", [1, 2])
def test_expansion_follows_its_definition(make_ring: Callable[..., Ring], bits: int, limbs: int) -> None:
    ring = make_ring(64, bits, limbs)
    seed = bytes(range(32))
    polynomial = sampling.expand(seed, "key", 7, ring)
    for limb, q in enumerate(ring.moduli):
        assert polynomial[limb].tolist() == expand_slowly(seed, "key", 7, limb, q, 64)


def test_expansion_where_half_of_the_candidates_are_rejected(make_ring: Callable[..., Ring]) -> None:
    modulus = 7681  # just below 2^13, and 12289, just above it: both 1 modulo 512
    ring = Ring(256, (modulus,), (next(x for x in range(2, modulus) if pow(x, 256, modulus) == modulus - 1),))
    wide = Ring(256, (12289,), (next(x for x in range(2, 12289) if pow(x, 256, 12289) == 12288),))
    for r in (ring, wide):
        assert sampling.expand(bytes(32), "", 0, r)[0].tolist() == expand_slowly(bytes(32), "", 0, 0, r.moduli[0], 256)


def test_expansions_are_separated(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 52)
    seeds = (bytes(32), bytes(31) + b"\1")
    drawn = {
        sampling.expand(seed, label, index, ring).tobytes()
        for seed in seeds
        for label in ("", "a", "ab", "key")
        for index in (0, 1, 256, (1 << 64) - 1)
    }
    assert len(drawn) == 2 * 4 * 4


def test_expansion_of_wrong_seeds_labels_and_indices(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 52)
    with pytest.raises(ValueError, match="seed of 31 bytes"):
        sampling.expand(bytes(31), "a", 0, ring)
    with pytest.raises(ValueError, match="label of 256 bytes"):
        sampling.expand(bytes(32), "a" * 256, 0, ring)
    for index in (-1, 1 << 64):
        with pytest.raises(ValueError, match="index"):
            sampling.expand(bytes(32), "a", index, ring)


def test_gaussian_table_is_the_distribution() -> None:
    sigma = sampling.STANDARD_DEVIATION
    thresholds = [int(x) for x in sampling.gaussian_thresholds(sigma)]
    steps = np.diff([0, *thresholds, 1 << 64]) / 2.0**64
    weights = np.exp(-(np.arange(200) ** 2) / (2 * sigma**2)) * np.where(np.arange(200), 2, 1)
    weights /= weights.sum()
    np.testing.assert_allclose(steps.astype(float), weights[: len(steps)], rtol=1e-6, atol=2.0**-63)
    assert weights[len(steps) :].sum() < 2.0**-63
    variance = sum(p * k**2 for k, p in enumerate(steps))
    assert float(variance) == pytest.approx(sigma**2, rel=1e-12)


@pytest.mark.parametrize("sigma", [0.5, sampling.STANDARD_DEVIATION, 40.0])
def test_gaussian_samples_fit(sigma: float) -> None:
    samples = sampling.sample_gaussian(1 << 18, sigma)
    support = np.arange(-int(6 * sigma) - 2, int(6 * sigma) + 3)
    expected = np.exp(-(support**2) / (2 * sigma**2))
    expected *= len(samples) / expected.sum()
    common = expected > 20
    observed = np.array([(samples == x).sum() for x in support[common]])
    rest_observed, rest_expected = len(samples) - observed.sum(), len(samples) - expected[common].sum()
    statistic = ((observed - expected[common]) ** 2 / expected[common]).sum()
    statistic += (rest_observed - rest_expected) ** 2 / max(rest_expected, 20)
    assert stats.chi2.sf(statistic, common.sum()) > IMPROBABLE


def test_ternary_samples_fit() -> None:
    samples = sampling.sample_ternary(3 << 16)
    assert stats.chisquare([(samples == x).sum() for x in (-1, 0, 1)]).pvalue > IMPROBABLE


def test_samples_are_fresh() -> None:
    assert sampling.new_seed() != sampling.new_seed()
    assert (sampling.sample_gaussian(64) != sampling.sample_gaussian(64)).any()
    assert (sampling.sample_ternary(64) != sampling.sample_ternary(64)).any()


def test_wrong_deviations() -> None:
    with pytest.raises(ValueError, match="standard_deviation"):
        sampling.sample_gaussian(1, 0.1)
