"""The comparison with SPU: what is made of its measurements, ratios, the report, and SPU itself where it is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import peers
from benchmarks.headline import spu_row
from benchmarks.peers import SPU_PYTHON, main, of_design, of_spu, spu_run
from benchmarks.peers_report import Measured, ratios, report
from benchmarks.report import table

TOLERANCE = 0.0025  # of the model's bytes, as for the runs that it was made from
PARTY = {"client_s": 1.0, "up_socket_bytes": 6e4, "down_socket_bytes": 3e5, "worst_difference": 0}
DOCUMENT: dict[str, Any] = {
    "field": "FM32",
    "rows": 500,
    "channels": 64,
    "threads": 1,
    "shares": False,
    "queries": [
        {**PARTY, "query": "first", "wall_s": 9.0, "server_s": 9.0, "up_bytes": 116201, "down_bytes": 316855},
        {**PARTY, "query": "table first", "wall_s": 2.0, "server_s": 8.5, "table_s": 6.0, "up_bytes": 58090,
         "down_bytes": 258740},
    ],
    "versions": {"spu": "0.9.5", "python": "3.11.7", "numpy": "1.26.4"},
}  # fmt: skip
ABOUT = {
    "date": "2026-01-01",
    "command": "python -m benchmarks.peers",
    "commit": "abc",
    "processor": "a processor",
    "cores": 2,
    "python": "3.10.13",
    "versions": {"numpy": "2.2.6", "openfhe": None},
    "spu": DOCUMENT["versions"],
}


def assert_as_predicted(peer: Measured) -> None:
    measured = (peer.up_bytes, peer.down_bytes, peer.setup_bytes)
    predicted = (peer.predicted_up_bytes, peer.predicted_down_bytes, peer.predicted_setup_bytes)
    assert measured == pytest.approx(predicted, rel=TOLERANCE)


def test_keys_are_what_the_first_query_sends_more_and_the_table_is_taken_out_of_the_second() -> None:
    peer = of_spu(DOCUMENT)
    assert peer.setup_bytes == (116201 - 58090) + (316855 - 258740)
    assert (peer.server_s, peer.table_s, peer.whole_server_s) == (2.5, 6.0, 8.5)
    assert (peer.wall_s, peer.whole_wall_s) == (2.0, 8.0)
    assert_as_predicted(peer)


def test_ratios_are_the_peers_figures_over_the_designs() -> None:
    peer = of_spu(DOCUMENT)
    assert set(ratios(peer, peer).values()) == {1.0}
    half = replace(peer, up_bytes=peer.down_bytes, down_bytes=peer.up_bytes, server_s=0.5, table_s=0.0, wall_s=1.0)
    assert ratios(peer, half) == {"bytes": 1, "server": 5, "wall": 2, "server, whole": 17, "wall, whole": 8}


def test_the_report_compares_every_design_with_every_ring_and_shares_with_the_model_only() -> None:
    peer = of_spu(DOCUMENT)
    held = of_spu({**DOCUMENT, "shares": True})
    own = replace(peer, system="folded", server_s=0.5, table_s=8.0, up_socket_bytes=None, flooding_bits=40)
    text = report([peer, held, own], ABOUT)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    figures = [line for line in lines if line.startswith("| folded | 40 |")]
    assert len(figures) == 1
    assert "| folded | 1 | 5 | 1 | 1 | 0.8 |" in lines
    assert sum(line.startswith("| SPU FM32, operands held as shares |") for line in lines) == 4
    assert "| SPU FM32 | up | 58,090 |" in text
    assert "openfhe" not in text
    for blocks in text.split("\n\n"):
        rows = [line.count("|") for line in blocks.splitlines() if line.startswith("|")]
        assert len(set(rows)) <= 1


def test_a_table_aligns_numbers_to_the_right() -> None:
    assert table(["a", "b", "c"], [["x", "y", "1"]], texts=2).splitlines() == [
        "| a | b | c |",
        "| --- | --- | ---: |",
        "| x | y | 1 |",
    ]


def test_without_spu_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make bench-peers"):
        main(["--spu", str(tmp_path / "nothing"), "--tables", "600x48"])


@pytest.mark.parametrize("worst", [0, 1, 2])
def test_a_channel_that_is_wrong_by_more_than_rounding_is_refused(tmp_path: Path, worst: int) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(
        f"""#!/bin/sh\necho '{{"queries": [{{"worst_difference": 0}}, {{"worst_difference": {worst}}}]}}'\n"""
    )
    interpreter.chmod(0o700)
    if worst > 1:
        with pytest.raises(SystemExit, match=f"wrong by {worst}"):
            spu_run(interpreter, "FM32", "600x48", 1)
    else:
        assert len(spu_run(interpreter, "FM32", "600x48", 1)["queries"]) == 2


def test_a_design_is_measured_as_it_is_predicted() -> None:
    own = of_design("folded", "folded", {"flooding_bits": 0}, "600x48")
    assert (own.up_bytes, own.down_bytes) == (own.predicted_up_bytes, own.predicted_down_bytes)
    assert own.server_s > 0
    assert own.table_s > 0


def test_measurements_and_report_are_written_with_their_provenance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, results = tmp_path / "benchmarks.md", tmp_path / "peers.json"
    document.write_text("before\n<!-- peers -->\nold\n<!-- /peers -->\nafter\n", "utf-8")
    monkeypatch.setattr(peers, "DOCUMENT", document)
    monkeypatch.setattr(peers, "RESULTS", results)
    monkeypatch.setattr(peers, "TABLES", ("500x64",))
    monkeypatch.setattr(peers, "DESIGNS", ())
    monkeypatch.setattr(peers, "spu_run", lambda _python, field, _name, threads, shares: {
        **DOCUMENT, "field": field, "threads": threads, "shares": shares})  # fmt: skip
    main(["--tables", "600x48"])
    assert document.read_text("utf-8") == "before\n<!-- peers -->\nold\n<!-- /peers -->\nafter\n"
    main(["--tables", "500x64", "--threads", "2"])
    written = json.loads(results.read_text("utf-8"))
    assert {"date", "command", "commit", "processor", "cores", "versions", "spu"} <= set(written["provenance"])
    assert written["provenance"]["command"] == "python -m benchmarks.peers --tables 500x64 --threads 2"
    assert Measured(**written["rows"][0]) == replace(of_spu(DOCUMENT), threads=2)
    text = document.read_text("utf-8")
    assert "old" not in text
    assert text.startswith("before\n")
    assert "2 thread(s)" in text


@pytest.mark.slow
@pytest.mark.skipif(not SPU_PYTHON.exists(), reason="SPU's environment is not there: make bench-peers builds it")
@pytest.mark.parametrize("field", ["FM32", "FM64"])
@pytest.mark.parametrize("shares", [False, True])
def test_spu_gives_the_row_and_the_models_bytes(field: str, shares: bool) -> None:
    document = spu_run(SPU_PYTHON, field, "500x64", 1, shares)
    peer = of_spu(document)
    assert_as_predicted(peer)
    assert 0 < peer.table_s < peer.table_s + peer.server_s
    assert peer.up_socket_bytes is not None
    assert peer.up_bytes < peer.up_socket_bytes < 1.1 * peer.up_bytes
    if not shares:
        assert spu_row(field, "500x64", SPU_PYTHON).source == "measured"
