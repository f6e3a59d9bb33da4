"""Workloads: totals are sums over lookups, waits are those of the conversation, answers are chosen by what is done."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

import fastquery as fq
from costmodel.estimate import estimate
from costmodel.grid import Grid
from costmodel.link import Link, tcp_leg_s
from costmodel.parameters import Table
from costmodel.preparation import preparation_wait
from costmodel.systems import design_of, executed
from costmodel.workload import Workload, estimate_workload, session_configurations
from fastquery.cli import main

SMALL = Table(3000, 96)
LINK = Link(9e6, 0.04, "test")


@pytest.mark.parametrize("protocol", ["cheetah", "folded", "fastquery"])
@pytest.mark.parametrize(("prompt", "generated"), [(1, 0), (7, 100)])
def test_a_session_is_the_sum_of_its_lookups(protocol: str, prompt: int, generated: int) -> None:
    base = executed(protocol, replace(SMALL, tokens=prompt), flooding_bits=0)
    found = estimate_workload(base, Workload(prompt, generated), LINK)
    first, later = (estimate(base.updated(table=replace(SMALL, tokens=count)), LINK) for count in (prompt, 1))
    for name in ("up_bytes", "down_bytes", "server_s", "client_s"):
        assert getattr(found, name) == getattr(first, name) + generated * getattr(later, name)
    assert found.total_bytes == found.setup_bytes + found.up_bytes + found.down_bytes
    assert found.setup_bytes == first.setup_bytes == later.setup_bytes
    assert (found.first_share_s, found.share_s) == (found.setup_s + first.latency_s, later.latency_s)
    assert found.sessions_per_core == pytest.approx(1 / later.server_s)


def test_a_setup_is_two_round_trips_its_bytes_and_its_work() -> None:
    found = estimate_workload(executed("folded", SMALL), Workload(1), LINK)
    ledger = found.prompt.ledger
    setup = ledger[(ledger["phase"] == "setup") & (ledger["item"] != "encode table")]
    sent = setup.groupby("party")["bytes"].sum()
    legs = sum(tcp_leg_s(sent[party], LINK.rate_bit_per_s, LINK.round_trip_s) for party in ("client", "server"))
    assert found.setup_s == pytest.approx(2 * LINK.round_trip_s + legs + setup["seconds"].sum())


def test_generated_tokens_are_prepared_in_the_meantime_and_the_prompt_is_not() -> None:
    base = executed("folded", replace(SMALL, tokens=8))
    plain, prepared = (
        estimate_workload(base.updated(prepared=ahead), Workload(8, 4, rate=3.0), LINK) for ahead in (False, True)
    )
    assert prepared.first_share_s == plain.first_share_s
    assert prepared.share_s < plain.share_s
    assert plain.preparation_s == plain.unprepared == plain.wait_s == 0
    assert prepared.preparation_s > LINK.round_trip_s / 2
    wait = preparation_wait(3.0, prepared.preparation_s)
    assert (prepared.unprepared, prepared.wait_s) == (wait.probability, wait.mean_s)
    hasty = estimate_workload(base.updated(prepared=True), Workload(8, 4, rate=1e4), LINK)
    assert (hasty.unprepared, hasty.wait_s) == (1.0, float("inf"))


def test_a_split_prompt_waits_for_its_preparation() -> None:
    base = executed("cheetah", replace(SMALL, tokens=4), flooding_bits=0, options=("delphi",))
    found = estimate_workload(base, Workload(4, 1), LINK)
    assert found.first_share_s > found.setup_s + found.prompt.latency_s + found.prompt.offline_s


def test_the_workload_decides_whether_answers_share_a_polynomial() -> None:
    together = {
        workload: fq.estimate(table=SMALL, protocol="folded", workload=workload).configuration.expanded.answer_together
        for workload in (Workload(2048, 0), Workload(2048, 10_000))
    }
    assert together == {Workload(2048, 0): 4, Workload(2048, 10_000): 1}
    for one in session_configurations("folded", SMALL, Workload(2048, 1)):
        found = estimate(one)
        assert found.log2_failure <= -40
        assert one.table.tokens == 2048


def test_clients_pool_their_answers_and_share_the_cores() -> None:
    alone, many = (
        fq.estimate(
            table=SMALL, protocol="folded", workload={"prompt": 4, "generated": 4, "clients": clients, "rate": 2.0}
        )
        for clients in (1, 1000)
    )
    assert (alone.queries, many.queries, many.tokens) == (8, 8000, 8)
    assert many.prompt.log2_planned_distance > alone.prompt.log2_planned_distance
    assert many.total_bytes == alone.total_bytes
    assert many.cores == pytest.approx(1000 * alone.cores)
    assert many.cores == pytest.approx(1000 / many.sessions_per_core)


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("generated=3", "workload has no prompt; it must look like prompt=128"),
        ("prompt=3,size=4", "workload has the part 'size'"),
        ("prompt=0", "workload.prompt is 0; it must be a whole number from 1"),
        ({"prompt": 2.5}, "workload.prompt is 2.5; it must be a whole number"),
        ("prompt=1,rate=0", "workload.rate is 0.0; it must be above 0"),
        (17, "workload is 17"),
    ],
)
def test_a_workload_that_cannot_be_is_refused_by_its_part(workload: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        fq.estimate(table=SMALL, workload=workload)


def test_a_workload_takes_the_place_of_tokens() -> None:
    with pytest.raises(ValueError, match="workload and tokens are both named"):
        fq.estimate(table=SMALL, workload="prompt=2", tokens=2)


def test_the_command_prices_a_session(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["estimate", "--table", "3000x96", "--protocol", "folded", "--prepared", "--link", "9Mbit/s,40ms"]
    assert main([*asked, "--workload", "prompt=16,generated=8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = fq.estimate(table=SMALL, protocol="folded", prepared=True, link="9Mbit/s,40ms", workload=fq.Workload(16, 8))
    assert {name: document[name] for name in found.figures} == pytest.approx(found.figures)
    assert document["workload"] == {"prompt": 16, "generated": 8, "clients": 1, "rate": 1}
    assert document["token"]["configuration"]["table"]["tokens"] == 1
    assert main([*asked, "--workload", "prompt=16,generated=8", "--explain"]) == 0
    shown = capsys.readouterr().out
    assert "a generated token" in shown
    assert "over 24 token(s)" in shown


def test_a_client_has_its_keys_and_a_tokens_preparation_at_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    base = executed("folded", replace(SMALL, tokens=8))
    plain, prepared, longer = (
        estimate_workload(base.updated(prepared=ahead, table=replace(SMALL, tokens=prompt)), Workload(prompt, 4), LINK)
        for ahead, prompt in ((False, 8), (True, 8), (True, 32))
    )
    one = Grid.of(base.updated(prepared=True, table=replace(SMALL, tokens=1)))
    memory = design_of(one).memory(one)
    assert plain.client_bytes == memory.keys_bytes
    assert prepared.client_bytes == longer.client_bytes == plain.client_bytes + memory.prepared_bytes
    assert memory.prepared_bytes > 0
    assert main(["estimate", "--table", "3000x96", "--protocol", "iron", "--workload", "prompt=2"]) == 0
    assert "of a client at the server not known" in capsys.readouterr().out
    assert fq.estimate(table=SMALL, protocol="cheetah", workload="prompt=2").client_bytes == 0
    swept = fq.sweep(table=SMALL, protocol=["folded", "iron"], workload="prompt=8,generated=4")
    assert swept["client_bytes"].isna().tolist() == [False, True]
