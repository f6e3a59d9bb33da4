"""Optimisation: the front is the front, constraints hold, keys amortise."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.estimate import estimate
from costmodel.link import PRESETS, parse_link
from costmodel.machine import default_machine
from costmodel.parameters import Table
from costmodel.workload import Workload, estimate_workload
from fastquery.candidates import candidates
from fastquery.cli import main
from fastquery.goals import Constraints, Goal, rounding_error
from fastquery.optimizer import optimize
from fastquery.search import Search, envelope, pareto_mask
from fastquery.spaces import Space
from fastquery.sweeps import blocks
from fastquery.winners import PUBLISHED, design_of

SMALL = Table(3000, 96)
FREE = Constraints(flooding_bits=0)
points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40)


@given(points)
def test_the_front_is_what_no_other_point_dominates(both: list[tuple[int, int]]) -> None:
    x, y = (np.array([point[k] for point in both], dtype=float) for k in (0, 1))
    dominated = [any(a <= p and b <= q and (a < p or b < q) for a, b in both) for p, q in both]
    assert pareto_mask(x, y).tolist() == [not one for one in dominated]


@pytest.fixture(scope="module")
def everything() -> tuple[Goal, list[Space]]:
    goal = Goal(PRESETS["lan"], 10, {})
    packings = [(4, 3, 3), (4, 4)]
    return goal, [s for name in ("fastquery", "cheetah") for s in candidates(name, SMALL, packings, goal, FREE)]


@pytest.mark.parametrize("pareto", [("bytes", "latency"), ("server", "setup"), ("error", "bytes")])
def test_the_optimum_is_that_of_brute_force(everything: tuple[Goal, list[Space]], pareto: tuple[str, str]) -> None:
    goal, spaces = everything
    search = Search(goal, ("bytes", *pareto), replace(FREE, at_most={"bytes": 1e7}))
    rows: list[np.ndarray[Any, Any]] = []
    for space in spaces:
        for block in blocks(space, default_machine()):
            search.add(block)
            flat = [np.broadcast_to(goal.figure(name, block), block.shape).ravel() for name in ("bytes", *pareto)]
            held = (block.figures["log2_failure"] <= -40) & (block.figures["security_bits"] >= 128)
            rows.append(np.stack(flat)[:, held.ravel() & (flat[0] <= 1e7)])
    best, x, y = np.concatenate(rows, axis=1)
    found = estimate(search.best())
    front, _ = search.front()
    assert found.up_bytes + found.down_bytes + found.setup_bytes / 10 == best.min()
    expected = sorted(
        {(a, b) for a, b in zip(x, y, strict=True) if not np.any((x <= a) & (y <= b) & ((x < a) | (y < b)))}
    )
    assert list(zip(front.iloc[:, 0], front.iloc[:, 1], strict=True)) == expected
    counts = [int(np.sum((x == a) & (y == b))) for a, b in expected]
    assert all(1 <= ties <= count for ties, count in zip(front["ties"], counts, strict=True))


def test_every_point_of_the_front_is_its_own_estimate() -> None:
    result = optimize(SMALL, protocol=["fastquery", "cheetah"], flooding_bits=0, queries=3)
    assert len(result.configurations) == len(result.pareto) >= 2
    for one, (_, row) in zip(result.configurations, result.pareto.iterrows(), strict=True):
        figures = estimate(one, PRESETS["lan"]).figures
        assert figures["latency_s"] == row["latency_s"]
        assert figures["up_bytes"] + figures["down_bytes"] + figures["setup_bytes"] / 3 == row["bytes_per_query"]
        assert figures["log2_failure"] <= -40
        assert figures["security_bits"] >= 128


def test_keys_amortise() -> None:
    once, often = (
        optimize(SMALL, protocol="fastquery", flooding_bits=0, queries=queries, objective="bytes").configuration
        for queries in (1, 10_000)
    )
    setups = [estimate(one).setup_bytes for one in (once, often)]
    answers = [estimate(one).up_bytes + estimate(one).down_bytes for one in (once, often)]
    assert setups[0] <= setups[1]
    assert answers[0] >= answers[1]
    assert (setups[0] < setups[1]) == (answers[0] > answers[1])


def test_constraints_hold_or_are_named() -> None:
    free = optimize(SMALL, protocol="fastquery", objective="latency")
    assert free.configuration.flooding_bits == 40
    bound = free.pareto["bytes_per_query"].min()  # of the other end of the front
    assert bound < free.pareto["bytes_per_query"].max()
    tight = optimize(SMALL, protocol="fastquery", objective="latency", at_most={"bytes": bound})
    assert tight.pareto["bytes_per_query"].tolist() == [bound]
    assert tight.estimate.latency_s > free.estimate.latency_s
    with pytest.raises(ValueError, match=r"^bytes is \S+ at best; it must be at most 10"):
        optimize(SMALL, protocol="fastquery", at_most={"bytes": 10})
    with pytest.raises(ValueError, match=r"nothing holds all of .*bytes <= 10, .*; cheetah: bytes is .*; fastquery: "):
        optimize(SMALL, protocol=["cheetah", "fastquery"], at_most={"bytes": 10})


def test_a_named_packing_is_the_only_one() -> None:
    result = optimize(SMALL, flooding_bits=0, packing=[(8,), (4, 3, 3)], pareto=("error", "bytes"), max_error=1)
    assert {one.packing.widths for one in result.configurations} <= {(8,), (4, 3, 3)}


def test_prepared_answers_sooner() -> None:
    soon = optimize(SMALL, protocol="fastquery", packing=(4, 3, 3), prepared=True)
    assert soon.configuration.prepared
    assert soon.estimate.offline_s > 0
    assert soon.estimate.latency_s < optimize(SMALL, protocol="fastquery", packing=(4, 3, 3)).estimate.latency_s


def test_errors_of_recipes_are_the_packings() -> None:
    errors = pd.DataFrame({"bits": ["4,3,3", "4,4", "8"], "weighted_error": [0.02, 0.01, 1e-4]})
    result = optimize(
        SMALL,
        protocol="fastquery",
        flooding_bits=0,
        errors=errors,
        max_error=1,
        pareto=("error", "bytes"),
        objective="bytes",
    )
    assert set(result.pareto["quantisation_error"]) <= {0.02, 0.01, 1e-4}
    assert result.pareto["quantisation_error"].is_monotonic_increasing
    assert result.pareto["bytes_per_query"].is_monotonic_decreasing
    with pytest.raises(ValueError, match="no column 'bits'"):
        optimize(SMALL, errors=pd.DataFrame({"x": []}))
    assert rounding_error((4, 3, 3)) < rounding_error((3, 3, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pareto", "bytes"], "pareto is 'bytes'"),
        (["--pareto", "bytes,colour"], "objective is 'colour'"),
        (["--at-most", "bytes"], "at-most is 'bytes'"),
        (["--at-most", "colour=3", "--protocol", "fastquery"], "figure is 'colour'"),
        (["--queries", "0"], "queries is 0"),
        (["--failure", "5"], "failure is 5; it must be a log2 below 0"),
        (["--align-bits", "70"], "align_bits is 70; it must lie between 0 and 64"),
        (["--protocol", "chetah"], "protocol is 'chetah'; it must be one of cheetah, fastquery"),
        (["--max-error", "0"], "max_error is 0"),
        (["--table", "nonsense"], "nonsense"),
        (["--errors", "nowhere.csv"], "cannot be read"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", "--table", "3000x96", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_command_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", "--table", "3000x96", "--protocol", "fastquery", "--packing", "4,3,3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["best"]["configuration"]["protocol"] == "fastquery"
    assert document["best"]["estimate"]["latency_s"] > 0
    assert document["pareto"][0]["configuration"]["table"] == {"rows": 3000, "channels": 96, "tokens": 1, "spread": 1.0}


def test_winners_are_the_best_of_every_design_and_the_ratios_theirs() -> None:
    result = optimize(SMALL, protocol=["fastquery", "folded"], link="9Mbit/s,40ms", objective="latency")
    assert list(result.winners["objective"].unique()) == ["latency", "bytes"]
    for objective, rows in result.winners.groupby("objective", sort=False):
        assert sorted(rows["design"].iloc[:-1]) == ["fastquery", "fastquery, answers not packed", "folded"]
        assert rows["design"].iloc[-1] == PUBLISHED
        sent = rows["up_bytes"] + rows["down_bytes"]
        assert rows["bytes_ratio"].tolist() == (sent / sent.iloc[0]).tolist()
        assert rows["latency_ratio"].tolist() == (rows["latency_s"] / rows["latency_s"].iloc[0]).tolist()
        cost = rows["latency_s"] if objective == "latency" else sent + rows["setup_bytes"]
        assert cost.iloc[:-1].is_monotonic_increasing
        assert rows["objective_ratio"].tolist() == pytest.approx((cost / cost.iloc[0]).tolist())
    for protocol in ("fastquery", "folded"):
        alone = optimize(SMALL, protocol=protocol, link="9Mbit/s,40ms", objective="latency")
        name = design_of(alone.configuration)
        rows = result.winners[(result.winners["design"] == name) & (result.winners["objective"] == "latency")]
        assert rows["latency_s"].tolist() == [alone.estimate.latency_s]


def test_a_design_says_what_it_does_otherwise_than_its_paper() -> None:
    several = optimize(SMALL, protocol=["cheetah", "bumblebee"], flooding_bits=0).winners["design"]
    assert {"cheetah", "bumblebee", "bumblebee, packed channels"} == set(several) - {PUBLISHED}
    named = optimize(SMALL, protocol="cheetah", flooding_bits=0, packing=(4, 3, 3))
    assert design_of(named.configuration) == "cheetah, packed channels"


def test_a_system_that_no_constraint_leaves_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    result = optimize(SMALL, protocol=["fastquery", "iron", "cham"], flooding_bits=0)
    assert result.skipped == ("cham: security_bits is 123 at best; it must be at least 128",)
    with pytest.raises(ValueError, match=r"^flooding_bits is 63 at best; it must be at least 64"):
        optimize(SMALL, protocol="iron", flooding_bits=64)
    asked = ["optimize", "--table", "3000x96", "--protocol", "fastquery", "--protocol", "cham"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert "left out: cham: " in shown
    assert "as published takes" in shown


def test_published_systems_that_flood_hold_the_constraint() -> None:
    rows = optimize(SMALL, protocol=["fastquery", "iron"], flooding_bits=40).winners.set_index("design")
    assert set(rows.loc["iron", "flooding_bits"]) == {63}


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 300)), min_size=1, max_size=12), st.integers(1, 50))
def test_winners_change_where_the_lines_cross(lines: list[tuple[int, int]], queries: int) -> None:
    each, once = (np.array([line[k] for line in lines], dtype=float) for k in (0, 1))
    found = envelope(each, once, queries)
    starts = [start for start, _ in found] + [2000.0]
    assert starts == sorted(starts)
    for (_, k), low, high in zip(found, starts, starts[1:], strict=False):
        middle = (low + high) / 2
        assert each[k] + once[k] / middle == pytest.approx((each + once / middle).min())


def test_the_winner_by_bytes_changes_with_the_queries() -> None:
    asked: dict[str, Any] = {"protocol": ["cheetah", "folded"], "objective": "bytes", "flooding_bits": 0}
    once = optimize(SMALL, queries=1, **asked)
    assert once.queries == 1
    changes = once.break_even[once.break_even["objective"] == "bytes"]
    assert changes["from_tokens"].iloc[0] == 1
    assert changes["from_tokens"].is_monotonic_increasing
    assert changes["design"].nunique() == len(changes) > 1
    late = optimize(SMALL, queries=10 * changes["from_tokens"].iloc[-1], **asked)
    assert design_of(once.configuration) == changes["design"].iloc[0]
    assert design_of(late.configuration) == changes["design"].iloc[-1]


def test_the_best_of_a_workload_is_its_own_session() -> None:
    workload = Workload(8, 40)
    found = optimize(SMALL, protocol=["fastquery", "folded"], workload=workload, objective="bytes", link="9Mbit/s,40ms")
    assert found.session is not None
    priced = estimate_workload(found.configuration, workload, parse_link("9Mbit/s,40ms"))
    assert found.session == priced
    assert found.queries == 48
    winner = found.winners[found.winners["objective"] == "bytes"].iloc[0]
    assert winner["up_bytes"] + winner["down_bytes"] + winner["setup_bytes"] == priced.total_bytes
    assert winner["latency_s"] == priced.share_s
    assert found.pareto["bytes_per_query"].min() == pytest.approx(priced.total_bytes / 48)
    first = optimize(SMALL, protocol="folded", workload=workload, objective="first", pareto=("first", "latency"))
    assert first.pareto["first_share_s"].min() == pytest.approx(first.session.first_share_s)
    assert first.pareto["latency_s"].min() <= first.session.share_s


def test_a_workload_changes_winners_where_its_sessions_cost_the_same() -> None:
    asked: dict[str, Any] = {"protocol": ["cheetah", "folded"], "objective": "bytes", "flooding_bits": 0}
    changes = optimize(SMALL, workload=Workload(1, 0), **asked).break_even.query("objective == 'bytes'")
    assert changes["from_tokens"].iloc[0] == 1
    at = changes["from_tokens"].iloc[-1]
    for generated, design in ((int(at) - 2, changes["design"].iloc[-2]), (int(at), changes["design"].iloc[-1])):
        best = optimize(SMALL, workload=Workload(1, generated), **asked)
        assert design_of(best.configuration) == design


def test_lookups_of_several_tokens_share_a_setup_as_a_workload_of_single_ones_does() -> None:
    asked: dict[str, Any] = {"protocol": "folded", "objective": "bytes", "packing": (4, 3), "max_error": 1}
    lookups, session = optimize(SMALL, queries=50, **asked), optimize(SMALL, workload=Workload(1, 49), **asked)
    assert lookups.configuration == session.configuration
    assert lookups.pareto["bytes_per_query"].tolist() == pytest.approx(session.pareto["bytes_per_query"].tolist())
    several = optimize(SMALL, tokens=5, queries=50, **asked)
    figures = estimate(several.configuration).figures
    bytes_each = figures["up_bytes"] + figures["down_bytes"] + figures["setup_bytes"] / 10
    assert several.pareto["bytes_per_query"].min() == bytes_each


def test_flooding_takes_the_width_that_meets_a_distance() -> None:
    found = {
        queries: optimize(SMALL, protocol=["folded", "fastquery"], distance=-26, queries=queries)
        for queries in (1, 2**20)
    }
    for best in found.values():
        assert -27 < best.estimate.log2_planned_distance <= -26
        assert any("floods by a width" in line for line in best.skipped)
    assert found[1].estimate.flooding_bits < found[2**20].estimate.flooding_bits
    with pytest.raises(ValueError, match="distance and flooding_bits are both named"):
        optimize(SMALL, distance=-26, flooding_bits=40)


def test_a_first_share_goes_with_a_workload() -> None:
    with pytest.raises(ValueError, match="objective is 'first'; it goes with a workload"):
        optimize(SMALL, protocol="folded", objective="first")
    with pytest.raises(ValueError, match="workload and tokens are both named"):
        optimize(SMALL, tokens=2, workload="prompt=2")


def test_online_bytes_leave_the_setup_out() -> None:
    best = optimize(SMALL, protocol=["cheetah", "folded"], flooding_bits=0, objective="online")
    assert best.configuration.protocol == "folded"
    row = best.winners[best.winners["objective"] == "online"].iloc[0]
    assert row["up_bytes"] + row["down_bytes"] == best.estimate.up_bytes + best.estimate.down_bytes


def test_an_optimum_is_a_plain_value() -> None:
    best = optimize(SMALL, protocol="fastquery", packing=(4, 3, 3))
    assert pickle.loads(pickle.dumps(best)) == best == copy.deepcopy(best)
    assert replace(best, queries=2) != best
    with pytest.raises(ValueError, match="there is no constraint 'floding_bits'"):
        optimize(SMALL, floding_bits=3)


def test_shares_align_by_transfers_or_by_a_wide_plaintext() -> None:
    result = optimize(SMALL, protocol="folded", flooding_bits=0, align_bits=16, packing=[(4,), (4, 3)])
    rows = result.winners[result.winners["objective"] == "latency"].set_index("design")
    wide, packed = rows.loc["folded, wide plaintext"], rows.loc["folded, oblivious transfer"]
    assert wide["plaintext_modulus"] == 2**16
    assert packed["plaintext_modulus"] < 2**16
    assert {one.align_bits for one in result.configurations} == {16}
    assert design_of(result.configuration) == rows.index[0]


@pytest.mark.parametrize(("link", "block_bits"), [("1Mbit/s,40ms", 8), ("10Gbit/s,0.1ms", 4)])
def test_transfers_have_wide_blocks_where_bytes_are_dear(link: str, block_bits: int) -> None:
    result = optimize("300x4096", protocol="folded", flooding_bits=0, align_bits=37, packing=(4, 3), link=link)
    assert result.configuration.block_bits == block_bits
    estimates = {one.block_bits for one in result.configurations}
    assert estimates <= {4, 8}


def test_the_folded_query_is_skipped_where_nothing_holds() -> None:
    with pytest.raises(ValueError, match=r"no ring of .* holds"):
        optimize(SMALL, protocol="folded", packing=[(8, 8, 8, 8)], max_error=1)
    both = optimize(SMALL, protocol=["folded", "fastquery"], packing=[(8, 8, 8)], max_error=1)
    assert both.configuration.protocol == "fastquery"
    assert any(line.startswith("folded: ") for line in both.skipped)


def test_the_best_is_executed_beside_its_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["optimize", "--table", "600x48", "--protocol", "folded", "--packing", "4", "--align-bits", "16"]
    assert main([*asked, "--flooding-bits", "0", "--max-error", "1", "--run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    run, best = document["run"], document["best"]["estimate"]
    assert run["correct"]
    assert run["ledgers_agree"]
    assert run["align_bits"] == 16
    assert (run["up_bytes"], run["down_bytes"]) == (best["up_bytes"], best["down_bytes"])
    assert run["latency_s"] > 0


def test_a_published_system_is_not_executed(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["optimize", "--table", "600x48", "--protocol", "iron", "--flooding-bits", "0", "--max-error", "1"]
    assert main([*asked, "--security", "80", "--failure", "-1", "--run"]) == 2
    assert "iron as published" in capsys.readouterr().err
