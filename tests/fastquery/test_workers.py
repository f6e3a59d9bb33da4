"""Sweeps shared out over processes and over a cluster are those of one core, whoever dies."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fastquery import sweeps
from fastquery.cli import main
from fastquery.optima import optimize_each
from fastquery.optimizer import optimize
from fastquery.sweep_files import write_sweep
from fastquery.sweeps import Plan, sweep
from fastquery.workers import ATTEMPTS, evaluated_parts

AXES: dict[str, Any] = {
    "protocol": ["fastquery", "cheetah", "folded"], "tokens": "1:3", "link": "1:9Mbit/s", "table": "gpt2",
}  # fmt: skip


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "BLOCK", 9)
    monkeypatch.setattr(sweeps, "ROW_GROUP", 9)


def test_two_processes_write_the_bytes_of_one(tmp_path: Path, small_parts: None) -> None:
    alone = write_sweep(tmp_path / "a.parquet", **AXES)
    shared = write_sweep(tmp_path / "b.parquet", jobs=2, **AXES)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert alone.configurations == shared.configurations == 3 * 3 * 9
    assert alone.usable == shared.usable
    pd.testing.assert_frame_equal(sweep(**AXES), pd.read_parquet(tmp_path / "b.parquet"))


QUESTIONS: dict[str, Any] = {
    "table": ["gpt2", "100:300:200x24"], "link": "9:18:9Mbit/s,40ms", "protocol": "folded", "packing": (4, 3),
}  # fmt: skip


def test_two_processes_find_the_optima_of_one() -> None:
    alone, shared = optimize_each(**QUESTIONS), optimize_each(jobs=2, **QUESTIONS)
    assert [asked[0] for asked in alone.questions] == ["gpt2", "gpt2", "100x24", "100x24", "300x24", "300x24"]
    assert alone.document() == shared.document()
    assert optimize("100x24", link="18Mbit/s,40ms", protocol="folded", packing=(4, 3)) == alone.optima[3]


def test_an_optimum_that_cannot_be_names_its_table_and_link() -> None:
    with pytest.raises(ValueError, match="table gpt2 over lan: setup_bytes is"):
        optimize_each(["gpt2", "300x24"], protocol="folded", packing=(4, 3), at_most={"setup_bytes": 1})


def test_the_command_has_a_line_for_every_table_and_link(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["optimize", "--table", "gpt2", "--table", "300x24", "--protocol", "folded", "--packing", "4,3"]
    assert main([*asked, "--link", "10:20:10Mbit/s"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["table", "link", "design"]
    assert [row.split()[:3] for row in rows] == [
        [table, link, "folded"] for table in ("gpt2", "300x24") for link in ("10Mbit/s", "20Mbit/s")
    ]
    assert main([*asked, "--json"]) == 0
    assert [one["table"] for one in json.loads(capsys.readouterr().out)["optima"]] == ["gpt2", "300x24"]
    assert main([*asked, "--run"]) == 2
    assert "run is asked for 2 tables and links" in capsys.readouterr().err


def dies_once(shared: tuple[str, int], number: int) -> int:
    """The square of a number; the first process that is asked for some numbers dies."""
    folder, modulus = shared
    mark = Path(folder, str(number))
    if number % modulus == 0 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def always_dies(shared: None, number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fails(shared: None, number: int) -> None:
    raise ValueError(f"number {number} cannot be")


def test_parts_of_dead_processes_are_evaluated_again(tmp_path: Path) -> None:
    found = dict(evaluated_parts(dies_once, (str(tmp_path), 3), range(4), jobs=2))
    assert found == {number: number**2 for number in range(4)}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_part_that_kills_every_process_is_told() -> None:
    with pytest.raises(ChildProcessError, match=r"part \d: its process died again and again"):
        list(evaluated_parts(always_dies, None, [0, 1], jobs=2))
    assert ATTEMPTS > 1
    assert not multiprocessing.active_children()


def test_an_error_of_a_part_is_the_callers_and_leaves_no_process() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        list(evaluated_parts(fails, None, [0, 1], jobs=2))
    assert not multiprocessing.active_children()


def test_parts_depend_on_the_axes_alone_and_hold_every_piece(small_parts: None) -> None:
    plan = Plan.of(AXES, sweeps.machine_of(None), 50)
    assert [number for part in plan.parts for number in part] == list(range(len(plan.pieces)))
    assert len(plan.parts) > 3
    assert sum(piece.taken(plan.sample) for piece in plan.pieces) == 50


def test_a_cluster_survives_a_worker_and_gives_the_same_file(tmp_path: Path, small_parts: None) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is an extra: pip install 'fastquery[cluster]'")
    write_sweep(tmp_path / "a.parquet", **AXES)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        seen: list[float] = []

        def kill_once(done_s: float, total_s: float) -> None:
            if not seen:
                os.kill(victim, signal.SIGKILL)
            seen.append(done_s)

        write_sweep(tmp_path / "b.parquet", scheduler=cluster.scheduler_address, progress=kill_once, **AXES)
    assert len(seen) > 3
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="Dask is an extra: pip install 'fastquery[cluster]'")
    output = ["--output", str(tmp_path / "a.csv")]
    assert main(["sweep", "--table", "gpt2", "--scheduler", "nonsense://1", *output]) == 2
    error = capsys.readouterr().err
    assert "scheduler is 'nonsense://1', which cannot be reached" in error
    assert main(["sweep", "--table", "gpt2", "--jobs", "0", *output]) == 2
    assert "jobs is 0" in capsys.readouterr().err
