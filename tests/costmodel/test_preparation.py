"""Waiting for preparations: against a simulation, the closed forms of M/D/1, and one configuration at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.preparation import preparation_wait, shortest_queue


def simulated_waits(load: float, held: int, lookups: int, seed: int) -> np.ndarray:
    """Waits in preparations' times: a store of ``held``, one maker, one lookup after the other."""
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / load, lookups))
    waits, ready, maker_free = np.empty(lookups), [0.0] * held, 0.0
    for i, now in enumerate(arrivals):
        maker_free = max(maker_free, now) + 1.0  # the replacement of what this lookup takes is ordered now
        ready.append(maker_free)
        waits[i] = max(0.0, ready.pop(0) - now)
    return waits[lookups // 10 :]


@pytest.mark.parametrize(("load", "held"), [(0.3, 0), (0.3, 1), (0.75, 1), (0.75, 4), (0.9, 3), (0.9, 12)])
def test_a_simulation_waits_as_often_and_as_long(load: float, held: int) -> None:
    waits = simulated_waits(load, held, 200_000, seed=held)
    found = preparation_wait(load, 1.0, held)
    assert np.mean(waits > 0) == pytest.approx(float(found.probability), rel=0.08, abs=0.004)
    assert waits.mean() == pytest.approx(float(found.mean_s), rel=0.12, abs=0.004)
    assert waits[waits > 0].mean() == pytest.approx(float(found.mean_of_waiting_s), rel=0.12)


@given(load=st.floats(0.001, 0.99), seconds=st.floats(0.01, 1000))
def test_nothing_held_ready_is_the_time_in_an_m_d_1_queue(load: float, seconds: float) -> None:
    found = preparation_wait(load / seconds, seconds, 0)
    assert found.probability == 1.0
    assert found.mean_s == pytest.approx(seconds * (1 + load / (2 * (1 - load))))


@given(load=st.floats(0.001, 0.99))
def test_one_and_two_held_ready_follow_the_closed_form(load: float) -> None:
    found = preparation_wait(load, 1.0, [1, 2])
    empty, single = 1 - load, (1 - load) * (np.exp(load) - 1)
    assert found.probability == pytest.approx([1 - empty, 1 - empty - single])


@given(load=st.floats(0.05, 0.98), held=st.integers(0, 200))
def test_more_held_ready_never_waits_more(load: float, held: int) -> None:
    found = preparation_wait(load, 1.0, [held, held + 1])
    assert found.probability[1] <= found.probability[0] + 1e-12
    assert found.mean_s[1] <= found.mean_s[0] + 1e-9


def test_time_has_no_unit() -> None:
    slow, fast = preparation_wait(0.01, 80.0, 3), preparation_wait(10.0, 0.08, 3)
    assert slow.probability == pytest.approx(float(fast.probability))
    assert slow.mean_s == pytest.approx(1000 * float(fast.mean_s))


def test_arrays_are_one_at_a_time() -> None:
    rates, seconds, held = np.array([[0.1], [0.02]]), np.array([3.0, 12.0]), np.array([0, 5])
    found = preparation_wait(rates, seconds, held)
    for i in range(2):
        for j in range(2):
            one = preparation_wait(rates[i, 0], seconds[j], held[j])
            assert [float(field[i, j]) for field in found] == pytest.approx([float(field) for field in one])


def test_more_lookups_than_preparations_wait_for_ever() -> None:
    found = preparation_wait(1.0, [0.5, 1.0, 2.0], 8)
    assert found.probability[1:].tolist() == [1.0, 1.0]
    assert np.isinf(found.mean_s[1:]).all()
    assert found.probability[0] < 0.01


@given(load=st.floats(0.01, 0.95), probability=st.floats(1e-6, 0.9))
def test_the_shortest_queue_is_the_first_that_does(load: float, probability: float) -> None:
    held = int(shortest_queue(load, 1.0, probability))
    assert preparation_wait(load, 1.0, held).probability <= probability
    assert held == 0 or preparation_wait(load, 1.0, held - 1).probability > probability


def test_no_queue_is_long_enough_at_full_load() -> None:
    assert (shortest_queue([0.5, 1.5], 1.0, 0.01) < 0).tolist() == [False, True]


def test_shares_that_cannot_be_told_from_rounding_are_not_asked_for() -> None:
    with pytest.raises(ValueError, match="probability is 0"):
        shortest_queue(0.5, 1.0, 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 1), "lookups_per_s is 0.0; it must be positive"),
        ((1.0, np.inf, 1), "preparation_s is inf; it must be positive and finite"),
        ((1.0, 0.5, -1), "queue_length is -1; it must lie between 0 and 4096"),
        ((1.0, 0.5, 5000), "queue_length is 5000"),
    ],
)
def test_what_is_out_of_bounds_is_named(arguments: tuple[float, float, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preparation_wait(*arguments)
