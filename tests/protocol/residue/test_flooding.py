from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from protocol.residue.flooding import flooding
from protocol.residue.ring import Ring

IMPROBABLE = 1e-9


@pytest.mark.parametrize(("width", "limbs"), [(3, 1), (12, 2), (47, 1), (49, 2), (97, 2)])
def test_flooding_is_uniform_in_its_range_in_every_limb(make_ring: Callable[..., Ring], width: int, limbs: int) -> None:
    ring = make_ring(64, 60, limbs)
    drawn = flooding(ring, width, (4, 2048))
    assert drawn.shape == (4, limbs, 2048)
    integers = ring.to_integers(drawn).reshape(-1)
    half = 1 << (width - 1)
    assert min(integers) >= -half
    assert max(integers) < half
    eighths = np.bincount([int((x + half) * 8 >> width) for x in integers], minlength=8)
    assert stats.chisquare(eighths).pvalue > IMPROBABLE
    low = np.bincount([int(x) & 7 for x in integers], minlength=8)
    assert stats.chisquare(low).pvalue > IMPROBABLE


def test_flooding_is_fresh(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(64, 60, 1)
    assert (flooding(ring, 40, (64,)) != flooding(ring, 40, (64,))).any()
