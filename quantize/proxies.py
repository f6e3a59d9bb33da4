"""Saliency of channels by the proxies of the paper's tables 4 and 5, from the first projections alone."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from quantize.metric import Matrix, require_shape
from quantize.quantizers import channel_statistics, quantize_levels, silent
from quantize.scales import absmax_scales, power_of_two
from quantize.sources import TableSource
from quantize.transforms import IDENTITY

Criterion = Literal["gradient", "hessian", "gradient-magnitude"]


def proxy_scores(proxy: Criterion, source: TableSource, metric: Matrix, levels: int) -> NDArray[np.float64]:
    """Saliency by channel, from the loss ``sum_r e_r G e_r^T`` at the narrowest width.

    - gradient: mean of ``|(e_r G)_j|``, with e the error of rounding to ``levels`` levels;
    - hessian: ``G_jj``;
    - gradient-magnitude: mean of ``|(e_r G)_j w_rj|``.

    Parameters
    ----------
    source : TableSource
    metric : array, shape (n, n)
        `projection_metric` of the first layer.
    levels : int
        Levels of the narrowest field.

    References
    ----------
    .. [1] FastQuery (DAC 2024), tables 4 and 5; the paper does not say on which loss its gradients are taken.
    """
    if proxy not in get_args(Criterion):
        raise ValueError(f"saliency: {proxy!r} is unknown; valid are {', '.join(get_args(Criterion))}")
    require_shape(metric, source.channels)
    if proxy == "hessian":
        return np.diag(metric).astype(np.float64)
    counts = np.full(source.channels, levels)
    scales = power_of_two(absmax_scales(channel_statistics(source, IDENTITY, silent).absmax, counts, False))
    total = np.zeros(source.channels)
    for _, rows in source.blocks():
        rounded = quantize_levels(rows, scales, counts, False).astype(np.float32) * scales.astype(np.float32)
        gradient = (rounded - rows) @ metric
        product = gradient * rows if proxy == "gradient-magnitude" else gradient
        total += np.abs(product).sum(axis=0, dtype=np.float64)
    return total / source.rows
