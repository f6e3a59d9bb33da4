"""Questions take what a person has at hand; results are plain values."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fastquery as fq
from fastquery.axes import axes_by_name
from fastquery.cli import main

CHEAP = {"table": "300x24", "protocol": "cheetah"}


def test_results_come_back_from_a_process_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(fq.estimate, **CHEAP), pool.submit(fq.optimize, "300x24", protocol="cheetah")]
        estimated, best = (one.result() for one in futures)
    assert estimated == fq.estimate(**CHEAP)
    assert best == fq.optimize("300x24", protocol="cheetah")


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("tokens", [3, "3", np.int8(3), np.array(3), np.array([3], dtype=np.uint64), range(3, 4), 3.0]),
        ("table", ["300x24", (300, 24), [300, 24], np.array([300, 24]), fq.Table(300, 24)]),
        ("packing", [(4, 3), [4, 3], "4,3", np.array([4, 3], dtype=np.uint8), (np.int64(4), np.int64(3))]),
        ("link", ["44Mbit/s,40ms", "44 Mbps, 40 ms", (44e6, 0.04), (np.float64(44e6), 0.04), fq.Link(44e6, 0.04, "x")]),
        ("ring", ["N=4096,p=13,q=39", {"N": 4096, "p": 13, "q": 39}, {"N": np.int64(4096), "p": "13", "q": (39,)}]),
        ("flooding_bits", [0, "0", np.int8(0), 0.0]),
    ],
)
def test_a_value_is_read_alike_however_it_is_held(name: str, same: list[Any]) -> None:
    first, *others = (fq.sweep(**{**CHEAP, "protocol": "fastquery", name: value}) for value in same)
    figures = ["up_bytes", "down_bytes", "latency_s", "tokens"]
    for other in others:
        pd.testing.assert_frame_equal(first[figures], other[figures])


def test_several_values_make_an_axis_and_letters_make_a_ring() -> None:
    assert fq.sweep(table=[(300, 24), "400x8"], link=np.array([1e6, 2e6]))["table_rows"].tolist() == [
        300,
        300,
        400,
        400,
    ]
    assert fq.sweep(table="300x24", N=4096, p=13, q=range(38, 41))["limb_bits_0"].tolist() == [38, 39, 40]
    assert len(fq.sweep(table="300x24", packing=["4,3,3", (4, 4), None])) == 3
    assert fq.sweep(table="300x24", fields={"sigma": np.array([3.2, 3.19])})["encryption_sigma"].tolist() == [3.2, 3.19]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: fq.sweep(protcol="folded"), "did you mean 'protocol'"),
        (lambda: fq.sweep(N=4096, ring="q=39"), "ring and N are both named"),
        (lambda: fq.sweep(link="lan", bandwidth="wan"), "bandwidth and link are both named"),
        (lambda: fq.sweep(protocol="foldd"), "did you mean 'folded'"),
        (lambda: fq.sweep(limit=2.5), "limit is 2.5; it must be a whole number"),
        (lambda: fq.sweep(table=[]), "table has no value"),
        (lambda: fq.sweep(machine=Path("absent.toml")), "machine is 'absent.toml', which cannot be read"),
        (lambda: fq.optimize(table="300x24", failur=-30), "did you mean"),
        (lambda: fq.optimize("300x24", pareto=("bytes",)), "pareto is"),
        (lambda: fq.optimize("300x24", objective="latncy"), "did you mean 'latency'"),
        (lambda: fq.optimize("300x24", queries="many"), "queries is 'many'"),
        (lambda: fq.estimate(link=()), "link is"),
        (lambda: fq.estimate(machine=3), "machine is 3"),
        (lambda: fq.run("300x24", {3, 4}), "tokens is"),
        (lambda: fq.quantize(np.zeros((3, 3))), "table is"),
    ],
)
def test_a_value_that_cannot_be_is_named(ask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask()


def test_a_mapping_of_axes_is_named_once() -> None:
    assert axes_by_name({"widths": (4, 3), "t": 8000}) == {"packing": (4, 3), "ring": {"t": 8000}}
    assert fq.optimize("300x24", protocol="cheetah", failure=-30).configuration.protocol == "cheetah"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--table", "300x24", "--token", "3", "--tokens", "5"], "token and tokens are both named"),
        (["run", "--from", "x.json", "--protocol", "folded"], "from and protocol are both named"),
        (["run", "--table", "300x24", "--threads", "0"], "threads is 0; it must be 1 or more"),
        (["run", "--table", "300x24", "--engine", "openfhe", "--threads", "2"], "engine openfhe computes on one"),
        (
            ["serve", "--table", "300x24", "--listen", "127.0.0.1:0", "--threads", "0"],
            "threads is 0; it must lie between",
        ),
        (["optimize", "--errors", "BINARY"], "is no CSV file"),
        (["sweep", "--machine", "BINARY"], "is no text file"),
        (["plot", "bandwidth", "--style", "BINARY", "--output", "x.png"], "is no text file"),
        (["quantize", "--table", "300x24", "--output", "PIPE"], "is no regular file"),
        (["quantize", "--table", "300x24", "--frequencies", "COUNTS", "--output", "COUNTS"], "is an input too"),
        (["calibrate", "--output", "FOLDER"], "is no regular file"),
        (["sweep", "--output", "FOLDER.csv"], "is no regular file"),
    ],
)
def test_what_is_refused_is_refused_before_the_work(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "BINARY").write_bytes(b"\xb5\x00\xff" * 10)
    (tmp_path / "COUNTS").write_text("1\n" * 300)
    os.mkfifo(tmp_path / "PIPE")
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FOLDER.csv").mkdir()
    named = [str(tmp_path / one) if one.partition(".")[0].isupper() else one for one in arguments]
    assert main(named) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1 or arguments[0] == "plot"
    assert (tmp_path / "COUNTS").read_text() == "1\n" * 300


def test_a_run_on_two_threads_is_right_and_says_so() -> None:
    result = fq.run("3000x96", [5, 2999], protocol="folded", flooding_bits=0, threads=2)
    document = result.document()
    assert (result.correct, result.agrees) == (True, True)
    assert (document["threads"], document["provenance"]["threads"]) == (2, 2)
