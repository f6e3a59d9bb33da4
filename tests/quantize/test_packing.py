from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantize.packing import (
    field_moduli_of_levels,
    levels_of_widths,
    pack,
    packed_modulus,
    place_values,
    require_fit,
    unpack,
)

moduli = st.lists(st.integers(2, 300), min_size=1, max_size=6)


@st.composite
def packed_case(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    field_moduli = draw(moduli)
    channels = draw(st.integers(1, 20))
    rows = draw(st.integers(0, 3))
    levels = [
        [draw(st.integers(0, field_moduli[k % len(field_moduli)] - 1)) for k in range(channels)] for _ in range(rows)
    ]
    return np.array(levels, np.int64).reshape(rows, channels), field_moduli


@given(packed_case())
def test_packing_is_a_number_in_mixed_radix_and_exact(case: tuple[np.ndarray, list[int]]) -> None:
    levels, field_moduli = case
    packed = pack(levels, field_moduli)
    places = place_values(field_moduli)
    g = len(field_moduli)
    for row, coefficients in zip(levels.tolist(), packed.tolist(), strict=True):
        expected = [
            sum(level * place for level, place in zip(row[c : c + g], places, strict=False))
            for c in range(0, len(row), g)
        ]
        assert coefficients == expected
    assert packed.dtype == np.min_scalar_type(prod(field_moduli) - 1)
    assert np.array_equal(unpack(packed, field_moduli, levels.shape[1]), levels)


def test_every_coefficient_of_a_full_group_is_a_different_one() -> None:
    field_moduli = (6, 4, 2)
    every = np.stack([level.ravel() for level in np.meshgrid(*[np.arange(m) for m in field_moduli])], axis=1)
    packed = pack(every, field_moduli)
    assert sorted(packed.ravel().tolist()) == list(range(48))
    assert np.array_equal(unpack(packed, field_moduli, 3), every)


def test_packing_beyond_32_bits() -> None:
    field_moduli = field_moduli_of_levels(levels_of_widths((24, 24)))
    levels = np.array([[2**24 - 1, 2**24 - 1, 5]])
    packed = pack(levels, field_moduli)
    assert packed.dtype == np.uint64
    assert packed.tolist() == [[(2**24 - 1) * (2**25 + 1), 5]]
    assert np.array_equal(unpack(packed, field_moduli, 3), levels)


def test_the_papers_coefficient_takes_13_bits() -> None:
    field_moduli = field_moduli_of_levels(levels_of_widths((4, 3, 3)))
    assert field_moduli == (32, 16, 16)
    assert packed_modulus(field_moduli) == 2**13
    require_fit(field_moduli, 2**13)
    with pytest.raises(ValueError, match="8191 is too small"):
        require_fit(field_moduli, 2**13 - 1)


@pytest.mark.parametrize("widths", [(), (0,), (25,), (4, -1)])
def test_widths_out_of_range(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="width"):
        levels_of_widths(widths)


@pytest.mark.parametrize("field_moduli", [(), (1,), (2,) * 65, (2**31, 2**31, 2)])
def test_bad_moduli(field_moduli: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="field_moduli"):
        packed_modulus(field_moduli)


@pytest.mark.parametrize("level", [-1, 8])
def test_a_level_outside_its_field(level: int) -> None:
    with pytest.raises(ValueError, match=f"{level} does not fit field 1"):
        pack(np.array([[15, level]]), (16, 8))


def test_unpacking_refuses_what_packing_does_not_make() -> None:
    with pytest.raises(ValueError, match="1 of 2 lie outside"):
        unpack(np.array([128, 3]), (16, 8), 4)
    with pytest.raises(ValueError, match="does not end in 2"):
        unpack(np.array([3]), (16, 8), 4)
    with pytest.raises(ValueError, match="idle field"):
        unpack(np.array([127, 16]), (16, 8), 3)
