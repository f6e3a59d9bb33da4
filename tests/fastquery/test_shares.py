"""``serve --shares``, ``query --shares`` and ``open``: two processes whose files open to the table's rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from fastquery.cli import main
from fastquery.shares import rows_of
from protocol.share import Share, open_levels
from quantize.quantizers import quantize_table
from quantize.tables import open_table

pytest.importorskip("openfhe")

LINES = "7\n\n299 3 7\n0\n"
LOOKUPS = [[7], [299, 3, 7], [0]]
SLOW = pytest.mark.slow


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@contextmanager
def server(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``fastquery serve`` of a random table, and its address."""
    command = [sys.executable, "-m", "fastquery", "serve", "--table", "300x24", "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            assert process.stdout is not None
            line = "".join(iter(process.stdout.readline, "}\n")) + "}"
            yield process, f"127.0.0.1:{json.loads(line)['port']}"
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("protocol", "align_bits"),
    [
        ("fastquery", 0),
        pytest.param("fastquery", 32, marks=SLOW),
        pytest.param("folded", 0, marks=SLOW),
        ("folded", 32),
        pytest.param("compressed", 0, marks=SLOW),
        pytest.param("compressed", 32, marks=SLOW),
    ],
)
def test_files_of_both_parties_open_to_the_rows(
    protocol: str, align_bits: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = [sys.executable, "-m", "fastquery", "query", "--token-file", "-", "--tokens", "3", "--json"]
    options = ("--shares", str(tmp_path / "b"), "--protocol", protocol, "--align-bits", str(align_bits))
    with server(*options) as (_, address):
        command = [*query, "--connect", address, "--shares", str(tmp_path / "a")]
        done = subprocess.run(command, input=LINES, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["lookups"], document["tokens"]) == (3, 5)
    assert document["ledgers_agree"]
    assert document["up_bytes"] == document["predicted_up_bytes"]
    assert document["setup_bytes"] == document["predicted_setup_bytes"]
    files = [sorted((tmp_path / party).iterdir()) for party in ("a", "b")]
    assert [len(of_party) for of_party in files] == [3, 3]
    for ids, mine, theirs in zip(LOOKUPS, *files, strict=True):
        assert main(["open", str(theirs), str(mine), "--table", "300x24", "--json"]) == 0
        opened = json.loads(capsys.readouterr().out)
        assert opened["correct"]
        assert opened["table_rows"] == ids
        plain = quantize_table(open_table("300x24"), Share.load(mine).public.widths)
        levels = open_levels(Share.load(mine), Share.load(theirs))
        assert np.array_equal(levels, np.stack([plain.levels(token) for token in ids]))
        assert np.array_equal(np.asarray(opened["rows"], np.float32), plain.embeddings(np.array(ids)))


def test_a_row_of_another_table_is_none_of_its_rows() -> None:
    plain, other = (quantize_table(open_table("300x24", seed)) for seed in (0, 1))
    levels = np.stack([plain.levels(5), other.levels(5)])
    assert rows_of(levels, plain) == [5, None]


@pytest.mark.parametrize("damage", ["both of one party", "one of another lookup"])
def test_what_is_no_pair_is_refused(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = quantize_table(open_table("300x24")).public
    values = np.zeros((1, public.coefficients), dtype=np.uint64)
    party = "client" if damage == "both of one party" else "server"
    for name, whose, lookup in (("a", "client", 1), ("b", party, 1 if party == "client" else 2)):
        Share(values, public.plaintext_modulus, 0, whose, public, "0" * 24, lookup).save(tmp_path / f"{name}.npz")
    assert main(["open", str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]) == 2
    assert "one of each party" in (error := capsys.readouterr().err) or "not of one lookup" in error


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", "/nowhere/a.npz", "/nowhere/b.npz"]) != 0
    assert "/nowhere/a.npz" in capsys.readouterr().err
