"""What figures compute: crossings and Pareto fronts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plots.bandwidth import Crossing
from plots.bandwidth import crossings as crossings_of
from plots.pareto import pareto_front
from plots.series import series_of
from plots.style import byte_text, second_text


def crossings(frame: pd.DataFrame) -> list[Crossing]:
    return crossings_of(series_of(frame, "bandwidth", ("rate_bit_per_s",)))


def lines(fixed_s: dict[str, float], bits: dict[str, float], rates: np.ndarray) -> pd.DataFrame:
    frames = [
        pd.DataFrame({"protocol": name, "rate_bit_per_s": rates, "latency_s": fixed_s[name] + bits[name] / rates})
        for name in fixed_s
    ]
    return pd.concat(frames, ignore_index=True)


def test_a_crossing_is_where_the_lines_meet() -> None:
    # 2 + 1e6/r = 1 + 5e6/r at r = 4e6.
    frame = lines({"iron": 2.0, "folded": 1.0}, {"iron": 1e6, "folded": 5e6}, np.geomspace(1e5, 1e9, 401))
    (crossing,) = crossings(frame)
    assert crossing.rate_bit_per_s == pytest.approx(4e6, rel=1e-3)
    assert crossing.latency_s == pytest.approx(2.25, rel=1e-3)
    assert (crossing.below, crossing.above, crossing.fastest) == ("Iron", "Folded query", True)


def test_crossings_above_the_fastest_are_told_apart() -> None:
    fixed, bits = {"iron": 2.0, "cheetah": 1.0, "folded": 0.1}, {"iron": 1e6, "cheetah": 5e6, "folded": 1e3}
    (crossing,) = crossings(lines(fixed, bits, np.geomspace(1e5, 1e9, 401)))
    assert not crossing.fastest


def test_parallel_lines_do_not_cross() -> None:
    assert (
        crossings(lines({"iron": 2.0, "cheetah": 1.0}, {"iron": 2e6, "cheetah": 1e6}, np.geomspace(1e5, 1e9, 11))) == []
    )


def test_crossings_need_the_same_rates() -> None:
    frame = lines({"iron": 2.0, "cheetah": 1.0}, {"iron": 1e6, "cheetah": 5e6}, np.geomspace(1e5, 1e9, 11))
    with pytest.raises(ValueError, match="the same rates"):
        crossings(frame.iloc[1:])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_pareto_fronts_hold_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    x, y = zip(*points, strict=True)
    expected = [not any(a <= c and b <= d and (a, b) != (c, d) for a, b in points) for c, d in points]
    assert pareto_front(x, y).tolist() == expected


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12 B"), (999.9, "1 kB"), (1264, "1.26 kB"), (136016, "136 kB"), (16.7e6, "16.7 MB")]
)
def test_bytes_read_well(value: float, text: str) -> None:
    assert byte_text(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0142, "14.2 ms"), (3.513, "3.51 s"), (551.2, "551 s")])
def test_seconds_read_well(value: float, text: str) -> None:
    assert second_text(value) == text
