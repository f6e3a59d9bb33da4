"""What an error in the embedding costs: quadratic forms ``e M e^T`` for fine-tuning, saliency and reports."""

from __future__ import annotations

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
    metric = projection @ projection.T
    return np.asarray(metric / np.diag(metric).mean(), np.float32)


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
