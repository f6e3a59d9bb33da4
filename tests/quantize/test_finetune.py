from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from quantize import Quantizer, open_table, quantize
from quantize.finetune import FineTuned, gradient_descent, integer_least_squares
from quantize.metric import projection_metric, row_losses, transformed_metric, with_identity
from quantize.tables import ArrayTable, TableSource
from quantize.transforms import Hadamard

UNIFORM = np.full(60, 1 / 60)


def metric_of(channels: int, weight: float = 1.0, seed: int = 0) -> np.ndarray:
    projection = np.random.default_rng(seed).standard_normal((channels, 3 * channels)).astype(np.float32)
    projection[:, 0] *= 5  # a direction that matters more, as real projections have
    return with_identity(projection_metric(projection), weight)


def loss_of(source: TableSource, tuned: FineTuned, metric: np.ndarray) -> float:
    errors = tuned.table.embeddings() - source.read(0, source.rows)
    return float(UNIFORM @ row_losses(errors, metric))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("transform", [Quantizer().transform, Hadamard(4, 5)])
def test_fine_tuning_lessens_the_loss_that_it_reports(half: bool, transform: Hadamard) -> None:
    source = open_table("60x12", 1)
    metric = metric_of(12)
    table = quantize(source, Quantizer(half_integer=half, transform=transform), "test")
    for tuned in (
        gradient_descent(source, table, metric, UNIFORM),
        integer_least_squares(source, table, metric, UNIFORM),
    ):
        before = loss_of(source, FineTuned(table, 0, 0), metric)
        assert tuned.loss_before == pytest.approx(before, rel=1e-4)
        assert tuned.loss_after == pytest.approx(loss_of(source, tuned, metric), rel=1e-4)
        assert tuned.loss_after < 0.98 * tuned.loss_before
        assert tuned.table.public == table.public


def test_integer_least_squares_finds_the_best_levels_of_small_rows() -> None:
    """Against every combination of levels; a local optimum may be missed now and then, a wrong formula always."""
    source = open_table("60x4", 3)
    metric = metric_of(4, seed=2)
    table = quantize(source, Quantizer((4, 4, 4, 4)), "test")
    tuned = integer_least_squares(source, table, metric, UNIFORM)
    every = np.array(list(product(range(-2, 2), repeat=4)), np.float32) * np.asarray(table.public.scales, np.float32)
    reached = row_losses(tuned.table.embeddings() - source.read(0, 60), metric)
    best = np.array([row_losses((every - row).astype(np.float32), metric).min() for row in source.read(0, 60)])
    assert (reached >= best * (1 - 1e-4)).all()
    assert np.mean(reached <= best * (1 + 1e-4)) > 0.8


def nearest_plane(target: np.ndarray, metric: np.ndarray, low: int, high: int) -> np.ndarray:
    """Babai's procedure by the book, one row: the last channel first, by the rows of a Cholesky factor."""
    factor = np.linalg.cholesky(metric)
    levels = np.zeros(len(target))
    for j in reversed(range(len(target))):
        pull = (levels - target)[j + 1 :] @ factor[j + 1 :, j] / factor[j, j]
        levels[j] = np.clip(np.rint(target[j] - pull), low, high)
    return levels


def test_integer_least_squares_is_no_worse_than_the_nearest_plane() -> None:
    generator = np.random.default_rng(6)
    channels = 100
    projection = generator.standard_normal((channels, 20)) @ generator.standard_normal((20, 60))
    metric = with_identity(projection_metric(projection.astype(np.float32)), 0.01)
    source = open_table(f"20x{channels}", 7)
    table = quantize(source, Quantizer((8, 8), granularity="tensor"), "test")
    tuned = integer_least_squares(source, table, metric, np.full(20, 0.05))
    scale = table.public.scales[0]
    targets = source.read(0, 20).astype(np.float64) / scale
    textbook = np.array([nearest_plane(row, metric.astype(np.float64), -4, 3) for row in targets])
    by_the_book = row_losses(((textbook - targets) * scale).astype(np.float32), metric)
    reached = row_losses(tuned.table.embeddings() - source.read(0, 20), metric)
    rounded = row_losses(table.embeddings() - source.read(0, 20), metric)
    assert (reached <= by_the_book * 1.001).all()
    assert by_the_book.sum() < 0.5 * rounded.sum()


def test_with_an_identity_metric_rounding_is_best_already() -> None:
    source = open_table("60x12", 1)
    table = quantize(source, Quantizer(), "test")
    metric = np.eye(12, dtype=np.float32)
    for tune in (gradient_descent, integer_least_squares):
        assert np.array_equal(tune(source, table, metric, UNIFORM).table.coefficients, table.coefficients)


def test_rare_tokens_move_less() -> None:
    source = open_table("60x12", 1)
    table = quantize(source, Quantizer(), "test")
    rare = np.full(60, 1e-9)
    rare[:30] = 1
    tuned = gradient_descent(source, table, metric_of(12), rare / rare.sum(), steps=5)
    changed = (tuned.table.coefficients != table.coefficients).any(axis=1)
    assert changed[:30].any()
    assert not changed[30:].any()


def test_the_metric_of_a_transform() -> None:
    metric = metric_of(8)
    transform = Hadamard(8, 2)
    errors = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    np.testing.assert_allclose(
        row_losses(transform.apply(errors), transformed_metric(metric, transform)),
        row_losses(errors, metric),
        rtol=1e-4,
    )


def test_the_metric_is_the_error_behind_the_projection() -> None:
    projection = np.random.default_rng(0).standard_normal((4, 7)).astype(np.float32)
    errors = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    behind = ((errors @ projection) ** 2).sum(axis=1)
    mean = (projection**2).sum(axis=1).mean()
    np.testing.assert_allclose(row_losses(errors, projection_metric(projection)), behind / mean, rtol=1e-4)


def test_what_fine_tuning_refuses() -> None:
    source = open_table("60x12", 1)
    table = quantize(source, Quantizer(), "test")
    with pytest.raises(ValueError, match="at least one step"):
        gradient_descent(source, table, metric_of(12), UNIFORM, steps=0)
    with pytest.raises(ValueError, match="not positive definite"):
        integer_least_squares(source, table, np.diag([1.0] * 11 + [0.0]).astype(np.float32), UNIFORM)
    with pytest.raises(ValueError, match="it is for 8 channels, the table has 12"):
        gradient_descent(source, table, metric_of(8), UNIFORM)
    with pytest.raises(ValueError, match="the same source"):
        gradient_descent(ArrayTable.of(np.ones((5, 12))), table, metric_of(12), UNIFORM)
    with pytest.raises(ValueError, match="negative"):
        with_identity(metric_of(4), -1)
    with pytest.raises(ValueError, match="not all 0"):
        projection_metric(np.zeros((4, 4), np.float32))
