"""The headline table: what its cells come from, and where it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.headline import (
    ALIGNMENT,
    LINKS,
    Row,
    latency_s,
    main,
    markdown,
    measured_row,
    published_rows,
    spu_row,
)
from benchmarks.report import replaced
from costmodel.estimate import estimate
from costmodel.link import PRESETS
from costmodel.parameters import Table
from costmodel.systems import configuration, published
from fastquery.runs import Run


def as_predicted(align_bits: int, prepared: bool = False) -> Run:
    """A run that measured exactly what was predicted."""
    one = configuration("folded", Table(600, 48), flooding_bits=0, align_bits=align_bits, prepared=prepared)
    prediction = estimate(one)
    nothing = pd.DataFrame({"agrees": [True]})
    return Run(
        one, "48x1", (0,), 0, PRESETS["loopback"], np.zeros((1, 48), np.float32), 0, 0, 48, 0.0, -5.0, 0,
        prediction.ledger, prediction, nothing,
    )  # fmt: skip


@pytest.mark.parametrize("align_bits", [0, 37])
@pytest.mark.parametrize("prepared", [False, True])
def test_latency_of_what_was_predicted_is_the_predicted_one(align_bits: int, prepared: bool) -> None:
    result = as_predicted(align_bits, prepared)
    for link in LINKS:
        assert latency_s(result, link) == pytest.approx(estimate(result.configuration, link).latency_s, rel=1e-12)


def test_alignment_has_its_own_column() -> None:
    plain, aligned = measured_row("folded", as_predicted(0)), measured_row("folded", as_predicted(37))
    assert (plain.up_bytes, plain.down_bytes) == (aligned.up_bytes, aligned.down_bytes)
    ledger = estimate(configuration("folded", Table(600, 48), flooding_bits=0, align_bits=37)).ledger
    assert plain.alignment_bytes is None
    assert aligned.alignment_bytes == ledger.loc[ledger["item"].isin(ALIGNMENT), "bytes"].sum() > 0
    assert plain.online_s is None


def test_online_seconds_are_less_than_all_of_them_if_prepared() -> None:
    row = measured_row("folded", as_predicted(0, prepared=True))
    assert row.design == "folded, prepared"
    assert row.online_s is not None
    assert row.server_s is not None
    assert 0 < row.online_s < row.server_s


def test_published_rows_are_the_claims() -> None:
    fastquery, cheetah = published_rows()
    assert fastquery.both_bytes == 0.212 * 2**20
    assert (fastquery.server_s, cheetah.server_s) == (3.353, 15.19)
    assert fastquery.source == "published"


def test_spu_is_left_to_the_model_where_it_is_not_installed() -> None:
    row = spu_row("FM64", "600x48", Path("nowhere"))
    assert row.source == "model"
    assert row.both_bytes == estimate(published("spu-fm64", Table(600, 48))).down_bytes + row.up_bytes


def test_the_table_stands_between_its_markers_and_nothing_else_changes() -> None:
    text = markdown([Row("a", "model", 1234.0)], 1, "3x4")
    document = replaced("before\n<!-- headline -->\nold\n<!-- /headline -->\nafter", "headline", text)
    assert document.startswith("before\n")
    assert document.endswith("\nafter")
    assert "old" not in document
    assert "| a | model | 1,234 |" in document
    lines = [line for line in document.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert replaced(document, "headline", text) == document
    with pytest.raises(ValueError, match="has no"):
        replaced("nothing", "headline", text)


@pytest.mark.slow
def test_every_design_runs_on_a_small_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--table", "600x48", "--spu", "nowhere"])
    assert capsys.readouterr().out.count("| measured |") == 15
