"""The part of an operation that threads share: measured by wall seconds, and what a latency makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("openfhe")

import fastquery as fq
from costmodel.estimate import estimate
from costmodel.link import PRESETS, Link
from costmodel.machine import Machine, UnitCost, default_machine, machine_toml, read_machine
from costmodel.parameters import Table
from costmodel.systems import executed
from validate.threads import measured_parts, shared_part, with_parts


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_a_part_is_found_from_wall_seconds(threads: int, part: float) -> None:
    alone = 2.0
    shared = alone * UnitCost(1.0, 0.0, shared=part).wall_part(threads)
    assert shared_part([(alone, shared), (2 * alone, 2 * shared)], threads) == pytest.approx(part)


def test_threads_that_slow_an_operation_down_share_nothing() -> None:
    assert shared_part([(1.0, 1.4)], 2) == 0.0


def test_parts_are_measured_of_every_long_operation_of_the_lookups() -> None:
    parts = measured_parts(2, [executed("folded", Table(3000, 96), flooding_bits=0)], budget_s=0.0)
    operations = {operation for engine, operation in parts if engine == "residue"}
    assert {"expand", "square", "fold"} <= operations
    assert "generate keys" not in operations  # microseconds
    assert all(0 <= part <= 1 for part in parts.values())


def test_parts_are_kept_in_a_profile() -> None:
    profile = with_parts(default_machine(), {("residue", "fold"): 0.5})
    assert read_machine(machine_toml(profile), "again").unit("residue", "fold").shared == 0.5


def test_one_processor_shares_nothing() -> None:
    assert measured_parts(1) == {}


@pytest.mark.parametrize("part", [-0.1, 1.1])
def test_a_part_is_of_the_whole(part: float) -> None:
    with pytest.raises(ValueError, match="shared is"):
        UnitCost(1.0, 0.0, shared=part)


def test_threads_shorten_the_servers_part_of_a_latency_alone() -> None:
    base = default_machine()
    even = Machine("even", {place: replace(cost, shared=1.0) for place, cost in base.units.items()}, {})
    asked = executed("folded", Table(3000, 96))
    one, four = (estimate(asked, PRESETS["lan"], replace(even, threads=count)) for count in (1, 4))
    assert (four.server_s, four.client_s, four.threads) == (one.server_s, one.client_s, 4)
    assert one.latency_s - four.latency_s == pytest.approx(0.75 * one.server_s)


def test_tokens_are_merged_side_by_side_and_one_by_one_on_its_own() -> None:
    free = {place: UnitCost(0.0, 0.0) for place in default_machine().units}
    merges = Machine("merges", {**free, ("residue", "merge"): UnitCost(1e-3, 0.0)}, {})
    for tokens, part in ((1, 1.0), (2, 1 / 2), (3, 2 / 3)):
        asked = executed("fastquery", Table(3000, 384, tokens))
        one, two = (estimate(asked, Link(1e15, 0.0, "none"), replace(merges, threads=count)) for count in (1, 2))
        assert two.latency_s / one.latency_s == pytest.approx(part, rel=1e-6)


@given(st.integers(1, 64), st.integers(1, 40), st.floats(0.0, 1.0))
def test_more_threads_take_no_longer_and_no_less_than_their_part(threads: int, tasks: int, shared: float) -> None:
    unit = UnitCost(1.0, 0.0, shared=shared)
    part, more = unit.wall_part(threads, tasks), unit.wall_part(threads + 1, tasks)
    assert 1 / threads - 1e-12 <= part <= 1 + 1e-12
    assert more <= part + 1e-12
    assert unit.wall_part(1, tasks) == pytest.approx(1.0)


def test_threads_are_a_word_of_a_question() -> None:
    one, two = (fq.estimate(table="3000x96", protocol="folded", threads=count) for count in (1, 2))
    assert (two.threads, two.document()["threads"]) == (2, 2)
    assert two.latency_s < one.latency_s
    assert two.server_s == one.server_s
