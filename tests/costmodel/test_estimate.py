"""Predicted ledgers: published bytes, totals, grids equal to loops, monotony."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.estimate import LINK_MODELS, estimate, evaluate, terms
from costmodel.grid import Grid
from costmodel.ledger import total_bytes, totals
from costmodel.link import parse_link
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems import executed, published
from costmodel.systems.fastquery import ABLATIONS

LLAMA_7B = Table(32000, 4096)
LLAMA_30B = Table(32000, 6656)
TABLE_6_MIB = {"baseline": 15.933, "quant": 15.933, "accumulation": 8.492, "packing": 4.911, "packlwes": 0.212}
TABLE_6_S = {"baseline": 15.19, "quant": 15.19, "accumulation": 10.908, "packing": 3.492, "packlwes": 3.353}
MIB = 2**20


@pytest.mark.parametrize("row", ABLATIONS)
def test_table_6_bytes_within_half_a_percent(row: str) -> None:
    result = estimate(published("fastquery", LLAMA_7B, row))
    assert (result.up_bytes + result.down_bytes) / MIB == pytest.approx(TABLE_6_MIB[row], rel=0.005)


@pytest.mark.parametrize("row", ABLATIONS)
def test_table_6_seconds_within_eight_percent(row: str) -> None:
    assert estimate(published("fastquery", LLAMA_7B, row)).server_s == pytest.approx(TABLE_6_S[row], rel=0.08)


def test_the_packed_answer_has_two_polynomials() -> None:
    counted = published("fastquery", LLAMA_7B)
    true = counted.updated(packing=Packing(counted.packing.widths, counted.packing.tile, "packlwes"))
    assert estimate(true).down_bytes > 1.2 * estimate(counted).down_bytes


def test_ratio_of_the_largest_table() -> None:
    cheetah, fastquery = estimate(published("cheetah", LLAMA_30B)), estimate(published("fastquery", LLAMA_30B))
    ratio = (cheetah.up_bytes + cheetah.down_bytes) / (fastquery.up_bytes + fastquery.down_bytes)
    assert ratio == pytest.approx(95.1, rel=0.005)


@pytest.mark.parametrize("configuration", [published("cheetah", LLAMA_7B), executed("fastquery", LLAMA_7B)])
def test_figures_are_the_totals_of_the_ledger(configuration: Configuration) -> None:
    result = estimate(configuration, parse_link("44Mbit/s,40ms"))
    for name, value in totals(result.ledger).items():
        assert result.figures[name] == pytest.approx(value, rel=1e-12), name
    ledger = terms(Grid.of(configuration))
    assert float(total_bytes(ledger, "client", ("offline", "online"))) == result.up_bytes
    assert result.ledger["formula"].notna().all()
    assert result.ledger["source"].notna().all()


@pytest.mark.parametrize("base", [published("cheetah", LLAMA_7B), published("fastquery", LLAMA_7B, "packlwes"),
                                  executed("fastquery", LLAMA_7B)])  # fmt: skip
def test_a_grid_is_a_loop_of_single_estimates(base: Configuration) -> None:
    rows, channels = np.array([[1, 4097, 32000], [50257, 77, 100]]), np.array([384, 1, 4096])
    link = parse_link("9Mbit/s,40ms")
    columns = evaluate(Grid.of(base, rows=rows, channels=channels), link)
    for index in np.ndindex(2, 3):
        single = estimate(base.updated(table=Table(int(rows[index]), int(channels[index[1]]))), link)
        for name, values in columns.items():
            assert values[index] == single.figures[name], name


tables = st.tuples(st.integers(1, 40000), st.integers(1, 5000))
growth = st.tuples(st.integers(0, 9000), st.integers(0, 900))


@settings(deadline=None)
@given(st.sampled_from([published("fastquery", LLAMA_7B), executed("fastquery", LLAMA_7B)]), tables, growth)
def test_bytes_never_fall_when_the_table_grows(
    base: Configuration, shape: tuple[int, int], more: tuple[int, int]
) -> None:
    small = estimate(base.updated(table=Table(*shape)))
    large = estimate(base.updated(table=Table(shape[0] + more[0], shape[1] + more[1])))
    assert large.up_bytes + large.down_bytes >= small.up_bytes + small.down_bytes


@settings(deadline=None)
@given(tables, growth)
def test_cheetahs_tile_rule_never_sends_fewer_polynomials_for_a_larger_table(
    shape: tuple[int, int], more: tuple[int, int]
) -> None:
    """Polynomials, not bytes: OpenCheetah's rule counts queries and answers alike, though answers are smaller."""
    base = published("cheetah", LLAMA_7B)
    small = estimate(base.updated(table=Table(*shape))).ledger
    large = estimate(base.updated(table=Table(shape[0] + more[0], shape[1] + more[1]))).ledger
    sent = [ledger.loc[ledger["kind"] == "transfer", "count"].sum() for ledger in (small, large)]
    assert sent[1] >= sent[0]


@given(st.integers(21, 60))
def test_bytes_never_fall_when_q_grows(bits: int) -> None:
    base = published("fastquery", LLAMA_7B)
    small, large = (
        estimate(base.updated(ring=Ring(4096, (size,), 2**13), size=size_format))
        for size in (bits, bits + 1)
        for size_format in ("ideal",)
    )
    assert large.up_bytes + large.down_bytes >= small.up_bytes + small.down_bytes


def test_latency_has_its_interval_and_its_link() -> None:
    near, far = (estimate(published("cheetah", LLAMA_7B), parse_link(link)) for link in ("lan", "9Mbit/s,40ms"))
    assert far.latency_s > near.latency_s + 10
    assert near.latency_low_s < near.latency_s < near.latency_high_s


def test_the_relay_is_faster_than_slow_start() -> None:
    link = parse_link("44Mbit/s,40ms")
    by_model = [estimate(published("fastquery", LLAMA_7B), link, link_model=model).latency_s for model in LINK_MODELS]
    assert by_model[0] > by_model[1]
