"""Campaigns of other people's machines: what a file has, what it must not have, and what is refused of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from costmodel.link import PRESETS
from costmodel.machine import Machine, default_machine
from costmodel.parameters import Table
from costmodel.systems import executed
from fastquery.cli import main
from validate.campaign import Campaign, described
from validate.quick import rescaled
from validate.sampling import Sample
from validate.submissions import COLUMNS, FACTS, MAX_BYTES, read_submission, submission_text
from validate.summary import SECONDS


def campaign(machine: Machine, off: float) -> Campaign:
    """Twelve samples that took so many times the predicted seconds, and one that failed."""
    rows: list[dict[str, Any]] = []
    one = executed("fastquery", Table(300, 24), flooding_bits=0)
    sample = Sample(0, one, "300x24", (3,), 1, PRESETS["loopback"])
    for index in range(12):
        measured = {name: off * (1 + 0.1 * k) for k, name in enumerate(SECONDS)}
        modelled = {f"predicted_{name}": 1 + 0.1 * k for k, name in enumerate(SECONDS)}
        ends = {f"{end}_{name}": 1.0 for end in ("low", "high") for name in ("server_s", "latency_s")}
        rows.append(
            {"status": "measured", "reason": "", **described(one, sample), "sample": index, "held_out": index % 2 == 0,
             **measured, **modelled, **ends, "base_server_s": 0.5, "noise_bits": -9.0, "predicted_noise_bits": -9.0,
             "noise_sampling_bits": 0.05, "wrong_channels": 0, "contention": 1.0, "disturbed": False,
             "server_at_pace": 2, "client_at_pace": 2}
        )  # fmt: skip
    rows.append({"status": "failed", "reason": "/home/somebody/table is missing", "sample": 12, "held_out": True})
    entries = pd.DataFrame({"kind": ["transfer", "work"], "agrees": [True, True]})
    origin = {"processor": "some processor", "caches": "L2 512 KiB", "cores": 2, "hostname": "box", "user": "somebody"}
    references = pd.DataFrame({"server_s": [1.0, 1.1], "latency_s": [1.0, 1.1]})
    return Campaign([sample], 3, pd.DataFrame(rows), entries, references, machine, (), origin)


def written(folder: Path, name: str, off: float = 1.1, factor: float = 1.0) -> Path:
    scale = {("residue", "key switches"): factor, ("residue", "products"): 1.0}
    path = folder / f"{name}.json"
    path.write_text(submission_text(campaign(rescaled(default_machine(), name, scale, {}), off)))
    return path


def test_a_file_has_the_campaign_and_nothing_of_its_owner(tmp_path: Path) -> None:
    path = written(tmp_path, "one")
    for secret in ("somebody", "box", "/home", str(tmp_path)):
        assert secret not in path.read_text()
    found = read_submission(path)
    assert found.facts["processor"] == "some processor"
    assert found.facts["vector_bits"] == "unknown"
    assert found.figures["server_error_median"] == pytest.approx(1 - 1 / 1.1)
    assert found.figures["failed"] == 1
    assert found.verdicts["every sample was executed"] == "fails"
    assert list(found.runs) == list(COLUMNS)
    assert len(found.runs) == 13
    assert len(found.machine.units) == len(default_machine().units)


def test_machines_are_compared_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, "fast", factor=0.5)
    written(tmp_path, "slow", off=2.0, factor=3.0)
    assert main(["validate", "--machines", str(tmp_path), "--json"]) == 0
    fast, slow = json.loads(capsys.readouterr().out)["machines"]
    assert (fast["submission"], slow["submission"]) == ("fast", "slow")
    assert fast["residue: key switches"] == pytest.approx(0.5, rel=1e-3)
    assert slow["residue: key switches"] == pytest.approx(3.0, rel=1e-3)
    assert slow["server_error_max"] == pytest.approx(0.5)
    assert main(["validate", "--machines", str(tmp_path)]) == 0
    assert "some processor" in capsys.readouterr().out


def changed(path: Path, **parts: Any) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))
    return path


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"version": 9}, "version is 9"),
        ({"facts": {**dict.fromkeys(FACTS, "x"), "processor": "\x1b[2J"}}, "processor is no printable text"),
        ({"facts": {**dict.fromkeys(FACTS, "x"), "python": "x" * 201}}, "python is no printable text"),
        ({"facts": {}}, "lacks 'processor'"),
        ({"figures": {"samples": "many"}}, "samples is 'many'"),
        ({"runs": 3}, "runs are no list"),
        ({"machine": "version = 1\n[units.residue.merge]\ncall_s = -1\nelement_s = 0"}, "residue.merge"),
        ({"machine": 3}, "machine is int"),
        ({"verdicts": {"a": 3}}, "a is int"),
    ],
)
def test_what_is_malformed_is_refused_by_name(tmp_path: Path, parts: dict[str, Any], said: str) -> None:
    path = changed(written(tmp_path, "one"), **parts)
    with pytest.raises(ValueError, match=f"one.json.*{said}"):
        read_submission(path)


def test_long_files_other_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    for content, said in ((" " * (MAX_BYTES + 1), "are accepted"), ("[" * 9000, "other.json"), ("[]", "other.json")):
        path = tmp_path / "other.json"
        path.write_text(content)
        with pytest.raises(ValueError, match=said):
            read_submission(path)
    assert main(["validate", "--machines", str(tmp_path / "nowhere")]) != 0
