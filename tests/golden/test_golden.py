"""Every system and option has the ledger that it had before the house was rebuilt: bytes and counts exactly."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import fastquery as fq

LINES = Path(__file__).with_name("ledgers.jsonl").read_text(encoding="utf-8").splitlines()
ENTRIES = [json.loads(line) for line in LINES]


def name(entry: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in entry["case"].items())


def keywords(case: dict[str, Any]) -> dict[str, Any]:
    found = {key: tuple(value) if isinstance(value, list) else value for key, value in case.items()}
    if "limb_bits" in found.get("ring", {}):
        found["ring"] = {**found["ring"], "limb_bits": tuple(found["ring"]["limb_bits"])}
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=name)
def test_ledger_is_what_it_was(entry: dict[str, Any]) -> None:
    found = fq.estimate(**keywords(entry["case"]))
    ledger = [
        [r["phase"], r["party"], r["kind"], r["item"], int(r["count"]), r["bytes"] if r["kind"] == "transfer" else 0]
        for r in found.ledger.to_dict("records")
    ]
    assert ledger == entry["ledger"]
    ring = found.configuration.ring
    assert [ring.degree, *ring.limb_bits] == entry["ring"]
    for figure, value in entry["figures"].items():
        assert math.isclose(getattr(found, figure), value, rel_tol=1e-9, abs_tol=1e-9), figure
