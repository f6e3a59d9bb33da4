"""The compressed query by two processes: shares, ledgers, noise, alignment, several tokens."""

from __future__ import annotations

from typing import Any

import pytest

import fastquery as fq


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"table": "600x1536"}, marks=pytest.mark.slow),
        pytest.param({"table": "32000x4096", "tokens": [0, 31999, 77]}, marks=pytest.mark.slow),
        {"table": "5000x384", "flooding_bits": 0, "align_bits": 37, "tokens": [5, 4999, 5]},
    ],
)
def test_runs_are_right_and_as_predicted(options: dict[str, Any]) -> None:
    result = fq.run(protocol="compressed", **options)
    assert result.correct
    assert result.agrees
    figures = result.prediction.figures
    assert result.noise_bits == pytest.approx(figures["noise_bits"], abs=0.5)
    assert figures["log2_failure"] <= -40
    assert figures["flooding_bits"] == options.get("flooding_bits", 40)
