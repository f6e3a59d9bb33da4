from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.meter import Tally
from protocol.residue.ring import Ring
from protocol.residue.rounding import drop_limbs, drop_limbs_of_values, scale_down, scale_up
from protocol.threads import Threads

RINGS = [(16, 30, 1), (16, 61, 1), (16, 30, 2), (16, 61, 2), (16, 54, 2)]


def residues_of(integers: list[int], ring: Ring) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.array([[x % q for x in integers] for q in ring.moduli], dtype=np.uint64)


fractions = st.integers(0, (1 << 64) - 1)  # of 2^64


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(RINGS), st.integers(1, 61), fractions, st.lists(fractions, min_size=1, max_size=5), fractions)
def test_scaling_rounds_exactly(
    make_ring: Callable[..., Ring],
    size: tuple[int, int, int],
    bits: int,
    place: int,
    places: list[int],
    anywhere: int,
) -> None:
    ring = make_ring(*size)
    modulus = ring.modulus
    largest = min(min(ring.moduli) - 1, 1 << bits)
    t = 2 + ((largest - 1) * place >> 64)
    # around the points where the result steps, and anywhere
    steps = [t * p >> 64 for p in places]
    integers = [(modulus * (2 * m + 1) // (2 * t) + d) % modulus for m in steps for d in (-1, 0, 1, 2)]
    integers += [modulus * anywhere >> 64, 0, 1, modulus - 1]
    expected = [(2 * t * x + modulus) // (2 * modulus) % t for x in integers]
    assert scale_down(residues_of(integers, ring), ring, t).tolist() == expected

    values = [*steps, 0, t - 1]
    scaled = scale_up(np.array(values, dtype=np.uint64), ring, t)
    assert (scaled == residues_of([(2 * modulus * m + t) // (2 * t) for m in values], ring)).all()
    assert scale_down(scaled, ring, t).tolist() == values or modulus < 2 * t


def test_range_of_the_modulus_and_the_values(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(16, 30, 2)
    zeros = np.zeros((2, 16), dtype=np.uint64)
    for t in (0, 1, min(ring.moduli), 1 << 40):
        with pytest.raises(ValueError, match=f"modulus {t}"):
            scale_down(zeros, ring, t)
        with pytest.raises(ValueError, match=f"modulus {t}"):
            scale_up(zeros[0], ring, t)
    with pytest.raises(ValueError, match="value 8 is not below the modulus 8"):
        scale_up(np.full(16, 8, dtype=np.uint64), ring, 8)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([(30, 2), (61, 2), (54, 3)]), st.lists(fractions, min_size=16, max_size=16), st.integers(1, 3))
def test_limbs_are_dropped_with_rounding(
    make_ring: Callable[..., Ring], size: tuple[int, int], places: list[int], kept: int
) -> None:
    """Of two limbs dropped one after the other the second rounding comes on top."""
    ring = make_ring(16, *size)
    kept = min(kept, ring.limbs)
    integers = [ring.modulus * place >> 64 for place in places]
    dropped = drop_limbs(residues_of(integers, ring), ring, kept)
    left = integers
    for q in reversed(ring.moduli[kept:]):
        left = [(2 * x + q) // (2 * q) for x in left]
    np.testing.assert_array_equal(dropped, residues_of(left, ring.first(kept)))


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([(30, 2), (61, 2), (54, 3)]), st.integers(0, (1 << 64) - 1), st.integers(1, 3))
def test_limbs_of_values_are_dropped_as_those_of_coefficients(
    make_ring: Callable[..., Ring], size: tuple[int, int], seed: int, kept: int
) -> None:
    ring, tally = make_ring(16, *size), Tally()
    kept = min(kept, ring.limbs)
    rng = np.random.default_rng(seed)
    x = np.stack([rng.integers(0, q, (3, 2, 16), dtype=np.uint64) for q in ring.moduli], axis=-2)
    x[0, :, -1] = [[0], [ring.moduli[-1] - 1]]
    dropped = drop_limbs_of_values(ring.forward(x), ring, kept, tally)
    np.testing.assert_array_equal(ring.first(kept).inverse(dropped), drop_limbs(x, ring, kept))
    assert tally.count == (6 if kept < ring.limbs else 0)


def test_threads_share_the_polynomials_that_lose_a_limb(make_ring: Callable[..., Ring]) -> None:
    ring, tally = make_ring(16, 54, 2), Tally()
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, q, (41, 16), dtype=np.uint64) for q in ring.moduli], axis=-2)
    dropped = drop_limbs_of_values(x, ring, 1, tally, Threads(2))
    np.testing.assert_array_equal(dropped, drop_limbs_of_values(x, ring, 1))
    assert tally.count == 41


def test_three_limbs_are_not_scaled_down(make_ring: Callable[..., Ring]) -> None:
    ring = make_ring(16, 54, 3)
    with pytest.raises(ValueError, match="drop one"):
        scale_down(residues_of([1] * 16, ring), ring, 16)
