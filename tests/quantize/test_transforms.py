from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from quantize.transforms import IDENTITY, Hadamard

SIGNS_OF_SEED_7 = [1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, 1, 1, 1, 1, -1]


@settings(deadline=None)
@given(st.sampled_from([2, 4, 16]), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_hadamard_is_orthogonal_and_undone(block: int, blocks: int, seed: int) -> None:
    transform = Hadamard(block, seed)
    channels = block * blocks
    transform.check(channels)
    matrix = transform.apply(np.eye(channels, dtype=np.float32))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(channels), atol=1e-5)
    rows = np.random.default_rng(0).standard_normal((5, channels)).astype(np.float32)
    np.testing.assert_allclose(transform.undo(transform.apply(rows)), rows, atol=1e-5)


def test_hadamard_is_signs_and_the_known_matrix() -> None:
    matrix = Hadamard(8, 3).apply(np.eye(16, dtype=np.float32)) * 8**0.5
    signs = np.diag(matrix @ np.kron(np.eye(2), hadamard(8)).T) / 8
    np.testing.assert_allclose(np.abs(signs), 1, atol=1e-5)
    np.testing.assert_allclose(matrix, signs[:, None] * np.kron(np.eye(2), hadamard(8)), atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**63))
def test_shares_are_transformed_alone(seed: int, entropy: int) -> None:
    transform = Hadamard(8, seed)
    generator = np.random.default_rng(entropy)
    values = generator.integers(-1000, 1000, (3, 16))
    one = generator.integers(0, 2**64, (3, 16), np.uint64)
    other = values.view(np.uint64) - one
    total = (transform.undo_integers(one) + transform.undo_integers(other)).view(np.int64)
    assert np.array_equal(total, transform.undo_integers(values))
    np.testing.assert_allclose(total * transform.gain, transform.undo(values.astype(np.float32)), rtol=1e-5, atol=1e-2)


def test_signs_are_part_of_the_format() -> None:
    """Each party computes them by itself; other signs would break stored tables."""
    rows = Hadamard(2, 7).undo(np.tile(np.array([1, 0], np.float32), (1, 8))) * 2**0.5
    assert np.rint(rows[0]).tolist() == SIGNS_OF_SEED_7


def test_the_identity_leaves_everything_alone() -> None:
    values = np.arange(6).reshape(2, 3)
    assert IDENTITY.undo_integers(values) is values
    assert IDENTITY.gain == 1
    IDENTITY.check(3)


@pytest.mark.parametrize(("block", "seed", "channels"), [(3, 0, 6), (4, 0, 6), (1, 0, 4), (2, -1, 4), (2, 2**32, 4)])
def test_what_fits_no_table(block: int, seed: int, channels: int) -> None:
    with pytest.raises(ValueError, match="transform"):
        Hadamard(block, seed).check(channels)
