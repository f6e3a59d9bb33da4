"""Rows in buckets: where they stand, and tokens that find a bucket of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.placement import count_failures, place, too_few
from costmodel.expanded.bucketed.parameters import BucketedParameters
from costmodel.expanded.bucketed.placement import log2_failure
from costmodel.expanded.bucketed.search import choose_parameters
from protocol.expanded.bucketed.placement import EMPTY, Placement
from protocol.residue.sampling import new_seed


def parameters(rows: int, tokens: int) -> BucketedParameters:
    return choose_parameters(rows, 40, (4, 3), log2_failure=-40 - (tokens - 1).bit_length(), tokens=tokens)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.sampled_from([1, 7, 300, 1001]), tokens=st.sampled_from([1, 3, 8]), seed=st.binary(min_size=32, max_size=32)
)
def test_every_row_stands_once_in_a_bucket_of_every_function(rows: int, tokens: int, seed: bytes) -> None:
    p = parameters(rows, tokens)
    placement = Placement.of(p, seed)
    assert placement.buckets.shape == (p.buckets, p.bucket_rows)
    for function in placement.order:
        held = function[function != EMPTY]
        assert sorted(held.tolist()) == list(range(rows))
    for row in {0, rows // 2, rows - 1}:
        (found,) = placement.buckets_of(np.array([row]))
        assert len(set(found.tolist())) == p.hashes
        for bucket in found.tolist():
            assert placement.buckets[bucket, placement.place_in(bucket, row)] == row


@settings(max_examples=20, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), data=st.data())
def test_placed_tokens_have_a_bucket_of_their_own_that_holds_their_row(seed: bytes, data: st.DataObject) -> None:
    p = parameters(300, 8)
    placement = Placement.of(p, seed)
    tokens = np.array(data.draw(st.lists(st.integers(0, 299), min_size=1, max_size=8, unique=True)))
    buckets = placement.placed(tokens)
    assert EMPTY not in buckets
    assert len(set(buckets.tolist())) == len(tokens)
    for token, bucket in zip(tokens.tolist(), buckets.tolist(), strict=True):
        assert token in placement.buckets[bucket]


def test_as_many_as_possible_are_placed_where_not_all_can_be() -> None:
    order = np.array([[[0, 1, 2], [3, 4, 5]], [[2, 1, 0], [5, 4, 3]]])
    placement = Placement(order, 6)
    buckets = placement.placed(np.array([0, 1, 2, 4]))  # three rows of one pair of buckets
    assert np.count_nonzero(buckets == EMPTY) == 1
    assert buckets[3] != EMPTY


def failures(tokens: int, trials: int) -> int:
    """Prompts of distinct tokens that cannot be placed, of so many, with a new seed for every hundred."""
    p, rng, failed = parameters(32000, tokens), np.random.default_rng(tokens), 0
    for trial in range(trials):
        if trial % 100 == 0:
            placement = Placement.of(p, new_seed())
        failed += EMPTY in placement.placed(rng.choice(p.rows, tokens, replace=False))
    return failed


@pytest.mark.parametrize("tokens", [8, 128])
def test_prompts_are_placed(tokens: int) -> None:
    assert failures(tokens, 1000) == 0


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [2, 5, 16, 32, 64, 128, 256, 512, 1024])
def test_prompts_of_every_size_are_placed_a_hundred_thousand_times(tokens: int) -> None:
    assert failures(tokens, 100_000) == 0


@pytest.mark.parametrize(("hashes", "group", "rows", "tokens"), [(2, 6, 20, 6), (3, 4, 30, 8)])
def test_failures_are_no_more_often_than_the_bound(hashes: int, group: int, rows: int, tokens: int) -> None:
    """With buckets so few that tokens often find none, and the bound means something."""
    rng, failed, trials = np.random.default_rng(1), 0, 2000
    for _ in range(trials):
        order = np.stack([rng.permutation(group * rows) for _ in range(hashes)]).reshape(hashes, group, rows)
        chosen = rng.choice(group * rows, tokens, replace=False)
        failed += EMPTY in Placement(order, group * rows).placed(chosen)
    bound = 2.0 ** log2_failure(tokens, hashes, group, rows)
    assert failed > 0
    assert failed / trials <= bound + 4 * np.sqrt(bound / trials)
    assert failed / trials >= 0.1 * bound


@pytest.mark.parametrize(("hashes", "group", "rows", "tokens"), [(2, 3, 8, 6), (3, 4, 30, 10), (3, 3, 8, 9)])
def test_prompts_counted_as_failed_are_those_that_no_placement_has(
    hashes: int, group: int, rows: int, tokens: int
) -> None:
    rng, counted = np.random.default_rng(3), 0
    order = np.stack([rng.permutation(group * rows) for _ in range(hashes)]).reshape(hashes, group, rows)
    placement = Placement(order, group * rows)
    buckets = placement.buckets_of(np.arange(group * rows))
    for _ in range(300):
        chosen = rng.choice(group * rows, tokens, replace=False)
        failed = count_failures(buckets, hashes * group, chosen[None])
        assert failed == (EMPTY in placement.placed(chosen))
        counted += failed
    assert 0 < counted < 300


def test_counted_failures_are_held_to_the_bound() -> None:
    group = too_few(32000, 32)
    found = place(32, 4, group, -(-32000 // group), 20_000, seed=1)
    assert found["held"]
    assert int(str(found["failed"])) > 0
