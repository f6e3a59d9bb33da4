"""Threads of the server as an axis of a sweep and as a word of a search: equal to a single estimate on as many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fastquery as fq
from fastquery.cli import main

LATENCIES = ["latency_s", "latency_low_s", "latency_high_s"]


def test_every_row_of_a_sweep_is_the_estimate_on_as_many_threads() -> None:
    links = ["9Mbit/s,40ms", "lan"]
    frame = fq.sweep(table="gpt2", protocol=["fastquery", "folded", "cheetah"], threads=[1, "2:3"], link=links)
    assert frame["threads"].tolist() == [1, 2, 3] * 6
    for (_, row), link in zip(frame.iterrows(), ([links[0]] * 3 + [links[1]] * 3) * 3, strict=True):
        alone = fq.estimate(table="gpt2", protocol=row["protocol"], threads=row["threads"], link=link)
        assert [row[name] for name in (*LATENCIES, "server_s")] == [
            alone.figures[name] for name in (*LATENCIES, "server_s")
        ]
    folded = frame[(frame["protocol"] == "folded") & (frame["rate_bit_per_s"] == 1e9)]
    assert folded["latency_s"].is_monotonic_decreasing
    assert folded["server_s"].nunique() == 1


def test_one_number_of_threads_gives_the_rows_of_several() -> None:
    axes: dict[str, Any] = {"table": "gpt2", "protocol": "folded", "link": ["lan", "wan"], "tokens": "1:2"}
    both = fq.sweep(threads="1,2", **axes)
    for threads in (1, 2):
        alone = fq.sweep(threads=threads, **axes)
        pd.testing.assert_frame_equal(alone, both[both["threads"] == threads].reset_index(drop=True))
    pd.testing.assert_frame_equal(fq.sweep(**axes), fq.sweep(threads=1, **axes))


def test_sessions_are_priced_on_threads() -> None:
    workload = "prompt=2,generated=3"
    frame = fq.sweep(table="gpt2", protocol="fastquery", workload=workload, threads=(1, 2))
    for (_, row), threads in zip(frame.iterrows(), (1, 2), strict=True):
        alone = fq.estimate(table="gpt2", protocol="fastquery", workload=workload, threads=threads)
        assert [row["threads"], row["first_share_s"], row["share_s"], row["preparation_s"]] == [
            threads, alone.first_share_s, alone.share_s, alone.preparation_s
        ]  # fmt: skip


def test_an_optimum_is_priced_on_threads() -> None:
    asked: dict[str, Any] = {"table": "gpt2", "protocol": "folded", "packing": (4, 3)}
    one, two = (fq.optimize(threads=threads, **asked) for threads in (1, 2))
    assert (one.estimate.threads, two.estimate.threads) == (1, 2)
    assert two.estimate == fq.estimate(two.configuration, threads=2)
    assert two.estimate.latency_s < one.estimate.latency_s
    assert two.pareto["latency_s"].iloc[-1] == two.estimate.latency_s
    each = fq.optimize_each(threads=2, jobs=2, link=["lan", "wan"], **asked)
    assert each.best["threads"].tolist() == [2, 2]
    assert each.optima[0] == two


@pytest.mark.parametrize("ask", [fq.sweep, fq.optimize, fq.estimate])
@pytest.mark.parametrize("threads", [0, "0", "two", 1.5])
def test_a_number_of_threads_that_cannot_be_is_named(ask: Any, threads: Any) -> None:
    with pytest.raises(ValueError, match="threads is "):
        ask(table="gpt2", protocol="cheetah", threads=threads)


def test_the_commands_take_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "a.csv"
    asked = ["--table", "gpt2", "--protocol", "folded", "--threads"]
    assert main(["sweep", *asked, "1,2", "--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["configurations"] == 2
    assert pd.read_csv(output)["threads"].tolist() == [1, 2]
    assert main(["optimize", *asked, "2", "--packing", "4,3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["estimate"]["threads"] == 2
    assert main(["sweep", *asked, "0", "--output", str(output)]) == 2
    assert "threads is 0; it must be 1 or more" in capsys.readouterr().err
