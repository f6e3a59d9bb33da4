"""Sweeps: equal to a loop of single estimates, to a frame and to files; ranges and errors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from costmodel.estimate import estimate
from costmodel.link import Link, exchange_s, parse_link
from costmodel.machine import default_machine
from costmodel.packing import required_plaintext_bits, widths_of_plaintext
from costmodel.parameters import Table
from costmodel.systems import NAMES, configuration
from costmodel.systems.expanded import ExpandedSystem
from costmodel.workload import Workload, estimate_workload
from fastquery import ranges, sweeps
from fastquery.cli import main
from fastquery.sweep_files import write_sweep
from fastquery.sweeps import Plan, sweep, sweep_spaces

FIGURES = [
    "up_bytes", "down_bytes", "setup_bytes", "client_s", "server_s", "table_s", "offline_s", "latency_s", "noise_bits",
    "latency_low_s", "latency_high_s", "security_bits_2018", "security_bits_2024", "security_bits", "log2_failure",
    "table_bytes",
]  # fmt: skip


def single(row: Any, ablation: str | None = None, **options: Any) -> dict[str, float]:
    """Figures of one row by the road that `fastquery estimate` takes."""
    limbs = tuple(int(row[name]) for name in row.index if name.startswith("limb_bits_") and row[name])
    ring = {"degree": int(row["ring_degree"]), "plaintext_modulus": int(row["plaintext_modulus"]), "limb_bits": limbs}
    table = Table(int(row["table_rows"]), int(row["table_channels"]), int(row["tokens"]))
    widths = tuple(int(width) for width in row["widths_bits"].split(","))
    one = configuration(
        row["protocol"], table, ablation=ablation, ring=ring, widths=widths, allow_insecure=True, **options
    )
    return estimate(one, Link(row["rate_bit_per_s"], row["round_trip_s"], "row")).figures


def assert_rows_are_single_estimates(frame: pd.DataFrame, count: int, **options: Any) -> None:
    for at in np.random.default_rng(7).choice(len(frame), count, replace=False):
        row = frame.iloc[int(at)]
        expected = single(row, **options)
        for name in FIGURES:
            assert row[name] == expected[name], (name, dict(row))


def test_a_sweep_of_a_published_system_is_a_loop_of_single_estimates() -> None:
    frame = sweep(
        ring="N=2048:8192,p=13:15,q=30:45", ablation="packing", table=["llama-7b", "1000:3000:1000x77"], packing=(4, 4),
        tokens=["1:3", 7], link=["1:50:7Mbit/s,40ms", "lan"],
    )  # fmt: skip
    assert len(frame) == 3 * 3 * 16 * 4 * 4 * 9
    assert_rows_are_single_estimates(frame, 60, ablation="packing")


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_a_sweep_of_the_own_design_is_a_loop_of_single_estimates(flooding_bits: int) -> None:
    frame = sweep(
        ring=["N=2048:4096,p=13,q=50:53", "N=4096,p=13,q=53+53"], packing=(4, 3, 3), table=["llama-7b", "77x5"],
        flooding_bits=flooding_bits, link=["44Mbit/s", "lan"], engine="residue",
    )  # fmt: skip
    held = frame[frame["log2_failure"] <= -40].reset_index(drop=True)  # elsewhere no single configuration is made
    assert len(held) >= 8
    assert_rows_are_single_estimates(held, 8, flooding_bits=flooding_bits, engine="residue")


@pytest.mark.parametrize("protocol", ["folded", "compressed"])
def test_a_sweep_of_a_searched_design_is_a_loop_of_single_estimates(protocol: str) -> None:
    frame = sweep(
        protocol=protocol, table=["gpt2", "300x40", "900x1"], ring="N=4096:8192,q=50:53:3", tokens=[1, 4],
        link=["lan", "44Mbit/s,40ms"],
    )  # fmt: skip
    assert frame.groupby(["table_rows", "tokens", "ring_degree"]).ngroups == 3 * 2 * 2
    held = frame[frame["log2_failure"] <= -40].reset_index(drop=True)
    assert_rows_are_single_estimates(held, 8, flooding_bits=40)


def test_a_plan_searches_at_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*_: object) -> None:
        raise AssertionError("a plan needs no parameters")

    monkeypatch.setattr(ExpandedSystem, "complete", searched)
    axes = {"protocol": ["folded", "compressed", "bucketed"], "ring": "N=4096:8192,q=50:53", "tokens": [1, 4]}
    plan = Plan.of(axes, default_machine(), None)
    assert plan.sample.total == 3 * 2 * 4 * 2
    assert not plan.skipped.reasons


def test_blocks_do_not_change_results(monkeypatch: pytest.MonkeyPatch) -> None:
    axes: dict[str, Any] = {"ring": "p=13,q=36:40", "ablation": "packlwes", "link": "1:40Mbit/s", "tokens": "1:3"}
    whole = sweep(**axes)
    monkeypatch.setattr(sweeps, "BLOCK", 7)
    pd.testing.assert_frame_equal(sweep(**axes), whole)


def test_what_the_ring_leaves_out_is_chosen_for_each_table() -> None:
    frame = sweep(table=["llama-7b", "100x8"], protocol=["cheetah", "fastquery"], engine="openfhe")
    assert_rows_are_single_estimates(frame, len(frame), engine="openfhe")


def test_impossible_combinations_are_left_out() -> None:
    frame = sweep(ring="p=11:14,q=20:30:2", ablation="packing", packing=(4, 3, 3))
    bits = np.log2(frame["plaintext_modulus"])
    assert len(frame) == 2 * 6
    assert bits.min() == 13
    assert (bits + 1 < frame["limb_bits_0"]).all()


@pytest.mark.parametrize(
    ("axes", "kept", "reason"),
    [
        ({"table": "minilm", "N": [2048, 4096], "protocol": ["folded", "fastquery"]}, 2, "N=2048"),
        ({"table": "300x24", "N": [1024, 4096], "protocol": "folded"}, 1, "ring.N is 1024"),
        ({"table": "300x24", "protocol": ["folded", "cheetah"], "flooding_bits": 40}, 1, "cheetah: protocol cheetah"),
        ({"table": ["300x24", "300x2"], "packing": (4, 3, 3)}, 1, "the table has 2 in all"),
        ({"table": "300x24", "protocol": ["fastquery", "iron"], "engine": "openfhe"}, 1, "engine is 'openfhe'"),
        ({"table": "300x24", "protocol": ["fastquery", "compressed"], "fields": {"prepared": [True, False]}}, 3, "pre"),
    ],
)
def test_values_that_do_not_go_together_are_left_out_with_the_reason(
    axes: dict[str, Any], kept: int, reason: str
) -> None:
    frame = sweep(**axes)
    assert len(frame) == kept
    assert frame.attrs["left_out"]
    assert all(reason in line for line in frame.attrs["left_out"])


def test_a_sweep_of_which_nothing_can_be_had_says_why() -> None:
    with pytest.raises(ValueError, match="N=2048"):
        sweep(table="minilm", N=2048, protocol=["folded", "fastquery"])


def test_a_packing_is_chosen_for_every_plaintext() -> None:
    frame = sweep(ring="p=2:20,q=40", ablation="packing", table="minilm")
    for modulus, widths in zip(frame["plaintext_modulus"], frame["widths_bits"], strict=True):
        chosen = tuple(int(width) for width in widths.split(","))
        assert chosen == widths_of_plaintext(int(np.log2(modulus)))
        assert required_plaintext_bits(chosen) == int(np.log2(modulus))
    assert widths_of_plaintext(13) == (4, 3, 3)


def test_files_hold_the_frame_with_provenance_beside(tmp_path: Path) -> None:
    axes: dict[str, Any] = {
        "ring": "N=4096,p=13,q=38:41",
        "ablation": "packlwes",
        "tokens": "1:5",
        "table": ["gpt2", "9x9"],
    }
    frame = sweep(**axes)
    for name, read in (("a.parquet", pd.read_parquet), ("a.csv", partial(pd.read_csv, float_precision="round_trip"))):
        written = write_sweep(tmp_path / name, **axes)
        assert written.configurations == len(frame) == 40
        back = read(tmp_path / name)
        assert list(back) == list(frame)
        for column in FIGURES:
            assert (back[column] == frame[column]).all()
        assert list(back["table"]) == list(frame["table"])
        about = json.loads((tmp_path / f"{name}.json").read_text())
        assert about["configurations"] == 40
        assert about["provenance"]["python"]
        assert about["axes"]["ring"] == "N=4096,p=13,q=38:41"


def test_row_groups_do_not_change_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes: dict[str, Any] = {
        "ring": ["p=13,q=36:40", "p=13,q=40+49"], "ablation": ["packlwes", "packing"], "link": ["1:9Mbit/s", "lan"],
        "tokens": "1:3", "protocol": ["fastquery", "cheetah"], "packing": (4, 3, 3), "table": ["gpt2", "9x9"],
    }  # fmt: skip
    whole = sweep(**axes)
    monkeypatch.setattr(sweeps, "BLOCK", 16)
    monkeypatch.setattr(sweeps, "ROW_GROUP", 37)
    write_sweep(tmp_path / "a.parquet", **axes)
    back = pd.read_parquet(tmp_path / "a.parquet")
    for column in whole:
        assert list(back[column]) == list(whole[column]), column


@pytest.mark.parametrize("limit", [1, 7, 39, 40, 1000])
def test_a_limit_spreads_evenly_over_all_configurations(limit: int) -> None:
    axes: dict[str, Any] = {
        "ring": "N=4096,p=12:13,q=38:41",
        "ablation": "packing",
        "packing": (4, 3, 3),
        "tokens": "1:10",
    }
    frame, whole = sweep(limit=limit, **axes), sweep(**axes)
    assert len(whole) == 40  # p of 12 bits holds no 13
    taken = [k for k in range(40) if (k + 1) * min(limit, 40) // 40 > k * min(limit, 40) // 40]
    assert len(taken) == min(limit, 40)
    pd.testing.assert_frame_equal(frame, whole.iloc[taken].reset_index(drop=True))


def test_usable_is_secure_and_reliable(tmp_path: Path) -> None:
    axes: dict[str, Any] = {"protocol": ["fastquery", "cheetah"], "ring": "N=2048:4096,q=30:60:2", "table": "gpt2"}
    frame, usable = sweep(**axes), sweep(usable_only=True, **axes)
    held = frame[(frame["security_bits"] >= 128) & (frame["log2_failure"] <= -40)]
    assert 0 < len(held) < len(frame)
    assert list(frame.index[frame["usable"]]) == list(held.index)
    pd.testing.assert_frame_equal(usable, held.reset_index(drop=True))
    assert set(usable["protocol"]) == {"fastquery", "cheetah"}
    written = write_sweep(tmp_path / "a.parquet", **axes)
    assert (written.usable, written.configurations) == (len(held), len(frame))


def test_one_limb_size_is_that_of_all_limbs_of_the_systems_ring() -> None:
    frame = sweep(protocol=["cheetah", "fastquery"], ring="N=4096,q=50:51", table="gpt2", flooding_bits=None)
    assert (frame["limb_bits_0"] == frame["limb_bits_1"]).all()
    named = sweep(protocol="cheetah", ring="N=4096,q=50:51+40", table="gpt2")
    assert set(named["limb_bits_1"]) == {40}


def test_the_setups_share_is_in_a_column() -> None:
    row = sweep(table="gpt2", link="9Mbit/s,40ms").iloc[0]
    wait = exchange_s(row["setup_bytes"], 0, 9e6, 0.04)
    assert row["time_per_query_s"] == pytest.approx(row["latency_s"] + wait / 32)


class Interrupted(Exception):
    """Stands for any signal."""


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_an_interrupted_sweep_goes_on_and_touches_no_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    axes: dict[str, Any] = {"ring": "p=13,q=36:40", "ablation": "packlwes", "link": "1:40Mbit/s", "tokens": "1:3"}
    monkeypatch.setattr(sweeps, "BLOCK", 40)
    monkeypatch.setattr(sweeps, "ROW_GROUP", 90)
    path, whole = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    write_sweep(whole, **axes)
    path.write_text("earlier")
    calls: list[float] = []

    def stop(done: float, total: float) -> None:
        calls.append(done)
        if len(calls) == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        write_sweep(path, progress=stop, **axes)
    assert path.read_text() == "earlier"
    other = write_sweep(tmp_path / f"c.{ending}", **axes)
    assert other.resumed == 0
    written = write_sweep(path, **axes)
    assert 0 < written.resumed < written.configurations == 600
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(
        f"{name}.{ending}{beside}" for name in "abc" for beside in ("", ".json")
    )


def test_parts_of_another_sweep_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "BLOCK", 5)
    monkeypatch.setattr(sweeps, "ROW_GROUP", 5)
    calls: list[float] = []

    def stop(done: float, total: float) -> None:
        calls.append(done)
        if len(calls) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        write_sweep(tmp_path / "a.csv", table="gpt2", tokens="1:20", progress=stop)
    assert write_sweep(tmp_path / "a.csv", table="gpt2", tokens="1:21").resumed == 0


def test_progress_rises_to_the_end_of_a_mixed_sweep() -> None:
    seen: list[tuple[float, float]] = []
    sweep(protocol=["folded", "cheetah"], tokens="1:3", table="gpt2", progress=lambda *at: seen.append(at))
    done, total = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == pytest.approx(total[-1])


def test_all_systems_are_swept() -> None:
    spaces, _ = sweep_spaces(protocol="all")
    frame = sweep(protocol="all")
    assert set(frame["protocol"]) >= {"cheetah"}
    assert len({space.labels["protocol"] for space in spaces}) >= 2
    assert (frame["latency_s"] > 0).all()


def test_further_fields_are_axes() -> None:
    frame = sweep(ablation="packing", fields={"sigma": "3:5", "tile": ["column", "cheetah"]})
    assert len(frame) == 6
    assert set(frame["tile"]) == {"column", "cheetah"}
    assert frame["noise_bits"].nunique() == 6


@pytest.mark.parametrize(
    ("text", "values"), [("7", [7]), ("5:8", [5, 6, 7, 8]), ("5:20:5", [5, 10, 15, 20]), ("5:19:5", [5, 10, 15])]
)
def test_ranges_hold_both_ends(text: str, values: list[int]) -> None:
    assert ranges.integers("x", text).tolist() == values


def test_ring_degrees_double_and_links_have_units() -> None:
    assert ranges.powers_of_two("N", "1024:8192").tolist() == [1024, 2048, 4096, 8192]
    links = ranges.links("1:1000Mbit/s,40ms")
    assert len(links) == 1000
    assert all(link == parse_link(f"{k}Mbit/s,40ms") for k, link in enumerate(links, 1))
    assert ranges.tables("10:30:10x4:8:4") == ["10x4", "10x8", "20x4", "20x8", "30x4", "30x8"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ring", "N=40x"], "ring.N is '40x'"),
        (["--ring", "p=9:5"], "must rise"),
        (["--ring", "N=3000"], "power of two"),
        (["--ring", "x=3"], "ring has the part 'x=3'"),
        (["--protocol", "nonsense"], "protocol is 'nonsense'"),
        (["--set", "foo=3"], "no field 'foo'"),
        (["--set", "foo"], "set is 'foo'"),
        (["--output", "x.txt"], "must end in .parquet or .csv"),
        (["--ablation", "packing", "--ring", "q=14:60"], "limb of 14 bits"),
        (["--limit", "0"], "limit is 0"),
        (["--link", "5"], "has no unit"),
        (["--ring", "N=2048:5000"], "both ends of a range must be powers of two"),
        (["--ring", "N=2048,p=50,q=20+20"], "ring.q has 40 bits at most; it must have more than the plaintext modulus"),
        (["--packing", "4,3,3", "--ring", "p=10,q=50"], "ring.p is 10 at most; packing 4,3,3 needs 13 bits or more"),
        (["--set", "query_bits=150"], "query_bits is 150; it must be at most"),
        (["--set", "prepared=maybe"], "prepared is 'maybe'; it must be true or false"),
        (["--flooding-bits", "x"], "flooding_bits is 'x'"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["estimate", "--link", "9Mbs"], "link rate '9Mbs': unknown unit 'Mbs'"),
        (["estimate", "--engine", "sael"], "invalid choice: 'sael' (did you mean 'seal'?)"),
        (["estimat"], "invalid choice: 'estimat' (did you mean 'estimate'?)"),
        (["plot", "bandwith"], "(did you mean 'bandwidth'?)"),
        (
            ["estimate", "--explian"],
            "unrecognized arguments: --explian (did you mean '--explain'?); see fastquery estimate",
        ),
        (["sweep", "--ablation", "pack"], "invalid choice: 'pack'"),
    ],
)
def test_errors_of_single_options_are_one_line_too(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "--help" in error
    assert error.count("\n") == 1


def test_a_value_that_cannot_be_read_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "--packing", "4.3.3"]) == 2
    error = capsys.readouterr().err
    assert "packing is '4.3.3'" in error
    assert error.count("\n") == 1


def test_flooding_takes_a_range_and_bits_above_q_are_left_out() -> None:
    assert sweep(flooding_bits="0:40:20", table="3000x96")["flooding_bits"].tolist() == [0, 20, 40]
    named = sweep(fields={"query_bits": "1:90"}, table="3000x96", flooding_bits=0)
    assert named["query_bits"].max() == named["limb_bits_0"].iloc[0]


def test_an_unknown_protocol_is_told_all_that_there_are() -> None:
    with pytest.raises(ValueError, match=", ".join(NAMES)):
        sweep(protocol="chetah")


def test_the_command_prints_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.parquet"
    ring = ["--ablation", "packing", "--ring", "N=2048:4096,p=5:20,q=30:60", "--link", "1:10Mbit/s"]
    assert main(["sweep", *ring, "--table", "gpt2", "--output", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["configurations"] == 2 * 16 * 31 * 10 == len(pd.read_parquet(path))
    assert document["path"] == str(path)
    assert document["seconds"] > 0
    assert document["write_s"] > 0


def test_a_sweep_of_workloads_is_the_estimate_of_every_session() -> None:
    workloads = [Workload(16, 8, clients=3), Workload(2, 100, rate=5.0)]
    links = ["44Mbit/s,40ms", "lan"]
    frame = sweep(table="3000x96", protocol=["folded", "cheetah"], workload=workloads, link=links)
    assert len(frame) == 8
    for _, row in frame.iterrows():
        asked = Workload(*(int(row[name]) for name in ("prompt", "generated", "clients")), row["rate"])
        assert asked in workloads
        one = configuration(row["protocol"], Table(3000, 96, asked.prompt), queries=asked.queries)
        link = Link(row["rate_bit_per_s"], row["round_trip_s"], "axis")
        found = estimate_workload(one, asked, link)
        for name in ("total_bytes", "server_s", "first_share_s", "share_s", "setup_s", "sessions_per_core", "cores"):
            assert row[name] == pytest.approx(found.figures[name]), name
        assert row["log2_planned_distance"] == pytest.approx(found.prompt.log2_planned_distance)
        assert row["log2_failure"] == found.prompt.log2_failure
    with pytest.raises(ValueError, match="workload and tokens are both named"):
        sweep(table="3000x96", workload=workloads, tokens=3)
