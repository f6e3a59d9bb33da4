"""``fastquery claims``: exits 0 while every verdict holds and 1 when one does not."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from fastquery.cli import main
from validate.published import load_claims


def test_it_exits_0_while_every_verdict_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--match", "cham/", "--explain"]) == 0
    shown = capsys.readouterr().out
    assert "every verdict holds" in shown
    assert "Totally 4095 reductions are required" in shown


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("cham/reductions", 4096.0),  # said to be reproduced, and is not
        ("spiral/query", 20.0),  # said to be off, but by another amount
        ("ypir/8-gb-download", 120.0),  # said not to be reproducible, and is met
    ],
)
def test_it_exits_1_when_a_verdict_no_longer_holds(
    name: str, published: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tuple(replace(one, published=published) for one in load_claims() if one.id == name)
    monkeypatch.setattr("fastquery.cli.claims.load_claims", lambda: changed)
    assert main(["claims", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["holds"] is False


def test_a_text_that_no_claim_has_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--match", "table-7"]) != 0
    assert "table-7" in capsys.readouterr().err


def test_a_terminal_narrower_than_the_table_has_a_paragraph_a_claim(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["claims", "--match", "cham/", "--explain"]
    assert main(asked) == 0
    piped = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "60")
    assert main(asked) == 0
    assert capsys.readouterr().out == piped  # a pipe has whole lines
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(asked) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 60 < max(map(len, piped.splitlines()))
    ids = [one.id for one in load_claims() if "cham/" in one.id]
    assert [line for line in narrow.splitlines() if line in ids] == ids
    assert narrow.count("    published ") == len(ids)
