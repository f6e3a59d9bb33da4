"""The bucketed query: the bound of its placement, parameters that hold, and when it is worth its while."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import fastquery as fq
from costmodel.expanded.bucketed.design import BucketedDesign
from costmodel.expanded.bucketed.parameters import BucketedColumns, BucketedParameters
from costmodel.expanded.bucketed.placement import choose_group, hashes_of, log2_failure
from costmodel.expanded.bucketed.search import choose_parameters
from costmodel.expanded.folded.noise import failure, folded_noise
from costmodel.grid import Grid
from costmodel.parameters import Table
from costmodel.systems import completed, executed


def tight_sets(tokens: int, hashes: int, group: int, rows: int) -> float:
    """The bound by its definition: all placements of all sets of tokens, counted one by one."""
    places = list(range(group * rows))
    total = 0.0
    for size in range(hashes + 1, tokens + 1):
        by_buckets: dict[int, int] = {}
        for chosen in itertools.combinations(places, size):
            counts = np.bincount(np.array(chosen) // rows, minlength=group)
            if not np.any(counts == 1):
                used = int(np.count_nonzero(counts))
                by_buckets[used] = by_buckets.get(used, 0) + 1
        ways = math.comb(len(places), size)
        for used in itertools.product(by_buckets, repeat=hashes):
            if sum(used) == size - 1:
                total += math.comb(tokens, size) * math.prod(by_buckets[b] / ways for b in used)
    return total


@pytest.mark.parametrize(
    ("tokens", "hashes", "group", "rows"), [(6, 2, 3, 3), (5, 2, 2, 4), (5, 3, 3, 3), (7, 2, 4, 2)]
)
def test_bound_is_the_sum_over_all_sets_of_tokens(tokens: int, hashes: int, group: int, rows: int) -> None:
    assert 2.0 ** log2_failure(tokens, hashes, group, rows) == pytest.approx(tight_sets(tokens, hashes, group, rows))


@pytest.mark.parametrize("tokens", [1, 2, 4, 5, 16, 128, 300])
def test_groups_are_the_fewest_that_hold(tokens: int) -> None:
    group, hashes = choose_group(32000, tokens, -41.0), hashes_of(tokens)
    assert log2_failure(tokens, hashes, group, -(-32000 // group)) <= -41.0
    if tokens > hashes:
        assert log2_failure(tokens, hashes, group - 1, -(-32000 // (group - 1))) > -41.0


def test_tables_that_are_too_small_for_a_target_are_refused() -> None:
    with pytest.raises(ValueError, match="no buckets of 32000 rows place 30 tokens"):
        choose_group(32000, 30, -400.0)


@pytest.mark.parametrize(
    ("rows", "channels", "tokens", "options"),
    [
        (3000, 96, 16, {}),
        (400, 4096, 12, {"flooding_bits": 40}),
        (200, 40, 64, {}),
        (30, 40, 64, {}),
        (900, 1000, 6, {"flooding_bits": 0, "log2_distance": -20.0, "queries": 1 << 16}),
    ],
)
def test_both_stages_hold_the_target_and_no_stage_has_more_noise_than_the_larger(
    rows: int, channels: int, tokens: int, options: dict[str, float]
) -> None:
    p = choose_parameters(
        rows, channels, (4, 3), log2_failure=-40 - (tokens - 1).bit_length(), tokens=tokens, **options
    )  # type: ignore[arg-type]
    columns = BucketedColumns.of(p)
    larger = folded_noise(columns.larger, float(p.element_bound) ** 2)
    for stage in (columns.bucket, columns.relookup):
        noise = folded_noise(stage, float(p.element_bound) ** 2)
        assert noise.hidden <= larger.hidden * (1 + 1e-12)
        assert noise.total <= larger.total * (1 + 1e-12)
        assert failure(stage) <= -41
    assert p.key_bytes == p.bucket.key_bytes == p.relookup.key_bytes
    assert p.answer_bytes == p.bucket.answer_bytes == p.relookup.answer_bytes
    assert BucketedParameters.from_json(p.to_json()) == p


def test_estimates_state_failure_and_distance_of_both_stages() -> None:
    chosen = executed("bucketed", Table(3000, 96, 16), distance=-20.0, queries=1 << 16)
    p, grid, design = chosen.expanded, Grid.of(chosen), BucketedDesign()
    assert isinstance(p, BucketedParameters)
    flooding = design.flooding(grid)
    assert p.queries == (1 << 16) // 16 * (p.buckets + 16)
    assert flooding.log2_planned_distance <= -20
    assert flooding.log2_distance < flooding.log2_planned_distance
    placed = log2_failure(p.prompt, p.hashes, p.group, p.bucket_rows)
    assert placed < design.failure(grid) <= -40


def test_completed_parameters_are_those_that_are_configured() -> None:
    chosen = executed("bucketed", Table(3000, 96, 16), flooding_bits=0)
    assert completed(chosen) == chosen


def test_longer_prompts_than_the_parameters_are_for_are_refused() -> None:
    chosen = executed("bucketed", Table(3000, 96, 16), flooding_bits=0)
    fewer = fq.estimate(chosen.updated(table=Table(3000, 96, 3)))
    assert fewer.up_bytes < fq.estimate(chosen).up_bytes
    with pytest.raises(ValueError, match="tokens is 17; the buckets are for prompts of up to 16"):
        fq.estimate(chosen.updated(table=Table(3000, 96, 17)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prepared": True}, "prepared is True; the shares"),
        ({"ring": {"plaintext_modulus": 1 << 37}}, "looks shares up"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        executed("bucketed", Table(3000, 96, 16), **options)


def test_prompts_are_bucketed_where_that_is_faster() -> None:
    def best(tokens: int) -> str:
        found = fq.optimize("llama-7b", tokens=tokens, protocol=["folded", "bucketed"], packing=[(4, 3)])
        return found.configuration.protocol

    assert best(2) == "folded"
    assert best(128) == "bucketed"
