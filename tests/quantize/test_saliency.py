from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantize import Quantizer, open_table, quantize
from quantize.metric import projection_metric
from quantize.proxies import Criterion, proxy_scores
from quantize.saliency import channel_order


@given(st.lists(st.integers(2, 20), min_size=1, max_size=5), st.integers(5, 40), st.integers(0, 1000))
def test_wider_fields_hold_more_salient_channels(field_levels: list[int], channels: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 10, channels).astype(np.float64)
    order = channel_order(scores, field_levels)
    assert sorted(order.tolist()) == list(range(channels))
    levels = np.resize(field_levels, channels)
    for count in set(field_levels):
        here, below = scores[order[levels == count]], scores[order[levels < count]]
        assert not here.size or not below.size or here.min() >= below.max()
        assert (np.diff(order[levels == count]) > 0).all()


@pytest.mark.parametrize("proxy", ["gradient", "hessian", "gradient-magnitude"])
def test_proxies_are_the_derivatives_of_the_loss(proxy: Criterion) -> None:
    source = open_table("50x6", 1)
    projection = np.random.default_rng(2).standard_normal((6, 9)).astype(np.float32)
    metric = projection_metric(projection)
    rounded = quantize(source, Quantizer((4, 4)), "test").embeddings().astype(np.float64)
    weights = source.read(0, 50)
    gradient = np.zeros((50, 6))
    step = 1e-3
    for j in range(6):  # half the central difference of e G e^T
        nudge = step * np.eye(6)[j]
        above, below = (
            np.einsum("ij,jk,ik->i", rounded + sign * nudge - weights, metric, rounded + sign * nudge - weights)
            for sign in (1, -1)
        )
        gradient[:, j] = (above - below) / (4 * step)
    expected = {
        "gradient": np.abs(gradient).mean(axis=0),
        "hessian": (projection**2).sum(axis=1) / (projection**2).sum(axis=1).mean(),
        "gradient-magnitude": np.abs(gradient * weights).mean(axis=0),
    }
    np.testing.assert_allclose(proxy_scores(proxy, source, metric, 4), expected[proxy], rtol=1e-3)


def test_unknown_proxies() -> None:
    with pytest.raises(ValueError, match="'size' is unknown; valid are gradient"):
        proxy_scores("size", open_table("50x6"), np.eye(6, dtype=np.float32), 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="it is for 4 channels, the table has 6"):
        proxy_scores("hessian", open_table("50x6"), np.eye(4, dtype=np.float32), 4)
