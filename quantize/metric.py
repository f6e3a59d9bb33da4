"""What an error in the embedding costs: quadratic forms ``e M e^T`` for fine-tuning, saliency and reports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.transforms import Transform

Matrix = NDArray[np.float32]


def projection_metric(projection: Matrix) -> Matrix:
    """``G = A A^T`` of the first layer's projections, so that ``e G e^T = |e A|^2``, scaled to a mean
    diagonal of 1.

    Parameters
    ----------
    projection : array, shape (n, k)
        Query, key and value projections side by side.

    Raises
    ------
    ValueError
        If the projection is no matrix or is zero.
    """
    if projection.ndim != 2 or not np.any(projection):
        raise ValueError(f"projection: shape {projection.shape}; a matrix that is not all 0 is needed")
    return scaled(projection @ projection.T)


def scaled(metric: NDArray[np.floating[Any]]) -> Matrix:
    """A metric scaled to a mean diagonal of 1, in float32."""
    return np.asarray(metric / np.diag(metric).mean(), np.float32)


def normalised_metric(projection: Matrix, weight: Matrix, centred: bool, residual: float) -> Matrix:
    """What the first layer sees of an error behind its normalisation: ``G' + residual * R``.

    With ``C`` the removal of the mean where the normalisation has one (layer normalisation) and the identity where it
    has none (root mean square), and ``D`` the diagonal of its weight: ``G' = C D A A^T D C`` for the projections.
    ``R = C D D C`` for the residual stream that starts behind the normalisation, or the identity for one that starts
    before it. Both are scaled to a mean diagonal of 1. A row's own length changes its metric by a factor only. A
    thousandth of the identity keeps it definite where the mean is removed.

    Parameters
    ----------
    projection : array, shape (n, k)
        Query, key and value projections side by side.
    weight : array, shape (n,)
        Of the normalisation before them.
    centred : bool
        Whether the normalisation removes the mean; the residual stream of such models starts behind it.
    residual : float
        Weight of the residual stream.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.3: the loss has the projections without the normalisation before them.
    """
    channels = len(weight)
    require_shape(projection_metric(projection), channels)
    eye = np.eye(channels)
    centring = eye - 1 / channels if centred else eye
    behind = (weight[:, None] * projection).astype(np.float64)
    stream = centring * weight.astype(np.float64) ** 2 @ centring if centred else eye
    seen = scaled(centring @ behind @ behind.T @ centring) + np.float32(residual) * scaled(stream)
    return with_identity(seen, 1e-3)


def with_identity(metric: Matrix, weight: float) -> Matrix:
    """``M = G + weight * I``: the identity stands for the residual stream."""
    if weight < 0:
        raise ValueError(f"identity weight: {weight} is negative")
    return metric + np.float32(weight) * np.eye(len(metric), dtype=np.float32)


def transformed_metric(metric: Matrix, transform: Transform) -> Matrix:
    """The metric for errors of transformed channels: ``T M T^T`` for ``y = x T^T`` with T orthogonal."""
    return np.ascontiguousarray(transform.apply(np.ascontiguousarray(transform.apply(metric).T)))


def row_losses(errors: Matrix, metric: Matrix) -> NDArray[np.float64]:
    """``e_r M e_r^T`` of each row."""
    return np.asarray(np.einsum("ij,ij->i", errors @ metric, errors), np.float64)


def require_shape(metric: Matrix, channels: int) -> None:
    """Raise a ValueError unless the metric is for that many channels."""
    if metric.shape != (channels, channels):
        raise ValueError(f"projection: it is for {len(metric)} channels, the table has {channels}")
