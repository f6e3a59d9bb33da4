"""SIMD slots: moduli, rotations by powers of two, and the counts that the model has in closed form."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.openfhe.slots import slots
from costmodel.slots import (
    check_slots,
    is_prime,
    next_power_of_two,
    non_adjacent_form,
    rotation_key_switches,
    rotation_keys,
    rotation_path,
    rotation_steps,
    slot_modulus,
)


def test_primes_are_those_of_trial_division() -> None:
    expected = [n for n in range(2, 3000) if all(n % d for d in range(2, int(n**0.5) + 1))]
    assert [n for n in range(3000) if is_prime(n)] == expected


@pytest.mark.parametrize("number", [3215031751, 3825123056546413051, (2**31 - 1) * (2**29 - 3)])
def test_pseudoprimes_are_no_primes(number: int) -> None:
    assert not is_prime(number)


@given(st.integers(2, 2**45), st.integers(4, 16))
def test_a_modulus_with_slots_is_the_smallest(smallest: int, log2_degree: int) -> None:
    degree = 1 << log2_degree
    modulus = slot_modulus(smallest, degree)
    assert modulus >= smallest
    check_slots(modulus, degree)
    below = range(modulus - 2 * degree, max(smallest, modulus - 20 * degree) - 1, -2 * degree)
    assert not any(is_prime(n) for n in below)


@pytest.mark.parametrize("modulus", [2**13, 786431, 8192 * 2 * 3 + 1, 12289])
def test_a_modulus_without_slots_is_refused(modulus: int) -> None:
    with pytest.raises(ValueError, match="1 modulo 2N=16384"):
        check_slots(modulus, 8192)


@given(st.integers(0, 2**20))
def test_non_adjacent_forms_add_up(number: int) -> None:
    digits = non_adjacent_form(number)
    assert sum(digits) == number
    places = [abs(digit).bit_length() for digit in digits]
    assert all(next_ - place >= 2 for place, next_ in pairwise(places))


@pytest.mark.parametrize("log2_period", [0, 1, 2, 5, 9])
def test_counts_of_keys_and_key_switches_are_those_of_the_rotations(log2_period: int) -> None:
    period = 1 << log2_period
    for diagonals in (1 << k for k in range(log2_period + 1)):
        paths = [rotation_path(index, period) for index in range(diagonals)]
        assert all((sum(path) - index) % period == 0 for index, path in enumerate(paths))
        assert rotation_key_switches(diagonals, period) == sum(map(len, paths))
        assert rotation_keys(diagonals, period) == len(rotation_steps(diagonals, period))


@given(st.integers(1, 20000), st.integers(1, 20000), st.integers(4, 13))
def test_slots_hold_the_table(rows: int, columns: int, log2_degree: int) -> None:
    degree = 1 << log2_degree
    plan = slots(rows, columns, degree)
    assert plan.period <= degree // 2
    assert plan.diagonals <= plan.period
    assert plan.period * (plan.inputs - 1) < rows <= plan.period * plan.inputs
    held = plan.diagonals * degree // plan.period
    assert held * (plan.outputs - 1) < columns <= held * plan.outputs


def test_slots_of_a_grid_are_those_of_its_points() -> None:
    rows, columns = np.array([[1], [3001], [32000]]), np.array([1, 131, 4096])
    grid = slots(rows, columns, 8192)
    for (i, j), inputs in np.ndenumerate(np.broadcast_to(grid.inputs, (3, 3))):
        one = slots(int(rows[i, 0]), int(columns[j]), 8192)
        assert inputs == one.inputs
        assert np.broadcast_to(grid.diagonals, (3, 3))[i, j] == one.diagonals


def test_powers_of_two() -> None:
    assert next_power_of_two(np.array([1, 2, 3, 4096, 4097])).tolist() == [1, 2, 4, 4096, 8192]
