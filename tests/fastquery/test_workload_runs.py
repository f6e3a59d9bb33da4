"""Sessions that are executed: every lookup's entries as predicted, every row right, and the same from their JSON."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

import fastquery as fq
from costmodel.parameters import Table
from costmodel.systems import executed, published
from costmodel.workload import Workload
from fastquery.cli import main
from fastquery.runs import again
from fastquery.workload_runs import run_workload

DESIGNS: list[dict[str, Any]] = [
    {"protocol": "fastquery"},
    {"protocol": "fastquery", "prepared": True, "align_bits": 32},
    {"protocol": "fastquery", "engine": "openfhe", "flooding_bits": 0},
    {"protocol": "folded", "align_bits": 32},
    {"protocol": "compressed"},
    {"protocol": "bucketed"},
    {"protocol": "cheetah", "engine": "residue"},
    {"protocol": "cheetah", "engine": "openfhe", "delphi": True},
    {"protocol": "bumblebee", "engine": "residue"},
    {"protocol": "cryptflow2", "engine": "openfhe"},
]


def test_a_session_runs_as_predicted_and_again_from_its_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openfhe")
    asked = ["run", "--table", "300x24", "--prepared", "--workload", "prompt=3,generated=2"]
    assert main([*asked, "--json"]) == 0
    shown = capsys.readouterr().out
    document = json.loads(shown)
    priced = fq.estimate(table="300x24", engine="residue", prepared=True, workload="prompt=3,generated=2")
    assert document["correct"]
    assert document["lookups"] == 3
    assert len(document["tokens"]) == 5
    for name in ("up_bytes", "down_bytes", "setup_bytes"):
        assert document[name] == document[f"predicted_{name}"] == getattr(priced, name)
    entries = {(row["lookup"], row["phase"]) for row in document["ledger"]}
    assert entries == {(0, "setup"), (1, "online"), (2, "offline"), (2, "online"), (3, "offline"), (3, "online")}
    assert all(row["agrees"] for row in document["ledger"])
    assert document["first_share_s"] > document["setup_s"] > 0
    assert min(document["share_s"], document["preparation_s"], document["predicted_preparation_s"]) > 0

    saved = tmp_path / "run.json"
    saved.write_text(shown)
    assert again(saved)["workload"] == Workload(3, 2)
    assert main(["run", "--from", str(saved)]) == 0
    text = capsys.readouterr().out
    assert "a prompt of 3 token(s), then 2 one by one" in text
    assert re.search(r"^tokens offline client +preparation +2 +2 +48 +48 *$", text, re.MULTILINE)
    assert main(["run", "--from", str(saved), "--workload", "prompt=1"]) == 2
    assert "from and workload are both named" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("words", DESIGNS, ids=str)
def test_every_executed_design_runs_a_workload(words: dict[str, Any]) -> None:
    done = fq.run("300x24", workload=Workload(5, 3), **words)
    assert done.correct
    assert done.agrees
    assert sorted(set(done.comparison["lookup"])) == [0, 1, 2, 3, 4]
    assert done.document()["total_bytes"] == done.document()["predicted_total_bytes"]


@pytest.mark.slow
def test_a_prompt_alone_has_no_generated_token() -> None:
    done = fq.run("300x24", workload="prompt=2")
    assert done.correct
    assert math.isnan(done.share_s)
    assert done.document()["lookups"] == 1


@pytest.mark.parametrize(
    ("workload", "tokens", "message"),
    [
        (Workload(2, 1, clients=8), None, "workload.clients is 8; a run has the session of one client"),
        (Workload(2, 2**20), None, "workload.generated is 1048576; a run looks up 65535 tokens at most"),
        (Workload(2, 1), [1, 2], "tokens are 2; the workload has 3, its prompt's first"),
        (Workload(2, 1), [1, 2, 300], "token is 300; it must lie between 0 and 299"),
        (Workload(1025), None, "workload.prompt is 1025; a lookup is of 1024 tokens at most"),
    ],
)
def test_a_workload_that_is_not_run_is_refused_by_name(
    workload: Workload, tokens: list[int] | None, message: str
) -> None:
    asked = executed("fastquery", Table(300, 24, workload.prompt))
    with pytest.raises(ValueError, match=re.escape(message)):
        run_workload(asked, "300x24", workload, tokens)


def test_a_published_system_is_refused_as_its_lookup_is() -> None:
    with pytest.raises(ValueError, match="priced and not executed"):
        run_workload(published("iron", Table(300, 24, 2)), "300x24", Workload(2, 1))
