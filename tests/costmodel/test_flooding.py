"""The flooding's bounds against distances that are computed exactly, for widths small enough to do so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate

from costmodel import flooding


def distribution(width: int) -> NDArray[np.float64]:
    """Probabilities of Z = -3w, ..., 3w - 3, the sum of three integers uniform on [-w, w)."""
    one = np.full(2 * width, 1 / (2 * width))
    return np.convolve(np.convolve(one, one), one)


def shifted(p: NDArray[np.float64], error: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both distributions on the same integers."""
    return np.pad(p, (0, error)), np.pad(p, (error, 0))


def exact_squared_hellinger(width: int, error: int) -> float:
    first, second = shifted(distribution(width), error)
    return float(0.5 * np.square(np.sqrt(first) - np.sqrt(second)).sum())


def test_information_of_the_density() -> None:
    def inner(x: float) -> float:
        return (x / 4) ** 2 / ((3 - x * x) / 8)

    def outer(x: float) -> float:
        return ((3 - x) / 8) ** 2 / ((3 - x) ** 2 / 16)

    information = 2 * (integrate.quad(inner, 0, 1)[0] + integrate.quad(outer, 1, 3)[0])
    assert pytest.approx(information, rel=1e-10) == flooding.FISHER_INFORMATION
    assert pytest.approx(1.140519, rel=1e-6) == flooding.FISHER_INFORMATION


def test_information_of_the_density_by_convolution() -> None:
    """The density of the docstring is that of the sum."""
    width = 1000
    x = (np.arange(6 * width - 2) - (3 * width - 1.5)) / width
    density = np.where(np.abs(x) <= 1, (3 - x * x) / 8, (3 - np.abs(x)) ** 2 / 16)
    assert np.abs(distribution(width) * width - density).max() < 1e-5


@pytest.mark.parametrize("width", [*range(1, 40), 64, 100, 255, 1000])
def test_squared_hellinger_distance_of_every_shift(width: int) -> None:
    for error in sorted({1, 2, 3, width // 2 + 1, width, 3 * width, 6 * width}):
        assert exact_squared_hellinger(width, error) <= float(flooding.squared_hellinger(error, width)) * (1 + 1e-12)


@pytest.mark.parametrize("width", [30, 300, 3000])
def test_bound_is_tight_for_small_shifts(width: int) -> None:
    exact = exact_squared_hellinger(width, 1)
    assert 1 <= float(flooding.squared_hellinger(1, width)) / exact < 1 + 0.3 / width
    assert exact > flooding.FISHER_INFORMATION / (8 * width**2)


@given(st.integers(2, 12), st.data())
@settings(max_examples=30, deadline=None)
def test_distance_of_two_answers_the_second_of_which_depends_on_the_first(width: int, data: st.DataObject) -> None:
    """Statistical distance, exactly, of two flooded errors and two without; the bound knows the mean square alone."""
    p = distribution(width)
    first_error = data.draw(st.integers(0, 2))
    seen = len(p) + 2
    second_error = data.draw(st.lists(st.integers(0, 2), min_size=seen, max_size=seen))
    real = np.zeros((seen, seen))
    ideal = np.zeros((seen, seen))
    for y in range(seen):
        with_error = p[y - first_error] if 0 <= y - first_error < len(p) else 0.0
        without = p[y] if y < len(p) else 0.0
        error = second_error[y]
        real[y, error : error + len(p)] = with_error * p
        ideal[y, : len(p)] = without * p
    distance = 0.5 * np.abs(real - ideal).sum()
    largest = first_error**2 + max(second_error) ** 2
    if largest:
        bound = float(flooding.log2_distance(np.log2(width), np.log2(largest / 2), 1, 2))
        assert np.log2(distance) <= bound + 1e-9
    else:
        assert distance == pytest.approx(0.0, abs=1e-12)


def test_distance_grows_with_the_square_root_of_the_answers() -> None:
    one, many = flooding.log2_distance(92, 2 * 48.6, 2048, np.array([1, 2**20]))
    assert many - one == pytest.approx(10.0)


def test_a_distance_is_at_most_one() -> None:
    assert flooding.log2_distance(5, 20.0, 2048, 1) == 0.0


@given(st.floats(-60, -1), st.floats(-10, 120), st.integers(1, 1 << 14), st.integers(1, 1 << 30))
def test_width_is_the_least_that_meets_the_target(
    target: float, mean_square: float, coefficients: int, answers: int
) -> None:
    width = float(flooding.log2_width(target, mean_square, coefficients, answers))
    assert flooding.log2_distance(width, mean_square, coefficients, answers) <= target
    if width > 0:
        assert flooding.log2_distance(width - 1, mean_square, coefficients, answers) > target


@pytest.mark.parametrize("rows", [1, 2, 7, 50])
def test_largest_of_several_mean_squares(rows: int) -> None:
    """Equal rows of a table have one error between them, and the largest of independent ones is expected below."""
    bound = 2.0 ** float(flooding.largest_bits(rows))
    squares = np.random.default_rng(1).standard_normal((200_000, rows)) ** 2
    assert squares.max(axis=1).mean() <= bound * (1 + 1e-9 if rows > 1 else 1.01)
    mixed = np.random.default_rng(2).standard_normal((20_000, rows, 3)) ** 2 @ np.array([0.7, 0.2, 0.1])
    assert mixed.max(axis=1).mean() <= bound * 1.02


@pytest.mark.parametrize("low_bits", [1, 2, 3])
@pytest.mark.parametrize("width", [64, 200])
def test_thresholds_that_move_by_a_unit(width: int, low_bits: int) -> None:
    """What half a unit of the message's rounding changes in the bits that are sent, against its bound."""
    p = distribution(width)
    rng = np.random.default_rng(low_bits)
    spacing = 6 * width / (1 << low_bits)  # 3 w is just below half a cell
    worst = 0.0
    for _ in range(200):
        thresholds = np.arange(rng.uniform(0, spacing), len(p), spacing)
        first = np.ceil(thresholds).astype(int)
        second = first + rng.integers(0, 2, len(first))
        bins = [np.add.reduceat(p, np.concatenate([[0], np.minimum(at, len(p) - 1)])) for at in (first, second)]
        worst = max(worst, float(0.5 * np.square(np.sqrt(bins[0]) - np.sqrt(bins[1])).sum()))
    assert 0 < worst <= float(flooding.squared_hellinger(2.0 ** (low_bits + 1), width))


def test_bound_and_mean_square() -> None:
    p = distribution(16)
    values = np.arange(-48, 46)
    assert len(p) == len(values)
    assert 2.0 ** float(flooding.log2_bound(4)) == pytest.approx(48.0)
    assert float(flooding.mean_square(4)) == pytest.approx(float(p @ values**2))
