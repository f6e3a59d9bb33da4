"""Secrets below any modulus: their distribution, and where they come from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protocol.randomness import sample_uniform

IMPROBABLE = 1e-9


@pytest.mark.parametrize("modulus", [1, 2, 3, 5, 8, 200, 257])
def test_uniform_samples_fit(modulus: int) -> None:
    samples = sample_uniform(modulus, 1 << 16)
    observed = np.bincount(samples.astype(np.int64), minlength=modulus)
    assert observed.shape == (modulus,)
    if modulus > 1:
        assert stats.chisquare(observed).pvalue > IMPROBABLE


@pytest.mark.parametrize("modulus", [(1 << 33) + 1, (1 << 64) - 59, 1 << 64])
def test_uniform_samples_of_wide_moduli_reach_every_eighth(modulus: int) -> None:
    samples = sample_uniform(modulus, 1 << 15)
    observed = np.bincount([int(x) * 8 // modulus for x in samples], minlength=8)
    assert observed.shape == (8,)
    assert stats.chisquare(observed).pvalue > IMPROBABLE
    assert stats.chisquare(np.bincount((samples % np.uint64(8)).astype(np.int64), minlength=8)).pvalue > IMPROBABLE


def test_secrets_are_fresh_and_as_many_as_asked_for() -> None:
    assert (sample_uniform(1 << 60, 64) != sample_uniform(1 << 60, 64)).any()
    for count in (0, 1, 1000):
        assert sample_uniform((1 << 32) + 1, count).shape == (count,)


@pytest.mark.parametrize("modulus", [0, (1 << 64) + 1])
def test_a_modulus_out_of_range_is_refused(modulus: int) -> None:
    with pytest.raises(ValueError, match="modulus"):
        sample_uniform(modulus, 1)
