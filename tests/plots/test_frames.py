"""Frames of the named figures, priced on a machine of made-up unit costs, and what the command makes of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastquery as fq
from costmodel.compact import noise as compact_noise
from costmodel.estimate import estimate, terms
from costmodel.grid import Grid
from costmodel.ledger import Work
from costmodel.link import Link
from costmodel.machine import Machine, UnitCost, default_machine, machine_toml
from costmodel.parameters import Table
from costmodel.systems import NAMES, SYSTEMS, executed
from costmodel.workload import Workload, estimate_workload
from fastquery import figures
from fastquery.cli import main
from fastquery.figures import choices
from fastquery.figures.registry import index_page
from quantize.tables import ArrayTable

SMALL = Table(2000, 96)
WAN = Link(100e6, 40e-3, "wan")


def made_up_machine() -> Machine:
    """One cost for every operation of the residue engine, beside the built-in costs of the published systems."""
    grids = [
        Grid.of(executed(protocol, SMALL)) for protocol in ("fastquery", "folded", "compressed", "cheetah", "bumblebee")
    ]
    operations = [term.operation for grid in grids for term in terms(grid) if isinstance(term, Work)]
    known = {key: unit for key, unit in default_machine().units.items() if key[0] in ("seal", "spu")}
    return Machine("made up", {**known, **{("residue", name): UnitCost(1e-5, 3e-8) for name in operations}}, {})


MACHINE = made_up_machine()


def test_bandwidth_frame_is_the_estimate_at_every_rate() -> None:
    frame = figures.bandwidth_frame(SMALL, 1e6, 1e9, 0.04, MACHINE, points=4)
    own = frame[(frame["protocol"] == "fastquery") & (frame["engine"] == "residue") & ~frame["prepared"]]
    assert len(own) == 4
    for _, row in own.iterrows():
        link = Link(float(row["rate_bit_per_s"]), 0.04, "axis")
        assert row["latency_s"] == pytest.approx(estimate(executed("fastquery", SMALL), link, MACHINE).latency_s)
    assert set(frame["protocol"]) == set(NAMES)
    assert frame.groupby(["protocol", "engine", "prepared"]).size().eq(4).all()


def test_session_frame_is_the_workload_of_so_many_tokens() -> None:
    frame = figures.session_frame(SMALL, WAN, MACHINE, most_tokens=100)
    own = frame[(frame["protocol"] == "folded")].set_index("session_tokens")
    for tokens in (1, 100):
        found = estimate_workload(executed("folded", SMALL), Workload(1, tokens - 1), WAN, MACHINE)
        assert own.loc[tokens, "total_bytes"] == found.total_bytes
        seconds = found.first_share_s + (tokens - 1) * found.share_s
        assert own.loc[tokens, "session_s"] == pytest.approx(seconds)
    assert set(frame["protocol"]) == set(NAMES)
    with pytest.raises(ValueError, match="most_tokens is 1"):
        figures.session_frame(SMALL, WAN, MACHINE, most_tokens=1)


def test_slow_start_is_what_the_window_costs() -> None:
    frame = figures.round_trip_frame(SMALL, 100e6, machine=MACHINE, points=5)
    gap = (frame["latency_s"] - frame["latency_without_slow_start_s"]).to_numpy()
    assert gap.min() >= -1e-12
    cheetah = gap[(frame["protocol"] == "cheetah") & (frame["engine"] == "seal")]
    assert cheetah[0] < 0.001
    assert cheetah[-1] > 3 * 0.3  # megabytes need several round trips of 0.3 s


@pytest.mark.parametrize(("low", "high", "points"), [(0.0, 1e9, 5), (2e6, 1e6, 5), (1e6, 1e9, 1)])
def test_axes_have_to_rise(low: float, high: float, points: int) -> None:
    with pytest.raises(ValueError, match="it must rise from above 0"):
        figures.bandwidth_frame(SMALL, low, high, 0.0, MACHINE, points)


def test_figure_1_has_both_parts_of_every_system() -> None:
    frame = figures.figure_1_frame(("llama-7b",), WAN, MACHINE)
    assert frame.groupby("system")["part"].apply(set).map({"projection", "embedding"}.__eq__).all()
    plain = frame[frame["unit"] == "B"].set_index("part")["value"]
    assert plain["projection"] == 3 * 4096 * plain["embedding"]


def test_figure_9_has_the_papers_numbers_beside_the_models() -> None:
    frame = figures.figure_9_frame(("llama-7b", "llama-13b"), WAN, MACHINE).set_index(["table", "protocol", "engine"])
    cheetah = frame.loc[("LLaMA-7B\n32000 x 4096", "cheetah", "seal")]
    assert cheetah["published_bytes"] == pytest.approx(15.933 * 2**20)
    assert cheetah["bytes"] == pytest.approx(cheetah["published_bytes"], rel=0.01)
    fastquery = frame.loc[("LLaMA-13B\n32000 x 5120", "fastquery", "seal")]
    assert fastquery["published_latency_s"] == 4.33
    assert np.isnan(fastquery["published_bytes"])


def test_figure_10_reads_the_papers_units_both_ways() -> None:
    frame = figures.figure_10_frame(SMALL, machine=MACHINE)
    assert frame["link"].nunique() == 6
    cheetah = frame[(frame["protocol"] == "cheetah") & (frame["engine"] == "seal")].set_index("link")["latency_s"]
    assert cheetah["9 Mbit/s\n40 ms"] > cheetah["9 MB/s\n40 ms"]


def test_waterfall_falls_to_the_published_bytes() -> None:
    frame = figures.waterfall_frame(Table(32000, 4096), WAN, MACHINE)
    steps, apart = frame[~frame["aside"]], frame[frame["aside"]]
    assert (steps["bytes"].diff().dropna() <= 0).all()
    assert steps["bytes"].to_numpy() == pytest.approx(steps["published_bytes"].to_numpy(), rel=0.005)
    assert apart["bytes"].iloc[0] > steps["bytes"].iloc[-1]


def test_waterfall_of_another_table_has_no_published_numbers() -> None:
    assert figures.waterfall_frame(SMALL, WAN, MACHINE)["published_bytes"].isna().all()


def test_ring_map_covers_every_ring_once() -> None:
    frame = figures.ring_map_frame(SMALL, WAN, MACHINE)
    assert not frame.duplicated(["flooding_bits", "ring_degree", "log2_q"]).any()
    good = frame[(frame["security_bits"] >= 128) & (frame["log2_failure"] <= -40)]
    assert {2048, 4096} <= set(good["ring_degree"])
    assert frame[frame["log2_q"] < 30]["log2_failure"].gt(-40).all()
    assert frame[(frame["ring_degree"] == 1024) & (frame["log2_q"] > 30)]["security_bits"].lt(128).all()


def test_pareto_frame_has_published_systems_and_fronts() -> None:
    frame = figures.pareto_frame(SMALL, WAN, MACHINE)
    own = frame[frame["engine"] == "residue"]
    assert set(own["protocol"]) >= {"fastquery", "folded", "compressed"}
    for _, rows in own[~own["protocol"].isin(["cheetah", "bumblebee"])].groupby(["protocol", "flooding_bits"]):
        ordered = rows.sort_values("bytes")
        assert (ordered["latency_s"].diff().dropna() < 0).all()
    assert {one.name for one in SYSTEMS if one.library} <= set(frame.loc[frame["engine"] != "residue", "protocol"])


def test_sensitivity_has_the_signs_that_it_must() -> None:
    frame = figures.sensitivity_frame(SMALL, WAN, MACHINE).set_index("parameter")
    assert frame.loc["rows m", "bytes_low"] < 0 < frame.loc["rows m", "bytes_high"]
    assert frame.loc["bandwidth (Mbit/s)", "latency_low"] > 0 > frame.loc["bandwidth (Mbit/s)", "latency_high"]
    assert frame.loc["bandwidth (Mbit/s)", "bytes_low"] == 0
    merge = frame.loc["seconds of 'merge'"]
    assert merge["latency_high"] > 0
    assert merge["latency_low"] == pytest.approx(-merge["latency_high"], rel=1e-6)
    assert frame.loc["modulus, log2 q (bits)", "misses_low"]
    assert not frame.loc["modulus, log2 q (bits)", "misses_high"]


@pytest.mark.parametrize("flooding_bits", [0, 40])
def test_noise_steps_add_up_to_the_model(flooding_bits: int) -> None:
    grid = Grid.of(executed("fastquery", SMALL, flooding_bits=flooding_bits))
    for table in (grid, grid.of_worst_table(), replace(grid, spread=np.asarray(0.3))):
        total = sum(choices.noise_steps(table).values())
        scaled = total * np.exp2(2.0 * (table.log2_plaintext_modulus - table.log2_q))
        assert scaled == pytest.approx(compact_noise.noise(table), rel=1e-9)


def test_noise_frame_keeps_its_target() -> None:
    frame = figures.noise_frame(SMALL)
    sums = frame[frame["step"] == "sum"]
    assert (sums["noise_bits"] <= sums["target_bits"]).all()
    assert (
        frame.groupby("flooding_bits")["noise_bits"].max().to_numpy()
        == sums.set_index("flooding_bits")["noise_bits"].sort_index()
    ).all()


def test_quantization_frame_prices_what_recipes_pack() -> None:
    frame = figures.quantization_frame("300x24", WAN, MACHINE, ("int3", "int6"))
    assert "cosine" not in frame
    errors = frame.set_index("recipe")["weighted_error"]
    assert errors["int6"] < errors["int3"]
    assert frame["channels_per_coefficient"].tolist() == [3, 1]


def test_figure_7_marks_the_largest_third() -> None:
    rng, scale = np.random.default_rng(7), np.arange(1.0, 10.0)
    source = ArrayTable.of((rng.normal(size=(500, 9)) * scale).astype(np.float32), "made up")
    frame = figures.figure_7_frame(source)
    assert frame["salient"].tolist() == [False] * 6 + [True] * 3
    assert frame["mean_magnitude"].to_numpy() == pytest.approx(np.abs(source.read(0, 500)).mean(axis=0), rel=1e-5)


def test_measured_frame_reads_runs(tmp_path: Path) -> None:
    runs = [{"up_bytes": 10, "predicted_up_bytes": 10, "ledger": [1]}, {"up_bytes": 20, "predicted_up_bytes": 20}]
    whole, lines = tmp_path / "runs.json", tmp_path / "lines.json"
    whole.write_text(json.dumps(runs))
    lines.write_text("\n".join(json.dumps(run) for run in runs))
    for path in (whole, lines):
        frame = figures.measured_frame(path)
        assert frame["up_bytes"].tolist() == [10, 20]
        assert "ledger" not in frame
    pd.DataFrame(runs).drop(columns="ledger").to_csv(tmp_path / "runs.csv", index=False)
    assert figures.measured_frame(tmp_path / "runs.csv")["predicted_up_bytes"].tolist() == [10, 20]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("runs.txt", "", "must end in one of"),
        ("absent.json", None, "cannot be read"),
        ("bad.json", "{", "no table of runs"),
        ("list.json", "[1]", "no table of runs"),
    ],
)
def test_bad_measurements_are_refused(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        figures.measured_frame(tmp_path / name)


def test_every_figure_has_data_a_text_and_a_function() -> None:
    assert set(fq.plot.NAMES) <= set(dir(fq.plot))
    for name, one in figures.FIGURES.items():
        assert len(one.tells) > 60
        assert getattr(fq.plot, name.replace("-", "_")) is one.draw


def test_python_api_makes_frames_by_name() -> None:
    frame = fq.plot.frame("waterfall", table="2000x96", link="44Mbit/s,40ms", machine=MACHINE)
    assert "44 Mbit/s" in frame.attrs["source"]
    assert fq.plot.waterfall(frame).axes
    with pytest.raises(ValueError, match="figure is 'figure-2'"):
        fq.plot.frame("figure-2")
    with pytest.raises(AttributeError, match="there is no figure 'figure_2'"):
        fq.plot.figure_2  # noqa: B018


def test_systems_rings_and_packings_are_chosen() -> None:
    chosen = figures.Chosen(("cheetah", "folded"), packings=((4, 4), (4, 3)))
    frame = figures.bandwidth_frame(SMALL, machine=MACHINE, points=2, chosen=chosen)
    assert set(frame["protocol"]) == {"cheetah", "folded"}
    assert set(frame["widths_bits"]) == {"4,4", "4,3"}
    rings = fq.plot.frame("bandwidth", table="2000x96", protocol="fastquery", ring=["N=4096,q=39", "N=8192,q=60+60"])
    assert set(rings["limb_bits"]) == {"39", "60+60"}
    with pytest.raises(ValueError, match="protocol is 'nobody'"):
        fq.plot.frame("bandwidth", protocol="nobody")
    with pytest.raises(ValueError, match="a waterfall's steps are fastquery's"):
        fq.plot.frame("waterfall", protocol="folded")


def test_wider_plaintexts_carry_more_channels() -> None:
    chosen = figures.Chosen(("fastquery", "folded"))
    frame = figures.plaintext_bits_frame(SMALL, WAN, MACHINE, chosen)
    one = frame[frame["protocol"] == "fastquery"].set_index("plaintext_bits")
    assert one.loc[[5, 13], "widths_bits"].tolist() == ["4", "4,3,3"]
    assert one.loc[13, "latency_s"] < one.loc[5, "latency_s"]
    channels = figures.channels_frame(SMALL, WAN, MACHINE, chosen)
    assert set(channels["channels_per_coefficient"]) >= {1, 2, 3, 4}
    assert set(channels["protocol"]) == {"fastquery", "folded"}


def test_published_systems_state_their_flooding() -> None:
    frame = figures.figure_9_frame(("2000x96",), WAN, MACHINE).set_index(["protocol", "engine"])
    assert frame.loc[("iron", "seal"), "flooding_bits"] == 63
    assert frame.loc[("cheetah", "seal"), "flooding_bits"] == 0


def test_a_title_limits_and_a_style_sheet_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet, path = tmp_path / "mine.mplstyle", tmp_path / "noise.svg"
    sheet.write_text("svg.fonttype: none\n")
    arguments = ["plot", "noise", "--table", "2000x96", "--output", str(path), "--style", str(sheet)]
    assert main([*arguments, "--title", "My noise", "--xlim=-12,0"]) == 0
    assert ">My noise<" in path.read_text()
    assert main([*arguments[:-1], str(tmp_path / "absent.mplstyle")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_command_draws_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine, path = tmp_path / "machine.toml", tmp_path / "noise.svg"
    machine.write_text(machine_toml(default_machine()))
    arguments = ["plot", "noise", "--table", "2000x96", "--machine", str(machine), "--output", str(path), "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"paths": [str(path)], "omitted": {}}
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["noise", "--output", "noise.jpg"], "must end in one of"),
        (["noise", "--table", "nowhere"], "'nowhere' is unknown"),
        (["bandwidth", "--link", "44"], "has no unit"),
        (["measured", "--measurements", "absent.csv"], "cannot be read"),
    ],
)
def test_command_says_what_is_wrong(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert not printed.out


def test_all_leaves_out_what_has_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastquery.figures import registry

    def refuse(inputs: figures.Inputs) -> pd.DataFrame:
        raise ValueError("there is <nothing>")

    few = {
        "noise": registry.FIGURES["noise"],
        "measured": registry.NamedFigure("measured", "never drawn", refuse, "measured"),
    }
    monkeypatch.setattr(registry, "FIGURES", few)
    seen: list[str] = []
    gallery = figures.draw_all(
        tmp_path / "all",
        figures.Inputs("2000x96"),
        ".svg",
        lambda name, done, total: seen.append(f"{name} {done}/{total}"),
    )
    assert [path.name for path in gallery.paths] == ["noise.svg", "index.html"]
    assert gallery.omitted == {"measured": "there is <nothing>"}
    page = gallery.paths[-1].read_text()
    assert 'src="noise.svg"' in page
    assert "there is &lt;nothing&gt;" in page
    assert seen == ["noise 1/2", "measured 2/2"]


def test_two_processes_draw_the_figures_of_one(tmp_path: Path) -> None:
    from fastquery.figures import registry

    asked = [list(registry.FIGURES).index(name) for name in ("noise", "waterfall")]
    shared = tmp_path, figures.Inputs("gpt2"), ".png", None
    assert dict(registry.evaluated_parts(registry._drawn, shared, asked, jobs=2)) == dict.fromkeys(asked, "")
    for name in ("noise", "waterfall"):
        alone = figures.draw(name, tmp_path / "alone" / f"{name}.png", figures.Inputs("gpt2"))
        assert (tmp_path / f"{name}.png").read_bytes() == alone.read_bytes()


def test_index_page_links_documents() -> None:
    page = index_page({name: f"{name}.pdf" for name in figures.FIGURES}, {})
    assert page.count("<section") == len(figures.FIGURES)
    assert '<a href="pareto.pdf">' in page
    assert "<img" not in page


def test_reference_campaign_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastquery.figures import measurements

    monkeypatch.setattr(measurements.resources, "files", lambda package: tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "other.csv").write_text("# no runs\na,b\n1\n")
    with pytest.raises(ValueError, match="validate/data holds no 'campaign'"):
        figures.measured_frame()
    (tmp_path / "data" / "campaign").mkdir()
    rows = "status,held_out,server_s,predicted_server_s\nmeasured,True,1.0,1.1\nfailed,True,,\n"
    (tmp_path / "data" / "campaign" / "runs.csv").write_text(rows)
    frame = figures.measured_frame()
    assert frame["predicted_server_s"].tolist() == [1.1]
    assert "1 runs, 1 that failed left out" in frame.attrs["source"]
    assert "1 runs held out; error: median 10.0%" in fq.plot.measured(frame).axes[0].get_title()
