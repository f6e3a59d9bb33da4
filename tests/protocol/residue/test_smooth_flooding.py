from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from costmodel.flooding import log2_bound, mean_square
from protocol.residue.ring import Ring
from protocol.residue.smooth_flooding import smooth_flooding

IMPROBABLE = 1e-9


def test_small_flooding_has_the_distribution_of_three_uniforms(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 30, 1)
    integers = ring.to_integers(smooth_flooding(ring, 2, (20_000,))).astype(np.int64)
    one = np.full(8, 1 / 8)
    expected = np.convolve(np.convolve(one, one), one) * integers.size
    assert integers.min() >= -12
    assert integers.max() <= 9
    counts = np.bincount(integers + 12, minlength=22)
    tails = slice(2, 20)  # cells of the tails are too small for the statistic: they are added up
    observed = np.array([counts[:2].sum(), *counts[tails], counts[20:].sum()])
    predicted = np.array([expected[:2].sum(), *expected[tails], expected[20:].sum()])
    assert stats.chisquare(observed, predicted).pvalue > IMPROBABLE


@pytest.mark.parametrize(("log2_width", "limbs"), [(47, 1), (50, 2), (92, 2)])
def test_wide_flooding_is_the_same_in_every_limb(make_ring: Callable[..., Ring], log2_width: int, limbs: int) -> None:
    ring = make_ring(64, 60, limbs)
    drawn = smooth_flooding(ring, log2_width, (4, 4096))
    assert drawn.shape == (4, limbs, 4096)
    integers = ring.to_integers(drawn).reshape(-1).astype(np.float64)
    assert np.log2(np.abs(integers).max()) <= log2_bound(log2_width)
    assert abs(np.mean(integers**2) / mean_square(log2_width) - 1) < 0.1
    assert (drawn != smooth_flooding(ring, log2_width, (4, 4096))).any()
