"""Data-free fine-tuning of a quantised table: other levels under the same scales, so that a loss gets
smaller.

The loss is ``sum_r f_r e_r M e_r^T`` over the errors of the rows. With fixed scales every row is a problem
of its own, so a table is tuned in chunks of rows, and the best levels of each row are kept: the loss never
grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky

from quantize.compiled import compiled
from quantize.frequencies import clipped_frequencies
from quantize.metric import Matrix, require_shape, row_losses, transformed_metric
from quantize.packed import PackedTable
from quantize.packing import AnyIntegers
from quantize.public import PublicTable
from quantize.quantizers import Progress, pack_levels, quantize_levels, silent
from quantize.scales import Floats, level_bounds
from quantize.sources import TableSource

Levels = NDArray[np.int32]
RowSolver = Callable[[Matrix, Levels, Floats], Levels]

_CHUNK_BYTES: Final = 32 << 20
_PATIENCE: Final = 8
_BLOCK: Final = 64  # columns whose corrections are applied together
_SWEEPS: Final = 10


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned table and the loss before and after, ``sum_r f_r e_r M e_r^T``."""

    table: PackedTable
    loss_before: float
    loss_after: float


def gradient_descent(
    source: TableSource,
    table: PackedTable,
    metric: Matrix,
    frequencies: Floats,
    steps: int = 60,
    rate: float = 1.0,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> FineTuned:
    """Gradient descent on latent weights with the straight-through estimator.

    ``w' <- w' - rate * (min(f_r, threshold) / threshold)^2 * (Q(w') - w) M / lambda_max(M)``, for at most ``steps``
    steps a chunk, ending early when 8 steps bring nothing. The frequencies stand within the paper's norm
    ``|I_token (Q(W') - W) W_QKV|_2``, so that a row's squared error counts by the square of its frequency; the
    norm's own gradient differs from the square's by a factor that the rate takes.

    Parameters
    ----------
    source : TableSource
        The float table.
    table : PackedTable
        The quantised table to start from; its scales, order and transform stay.
    metric : array, shape (n, n)
        `projection_metric` for the paper's loss; `with_identity` of it for the residual stream's too.
    frequencies : array, shape (rows,)
    steps : int
    rate : float
    threshold : float, optional
        Frequencies are clipped to it; `default_threshold` by default.
    progress : callable, optional

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.3, "Data-free Embedding Table Fine-tuning". The paper gives
           neither the
       threshold nor the learning rate.
    """
    if steps < 1 or rate <= 0:
        raise ValueError(f"steps, rate: {steps}, {rate}; at least one step and a positive rate are needed")
    clip = default_threshold(frequencies) if threshold is None else threshold
    attention = (clipped_frequencies(frequencies, clip) / clip) ** 2
    local = transformed_metric(metric, table.public.transform)
    step = rate / float(np.linalg.eigvalsh(local.astype(np.float64))[-1])

    def solve(rows: Matrix, levels: Levels, weights: Floats) -> Levels:
        latent = rows.copy()
        best, best_losses = levels, np.full(len(rows), np.inf, np.float32)
        stale = 0
        for _ in range(steps + 1):
            errors = _values(levels, table.public) - rows
            gradient = errors @ local
            losses = np.einsum("ij,ij->i", gradient, errors)
            improved = losses < best_losses
            stale = 0 if improved.any() else stale + 1
            if stale == _PATIENCE:
                break
            best = np.where(improved[:, None], levels, best)
            best_losses = np.minimum(losses, best_losses)
            latent -= (step * weights[:, None]).astype(np.float32) * gradient
            levels = _rounded(latent, table.public)
        return best

    return _tuned(source, table, local, frequencies, attention, solve, progress)


def default_threshold(frequencies: Floats) -> float:
    """The mean frequency: tokens that are more frequent than the mean count alike."""
    return float(frequencies.mean())


def integer_least_squares(
    source: TableSource,
    table: PackedTable,
    metric: Matrix,
    frequencies: Floats,
    progress: Progress | None = None,
) -> FineTuned:
    """Levels of each row by integer least squares: Babai's nearest plane, then coordinate descent to a fixed
    point.

    The frequencies do not matter to a row's own minimum; they only weight the loss that is reported.

    Parameters
    ----------
    source, table, metric, frequencies, progress
        As of `gradient_descent`. The metric has to be positive definite: `with_identity` of a positive
        weight.

    Raises
    ------
    ValueError
        If the metric is not positive definite.

    References
    ----------
    .. [1] Babai, "On Lovasz' lattice reduction and the nearest lattice point problem" (1986).
    .. [2] Frantar et al., "GPTQ" (2022), whose column-by-column rounding is Babai's procedure.
    """
    local = transformed_metric(metric, table.public.transform)
    scales = np.asarray(table.public.scales)
    try:
        factor = cholesky(local.astype(np.float64) * np.outer(scales, scales), lower=True)
    except np.linalg.LinAlgError as error:
        raise ValueError("metric: not positive definite; add the identity with a positive weight") from error
    feedback = (factor / np.diag(factor)).astype(np.float32)
    scaled = (local * np.outer(scales, scales).astype(np.float32)).astype(np.float32)

    def solve(rows: Matrix, levels: Levels, weights: Floats) -> Levels:
        del weights
        low, high = _bounds(table.public)
        target = (rows / scales).astype(np.float32) - np.float32(0.5 * table.public.half_integer)
        nearest = _nearest_plane(target, feedback, low, high)
        gradient, other = (levels - target) @ scaled, (nearest - target) @ scaled
        losses = (np.einsum("ij,ij->i", gradient, levels - target), np.einsum("ij,ij->i", other, nearest - target))
        better = (losses[1] < losses[0])[:, None]
        best, gradient = np.where(better, nearest, levels), np.where(better, other, gradient)
        _coordinate_descent(best, gradient, scaled, low, high, _SWEEPS)
        return best

    return _tuned(source, table, local, frequencies, frequencies, solve, progress)


def _tuned(
    source: TableSource,
    table: PackedTable,
    local: Matrix,
    frequencies: Floats,
    attention: Floats,
    solve: RowSolver,
    progress: Progress | None,
) -> FineTuned:
    public, report = table.public, progress or silent
    require_shape(local, source.channels)
    if public.row_of_token is not None or public.rows != source.rows or public.channels != source.channels:
        raise ValueError("table: fine-tuning needs the packed table of the same source, with no rows merged")
    coefficients = np.empty_like(table.coefficients)
    before = after = 0.0
    for start, block in source.blocks(_CHUNK_BYTES):
        part = slice(start, start + len(block))
        rows = public.transform.apply(block)
        levels = public.open(table.coefficients[part])
        tuned = solve(rows, levels.copy(), attention[part])
        before += float(frequencies[part] @ row_losses(_values(levels, public) - rows, local))
        after += float(frequencies[part] @ row_losses(_values(tuned, public) - rows, local))
        coefficients[part] = pack_levels(tuned, public)
        report("fine-tuning", (start + len(block)) / source.rows)
    return FineTuned(PackedTable(coefficients, public), before, after)


def _values(levels: AnyIntegers, public: PublicTable) -> Matrix:
    """Transformed channel values of levels."""
    half = np.float32(0.5 * public.half_integer)
    return np.asarray((levels.astype(np.float32) + half) * np.asarray(public.scales, np.float32))


def _bounds(public: PublicTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return level_bounds(public.levels_by_position[np.asarray(public.inverse_order)])


def _rounded(values: Matrix, public: PublicTable) -> Levels:
    counts = public.levels_by_position[np.asarray(public.inverse_order)]
    return quantize_levels(values, np.asarray(public.scales), counts, public.half_integer)


def _nearest_plane(target: Matrix, feedback: Matrix, low: NDArray[np.int64], high: NDArray[np.int64]) -> Levels:
    """Babai's nearest plane for ``min |(q - target) L|`` with ``feedback = L / diag(L)``, L lower triangular.

    With ``d = q - target``, column j of ``d L`` is ``L_jj (d_j + sum_{i>j} d_i feedback_ij)``; deciding from
    the last channel to the first, the sum is known when j is rounded.
    """
    channels = target.shape[1]
    levels = np.empty(target.shape, np.int32)
    wanted = target.T.copy()
    errors = np.zeros_like(wanted)
    for stop in range(channels, 0, -_BLOCK):
        start = max(0, stop - _BLOCK)
        for j in range(stop - 1, start - 1, -1):
            shift = feedback[j + 1 : stop, j] @ errors[j + 1 : stop]
            chosen = np.clip(np.rint(wanted[j] - shift), low[j], high[j])
            levels[:, j] = chosen
            errors[j] = chosen - target[:, j]
        wanted[:start] -= feedback[start:stop, :start].T @ errors[start:stop]
    return levels


@compiled
def _coordinate_descent(
    levels: Levels,
    gradient: Matrix,
    metric: Matrix,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    sweeps: int,
) -> None:
    """Move one level at a time to its best integer, others fixed, until a sweep moves none; in place."""
    rows, channels = levels.shape
    for r in range(rows):
        for _ in range(sweeps):
            moved = False
            for j in range(channels):
                wanted = levels[r, j] - np.rint(gradient[r, j] / metric[j, j])
                chosen = int(min(max(wanted, low[j]), high[j]))
                change = chosen - levels[r, j]
                if change != 0:
                    levels[r, j] = chosen
                    moved = True
                    step = np.float32(change)
                    for k in range(channels):
                        gradient[r, k] += step * metric[j, k]
            if not moved:
                break
