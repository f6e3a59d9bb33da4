"""Element packing and the tree of PackLWEs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.packing import (
    accumulation_bits,
    check_packing,
    field_moduli,
    field_weights,
    idle_fields,
    one_hot_bits,
    packed_channels,
    packed_coefficients,
    packlwes_automorphism_keys,
    packlwes_depth,
    packlwes_merges,
    packlwes_outputs,
    required_plaintext_bits,
    required_plaintext_modulus,
)

WIDTHS = st.lists(st.integers(1, 8), min_size=1, max_size=6).map(tuple)


def test_fastquery_packing():
    moduli = field_moduli((4, 3, 3))
    assert moduli == (32, 16, 16)
    assert field_weights(moduli) == (1, 32, 512)
    assert required_plaintext_modulus(moduli) == 2**13
    assert packed_coefficients([4096, 5120, 6656], (4, 3, 3)).tolist() == [1366, 1707, 2219]
    assert idle_fields(4096, (4, 3, 3)) == 2
    check_packing((4, 3, 3), 2**13)


@given(widths=WIDTHS, data=st.data())
def test_fields_hold_their_values_apart(widths, data):
    moduli = field_moduli(widths)
    weights = field_weights(moduli)
    values = [data.draw(st.integers(0, modulus - 1)) for modulus in moduli]
    packed = sum(value * weight for value, weight in zip(values, weights, strict=True))
    assert packed < required_plaintext_modulus(moduli) == 2 ** required_plaintext_bits(widths)
    assert [packed // weight % modulus for weight, modulus in zip(weights, moduli, strict=True)] == values


@given(widths=WIDTHS, n=st.integers(1, 10000))
def test_every_channel_has_a_field(widths, n):
    fields = packed_coefficients(n, widths) * len(widths)
    assert fields - idle_fields(n, widths) == n
    assert 0 <= idle_fields(n, widths) < len(widths)
    assert packed_channels(n, widths) <= len(widths)


@given(widths=WIDTHS)
def test_bound_of_the_plaintext_modulus_is_sharp(widths):
    t = 2 ** required_plaintext_bits(widths)
    check_packing(widths, t)
    with pytest.raises(ValueError, match="needs p >= "):
        check_packing(widths, t - 1)


@pytest.mark.parametrize(
    ("widths", "t", "message"),
    [
        ((4, 3, 3), 2**12, r"packing 4,3,3 needs p >= 13 bits, got p=12"),
        ((4, 3, 3), 8000, r"packing 4,3,3 needs p >= 13 bits, got t=8000"),
        ((4, 0), 2**13, r"packing 4,0 has a channel of 0 bits: at least 1"),
        ((), 2**13, r"packing has no channel widths"),
    ],
)
def test_bad_packings(widths, t, message):
    with pytest.raises(ValueError, match=message):
        check_packing(widths, t)


@given(b_x=st.integers(1, 16), b_w=st.integers(1, 16), m=st.integers(1, 10**6))
def test_accumulation(b_x, b_w, m):
    assert accumulation_bits(b_x, b_w, m) == b_x + b_w + math.ceil(math.log2(m)) + 1
    assert one_hot_bits(b_w) == b_w + 1


def tree_merges(leaves, depth):
    """Nodes of a binary tree of this depth over contiguous leaves, level by level."""
    merges = 0
    for _ in range(depth):
        leaves = (leaves + 1) // 2
        merges += leaves
    return merges


def test_merges_of_the_main_job():
    assert packlwes_merges(1366, 4096) == 1370
    assert packlwes_depth(1366, 4096) == 11
    assert packlwes_automorphism_keys(1366, 4096) == 11
    assert packlwes_outputs(1366, 4096) == 1


@given(outputs=st.integers(1, 20000), N=st.sampled_from([64, 1024, 4096]))
def test_merges_are_the_nodes_of_the_trees(outputs, N):
    """All trees have the depth of the first, since every leaf carries the same factor."""
    depth = math.ceil(math.log2(min(outputs, N)))
    full, rest = divmod(outputs, N)
    assert packlwes_merges(outputs, N) == full * tree_merges(N, depth) + tree_merges(rest, depth)
    assert packlwes_depth(outputs, N) == math.ceil(math.log2(min(outputs, N)))
    assert packlwes_outputs(outputs, N) == math.ceil(outputs / N)


def test_arrays_broadcast_and_scalars_stay_scalar():
    outputs, N = np.array([[1], [100], [1366]]), np.array([64, 4096])
    for formula in (packlwes_merges, packlwes_depth, packlwes_outputs, packlwes_automorphism_keys):
        table = formula(outputs, N)
        assert table.shape == (3, 2)
        assert all(table[i, j] == formula(int(outputs[i, 0]), int(N[j])) for i in range(3) for j in range(2))
        assert np.ndim(formula(5, 64)) == 0
