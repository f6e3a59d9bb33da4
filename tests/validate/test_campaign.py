"""Campaigns: the draw and its split, what is compared, what a report says, and going on after an interruption."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from costmodel.ledger import OVERHEAD
from costmodel.link import PRESETS
from costmodel.machine import default_machine
from costmodel.parameters import EXECUTING_ENGINES, Configuration, Table
from costmodel.systems import SYSTEMS, executed
from costmodel.tls import RECORDS, handshake_bytes
from fastquery.cli import main
from fastquery.workers import evaluated_parts
from protocol.server import load_table
from validate import campaign as module
from validate.calibration import observations
from validate.campaign import Campaign, evaluated, expected_s, planned, run_campaign
from validate.compare import compare
from validate.measurement import Parties, entries, marked
from validate.pool import Pool
from validate.report import write_report
from validate.sampling import Design, Sample, designs, draw, operations, split
from validate.summary import SECONDS
from validate.wire import der_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return draw(40, 3)


def test_a_draw_is_reproducible_and_covers_every_design(samples: list[Sample]) -> None:
    assert samples == draw(40, 3)
    kinds = [(one.configuration.protocol, one.configuration.engine) for one in samples]
    assert set(kinds) == {(design.protocol, design.engine) for design in designs()}
    assert len({one.link.name for one in samples}) >= 4
    assert {one.configuration.prepared for one in samples} == {True, False}
    assert len({one.configuration.flooding_bits > 0 for one in samples}) == 2
    assert any(one.configuration.align_bits for one in samples)
    assert sum(engine == "openfhe" for _, engine in kinds) == len(kinds) / 2
    assert any(
        one.configuration.packing.output == "packlwes" for one in samples if one.configuration.engine == "openfhe"
    )
    assert max(one.configuration.table.tokens for one in samples) > 1
    assert all(0 <= token < one.configuration.table.rows for one in samples for token in one.tokens)
    assert {one.threads for one in samples} == {1, 2}
    assert {one.threads for one in samples if one.configuration.engine == "openfhe"} == {1}
    assert {one.tls for one in samples} == {True, False}
    assert len({one.generated for one in samples}) >= 3
    assert all(len(one.tokens) == one.configuration.table.tokens + one.generated for one in samples)
    assert {one.configuration.engine for one in samples if "delphi" in one.configuration.options} == set(
        EXECUTING_ENGINES
    )


def test_half_of_every_design_is_held_out_and_the_rest_has_every_operation(samples: list[Sample]) -> None:
    for design in designs():
        own = [
            s for s in samples if (s.configuration.protocol, s.configuration.engine) == (design.protocol, design.engine)
        ]
        assert sum(s.held_out for s in own) == len(own) // 2
    known, asked = (
        {key for s in samples if s.held_out == held for key in operations(*s.lookups)} for held in (False, True)
    )
    assert known >= asked
    assert split(samples, 3) == {s.index for s in samples if s.held_out}
    assert split(samples, 4) != split(samples, 3)


def test_every_pair_of_a_system_and_its_engine_is_sampled() -> None:
    assert designs() == tuple(Design(one.name, engine) for one in SYSTEMS for engine in one.engines)
    assert designs(["cheetah", "folded"], ["openfhe"]) == (Design("cheetah", "openfhe"),)
    named = draw(8, 0, designs(["fastquery"], ["openfhe"]))
    assert {(one.configuration.protocol, one.configuration.engine) for one in named} == {("fastquery", "openfhe")}
    with pytest.raises(ValueError, match="nothing here executes iron"):
        designs(["iron"])
    with pytest.raises(ValueError, match="protocol is 'nobody'"):
        designs(["nobody"])


def test_a_sample_survives_its_document(samples: list[Sample]) -> None:
    for sample in samples:
        assert Sample.from_document(json.loads(json.dumps(sample.document()))) == sample


def test_a_sample_of_an_earlier_plan_is_a_single_lookup_on_one_thread_in_the_clear(samples: list[Sample]) -> None:
    document = json.loads(json.dumps(samples[0].document()))
    earlier = {name: value for name, value in document.items() if name not in ("generated", "threads", "tls")}
    assert Sample.from_document(earlier) == replace(samples[0], generated=0, threads=1, tls=False)


@pytest.mark.parametrize("design", designs(), ids=lambda one: f"{one.protocol} on {one.engine}")
def test_the_noise_of_every_design_is_measured_over_columns_that_it_has(design: Design) -> None:
    one = executed(design.protocol, Table(3000, 96), engine=design.engine)
    columns = -(-96 // len(one.packing.widths))
    few = design == Design("cheetah", "openfhe")
    assert module.noise_columns(one) == columns or (few and 0 < module.noise_columns(one) < columns)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="samples is 3"):
        draw(3, 0)


def tiny(index: int, *, held_out: bool, flooding_bits: int = 40, **changes: int) -> Sample:
    configuration = executed(
        "fastquery", Table(300, 384, 2), flooding_bits=flooding_bits, ring={"degree": 4096}, **changes
    )
    return Sample(index, configuration, "300x384", (3, 7), index, PRESETS["loopback"], held_out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of three runs, one of which cannot be executed."""
    broken = tiny(2, held_out=True)
    broken = replace(broken, table="301x384")
    chosen = [tiny(0, held_out=False), tiny(1, held_out=True), broken]
    where = tmp_path_factory.mktemp("campaign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "draw", lambda count, seed, drawn: chosen)
        patch.setattr(module, "REFERENCES", 2)
        run_campaign(where, 3, 5, {"processor": "test"}, sessions=2)
    return where


@pytest.fixture
def found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    monkeypatch.setattr(module, "REFERENCES", 2)
    return evaluated(folder)


@pytest.mark.parametrize(
    "configuration",
    [
        executed("fastquery", Table(300, 384, 2), flooding_bits=0, prepared=True, align_bits=32),
        executed("folded", Table(300, 24, 2)),
        executed("fastquery", Table(300, 24, 2), engine="openfhe", options=("delphi",)),
    ],
    ids=["prepared and aligned", "folded", "Delphi's split"],
)
def test_a_session_over_tls_has_the_entries_and_the_bytes_that_are_predicted(configuration: Configuration) -> None:
    """A prompt of two tokens and two generated ones, the server on two threads where its engine has them."""
    shape, threads = configuration.table, 1 if configuration.engine == "openfhe" else 2
    sample = Sample(
        *(0, configuration, f"{shape.rows}x{shape.channels}", (3, 7, 9, 3), 0, PRESETS["loopback"]),
        generated=2,
        threads=threads,
        tls=True,
    )
    with Parties() as parties:
        (measured,) = parties.measure(
            *(configuration, sample.table, sample.tokens, sample.workload), sessions=1, threads=threads, tls=True
        )
        certificate = der_bytes(parties.certificate[0])
    found = module.predicted(sample, 1.0, default_machine())
    compared = compare(found.ledger, measured.ledger)
    assert compared["agrees"].all(), compared[~compared["agrees"]]
    records = compared[compared["item"] == RECORDS]
    assert set(records["lookup"]) == {0, 1, 2, 3}
    assert len(measured.lookups) == 3
    assert measured.handshake_bytes == pytest.approx(handshake_bytes(certificate), abs=100)
    assert measured.first_share_s > measured.latency_s > 0
    assert found.figures["first_share_s"] > found.figures["latency_s"] > 0
    assert found.figures["share_s"] > 0
    plain = load_table(configuration, sample.table, sample.seed)
    assert module._wrong_channels(measured, configuration, plain, sample.tokens) == 0
    assert module._wrong_channels(measured, configuration, plain, (3, 7, 9, 4)) > 0
    work = marked(entries([measured]), parties.usual_s)
    rows = observations(configuration, work, sample.workload, tls=True)
    assert {len(row.seconds) for row in rows} == {1, 2}  # the prompt's entries, and those of two generated tokens
    # What an overhead is fitted by is what it is predicted by.
    unit = default_machine().unit(configuration.engine, OVERHEAD)
    asked = sorted(float(unit.seconds(row.count, row.size)) for row in rows if row.operation == OVERHEAD)
    overheads = found.ledger[(found.ledger["item"] == OVERHEAD) & found.ledger["lookup"].isin([1, 2])]
    assert asked == pytest.approx(sorted(overheads["seconds"]))


@pytest.mark.parametrize("generated", [0, 2])
def test_tls_adds_its_seconds_to_every_figure_that_has_them(generated: int) -> None:
    configuration = executed("fastquery", Table(300, 384, 2), flooding_bits=0)
    tokens = (3, 7, 9, 3)[: 2 + generated]
    sample = Sample(*(0, configuration, "300x384", tokens, 0, PRESETS["wan"]), generated=generated)
    clear, secured = (
        module.predicted(replace(sample, tls=tls), 1.0, default_machine()).figures for tls in (False, True)
    )
    added = {name: secured[name] - clear[name] for name in SECONDS if not math.isnan(clear[name])}
    assert added.pop("table_s") == 0
    assert min(added.values()) > 0
    assert added["first_share_s"] > added["latency_s"] + PRESETS["wan"].round_trip_s
    spent = added["server_s"] + added["client_s"]
    assert spent == pytest.approx(added["latency_s"] + generated * added.get("share_s", 0.0))


def test_the_time_of_a_campaign_is_of_the_samples_that_are_still_to_be_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFERENCES", 2)
    chosen = [tiny(0, held_out=False), tiny(1, held_out=True), tiny(2, held_out=True)]
    everything, rest = (expected_s(where, chosen, 2) for where in (tmp_path, folder))
    assert 0 < rest == pytest.approx(everything / 5)  # a sample of three, and two references


def test_runs_are_compared_and_failures_reported(found: Campaign) -> None:
    summary, verdicts = found.summary(), found.verdicts()
    assert (summary["samples"], summary["held_out"], summary["failed"]) == (3, 1, 1)
    assert summary["wrong_channels"] == summary["byte_mismatches"] == summary["count_mismatches"] == 0
    assert summary["noise_error_bits_max"] < 1
    assert verdicts["bytes equal in every run"] == "holds"
    assert verdicts["every sample was executed"] == "fails"
    assert not found.holds
    assert "301x384" in found.runs.set_index("sample").loc[2, "reason"]
    runs = found.measured
    assert (runs["sessions"] * 2 * 128 >= module.POOLED_COEFFICIENTS).all()
    assert (runs["disturbed"] == (runs["calm_sessions"] == 0)).all()
    assert (runs["yielded_median"] > 0).all()
    counts = runs[["calm_sessions", "server_at_pace", "client_at_pace"]]
    assert (counts.le(runs["sessions"], axis=0)).all(axis=None)
    assert ((runs["sessions"] >= 2) & (runs["sessions"] <= module.ROUNDS * 2)).all()


def rewritten(folder: Path, where: Path, waited_s: float) -> Campaign:
    """The campaign with other accounts: so many seconds of waiting in every session."""
    shutil.copytree(folder, where)
    for path in (where / "sessions").glob("*.json"):
        document = json.loads(path.read_text())
        if document["status"] == "measured":
            document["accounts"] = [[waited_s, *one[1:3], 0.0, one[4]] for one in document["accounts"]]
        path.write_text(json.dumps(document))
    return evaluated(where)


@pytest.mark.usefixtures("found")
def test_runs_that_other_work_disturbed_are_marked_and_stay(folder: Path, tmp_path: Path) -> None:
    calm, disturbed = (rewritten(folder, tmp_path / str(waited), waited) for waited in (0.0, 60.0))
    assert (calm.summary()["disturbed"], disturbed.summary()["disturbed"]) == (0, 2)
    for name in ("held_out", "server_error_max", "byte_mismatches"):
        assert calm.summary()[name] == disturbed.summary()[name]
    said = {name: write_report(one, tmp_path, {})[0].read_text() for name, one in (("c", calm), ("d", disturbed))}
    assert "DISTURBED" in said["d"]
    assert "DISTURBED" not in said["c"]


def test_campaigns_of_several_seeds_are_judged_together(found: Campaign, tmp_path: Path) -> None:
    slower = found.runs.assign(server_s=found.runs["server_s"] * 3)
    pool = Pool([found, replace(found, seed=6, runs=slower)])
    one, all_ = found.summary(), pool.summary()
    assert (all_["samples"], all_["held_out"], all_["failed"]) == (6, 2, 2)
    assert all_["bytes_compared"] == 2 * one["bytes_compared"]
    assert all_["server_error_max"] == max(
        one["server_error_max"], replace(found, runs=slower).summary()["server_error_max"]
    )
    assert pool.verdicts()["bytes equal in every run"] == "holds"
    assert not pool.holds
    errors = pool.errors.set_index("seed")
    assert list(errors.index) == ["5", "6", "all"]
    assert errors.loc["5", "server worst"] == one["server_error_max"]
    paths = pool.write(tmp_path)
    assert list(pd.read_csv(paths[0])["seed"]) == [5, 5, 5, 6, 6, 6]
    assert tomllib.loads(paths[-1].read_text())["seeds"] == [5, 6]


def test_a_campaign_of_several_seeds_is_no_submission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["validate", "--seed", "1", "--seed", "2", "--output", str(tmp_path), "--submit", str(tmp_path / "a.json")]
    assert main(words) != 0
    assert "submit goes with one seed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_too_few_runs_state_no_interval(found: Campaign) -> None:
    assert math.isinf(found.summary()["server_interval"])
    assert not any("intervals" in name for name in found.verdicts())


@pytest.mark.parametrize(("off", "verdict"), [(1.0, "noise"), (1.4, "noise"), (1.6, "fails")])
def test_intervals_are_held_against_the_held_out_runs(found: Campaign, off: float, verdict: str) -> None:
    one = found.held_out.iloc[[0] * 20].copy()
    one["predicted_server_s"] = one["server_s"]
    one["low_server_s"], one["high_server_s"] = one["server_s"] / 1.5, one["server_s"] * 1.5
    one["server_s"] *= off
    wide = replace(found, runs=one.reset_index(drop=True))
    assert wide.summary()["server_coverage"] == (off < 1.5)
    assert wide.verdicts()["90% intervals of server seconds hold as often"] == verdict


def test_a_byte_more_is_found(folder: Path, found: Campaign, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "sessions" / "sample-001.json"
    document = json.loads(path.read_text())
    at = document["entries"]["item"].index("query")
    document["entries"]["bytes"][at] += 1
    path.write_text(json.dumps(document))
    changed = evaluated(copy)
    assert changed.summary()["byte_mismatches"] == 1
    assert changed.verdicts()["bytes equal in every run"] == "fails"


@pytest.mark.parametrize(
    ("error", "noise", "verdict"),
    [(0.09, 0.5, "holds"), (0.12, 0.08, "fails"), (0.12, 0.15, "noise"), (0.24, 0.15, "noise"), (0.26, 0.15, "fails")],
)
def test_the_machines_noise_excuses_no_more_than_itself(
    found: Campaign, monkeypatch: pytest.MonkeyPatch, error: float, noise: float, verdict: str
) -> None:
    figures = {**found.summary(), "server_error_median": error, "machine_noise_server": noise}
    monkeypatch.setattr(Campaign, "summary", lambda self: figures)
    assert found.verdicts()["server seconds within 10% (median)"] == verdict


@pytest.mark.parametrize(
    ("off_bits", "verdict"), [(0.49, "holds"), (-0.49, "holds"), (0.51, "fails"), (-0.51, "fails")]
)
def test_noise_must_be_within_half_a_bit_whatever_its_sampling_error(
    found: Campaign, off_bits: float, verdict: str
) -> None:
    runs = found.runs.assign(predicted_noise_bits=found.runs["noise_bits"] + off_bits, noise_sampling_bits=9.0)
    assert replace(found, runs=runs).verdicts()["noise within half a bit"] == verdict


def test_a_campaign_is_summarised_in_toml(folder: Path, found: Campaign) -> None:
    document = tomllib.loads((folder / "campaign.toml").read_text())
    assert document["seed"] == 5
    assert document["summary"]["failed"] == 1
    assert document["verdicts"] == found.verdicts()
    assert document["provenance"] == {"processor": "test"}


def test_the_report_names_failures_and_worst_cases(found: Campaign, tmp_path: Path) -> None:
    picture = tmp_path / "figure.png"
    markdown, page = write_report(found, tmp_path, {"a <picture>": picture})
    text = markdown.read_text()
    assert "301x384" in text
    assert "bytes equal in every run | holds" in text
    assert "![a <picture>](figure.png)" in text
    written = page.read_text()
    assert "a &lt;picture&gt;" in written
    assert written.count("<table>") == written.count("</table>") >= 5


def test_what_was_measured_is_not_measured_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    monkeypatch.setattr(module, "REFERENCES", 2)
    monkeypatch.setattr(
        module, "_measured", lambda parties, sample, sessions: measured.append(sample.table) or failed()
    )
    again = run_campaign(folder, 3, 5, {}, sessions=2)
    assert measured == ["301x384"]
    assert again.provenance == {"processor": "test"}


def failed() -> dict[str, str]:
    return {"status": "failed", "reason": "still not 301x384"}


@pytest.fixture
def larger(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign of six samples, of which three are calibrated on, each with the measurements of one."""
    monkeypatch.setattr(module, "REFERENCES", 2)
    where = shutil.copytree(folder, tmp_path / "larger")
    plan = json.loads((where / "plan.json").read_text())
    plan["samples"] = [tiny(k, held_out=k % 2 == 1).document() for k in range(6)]
    (where / "plan.json").write_text(json.dumps(plan))
    for k in range(6):
        shutil.copy(folder / "sessions" / f"sample-00{k % 2}.json", where / "sessions" / f"sample-00{k}.json")
    return where


def test_two_processes_of_which_one_dies_evaluate_as_one(larger: Path) -> None:
    alone = evaluated(larger)
    written = {path.name: path.read_bytes() for path in larger.iterdir() if path.is_file()}
    seen: list[str] = []

    def kill_once(what: str, done: int, total: int) -> None:
        if not seen:
            multiprocessing.active_children()[0].kill()
        seen.append(f"{what} {done}/{total}")

    assert evaluated(larger, None, kill_once, partial(evaluated_parts, jobs=2)) == alone
    assert {path.name: path.read_bytes() for path in larger.iterdir() if path.is_file()} == written
    assert seen == [f"evaluating {k}/9" for k in range(1, 10)]  # three folds and six samples
    assert alone.runs["low_server_s"].notna().all()


@pytest.mark.slow  # starts a cluster
def test_a_cluster_of_which_a_worker_dies_evaluates_as_one_core(larger: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is an extra: pip install 'fastquery[cluster]'")
    alone = evaluated(larger)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        seen: list[int] = []

        def kill_once(what: str, done: int, total: int) -> None:
            if not seen:
                os.kill(victim, signal.SIGKILL)
            seen.append(done)

        by_cluster = partial(evaluated_parts, scheduler=cluster.scheduler_address)
        assert evaluated(larger, None, kill_once, by_cluster) == alone
    assert seen == list(range(1, 10))


def test_another_campaign_does_not_go_into_the_same_folder(folder: Path) -> None:
    with pytest.raises(ValueError, match="another folder"):
        planned(folder, 3, 6, 2, {})


def test_a_folder_without_a_campaign_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        evaluated(tmp_path)


def test_designs_that_execute_nothing_are_named() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        draw(2, 0, [Design("nonsense", "residue")])
