"""Orderings on another model: which way they came out, and that windows which do not tell say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quantize.perplexity import Interval
from validate import trends
from validate.published import NOT_CHECKABLE, Claim, check_claims, load_claims, read_claims
from validate.trends import Trend

HEADER = "source='s'\n[[claim]]\nid='x'\nquote='q'\npublished=1.0\nunit='perplexity'\nwhy='Worse.'\n"


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four windows: b is always 0.2 worse than a; c is better on two and worse on two."""
    a = pd.Series([1.0, 3.0, 2.0, 5.0])
    frame = pd.DataFrame({"a": a, "b": a + 0.2, "c": a + np.array([0.3, -0.3, 0.3, -0.3]), "d": a + 0.01})
    monkeypatch.setattr(trends, "measured_losses", lambda text: frame)


@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize(
    ("of", "over", "direction", "holds"),
    [
        ("b", "a", "above", True),
        ("b", "a", "below", False),
        ("a", "b", "below", True),
        ("c", "a", "above", None),
        ("c", "a", "below", None),
        ("d", "a", "near", True),
        ("b", "a", "near", False),
        ("c", "a", "near", None),
    ],
)
def test_an_ordering(of: str, over: str, direction: str, holds: bool | None) -> None:
    trend = Trend(of, over, direction)
    assert trend.holds(trend.ratio()) is holds


@pytest.mark.usefixtures("losses")
def test_a_claim_of_a_trend_says_both_figures() -> None:
    trend = "trend={of='b', over='a', direction='above'}\n"
    (claim,) = read_claims(HEADER + trend + "verdict='trend holds on SmolLM2-135M'", "x.toml")
    (row,) = check_claims([claim]).to_dict("records")
    assert row["holds"]
    assert row["computed"] == pytest.approx(1.2214, abs=1e-4)
    assert row["why"] == (
        "Worse. SmolLM2-135M on wikipedia: perplexity 19.11 (b) against 15.64 (a), quotient 1.221 (1.221 to 1.221)."
    )
    assert claim.trend
    for other, verdict in (("below", "trend does not hold on SmolLM2-135M"), ("above", NOT_CHECKABLE)):
        changed = replace(claim, trend=replace(claim.trend, of="b" if other == "below" else "c", direction=other))
        (row,) = check_claims([changed]).to_dict("records")
        assert not row["holds"]
        assert row["verdict"] == verdict
        assert check_claims([replace(changed, verdict=verdict)])["holds"].all()


def test_a_sentence_encoder_has_no_interval() -> None:
    trend = Trend("int3-tensor", "int3", "above", "sentences")
    ratio = trend.ratio()
    assert ratio.value > 10
    assert trend.holds(ratio)
    assert trend.model == "MiniLM"
    assert not trend.holds(Interval(0.9, float("nan"), float("nan")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("verdict='trend holds on SmolLM2-135M'", "it must be one of reproduced"),
        ("trend={of='a', over='b', direction='above'}\nverdict='reproduced'", "it must be one of trend holds on"),
        ("trend={of='a', over='b', direction='up'}\nverdict='reproduced'", "direction is 'up'"),
        ("trend={of='a'}\nverdict='reproduced'", "claims x.toml, x: .*missing"),
    ],
)
def test_a_malformed_trend_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_claims(HEADER + text, "x.toml")


def test_no_number_of_another_model_is_reproduced() -> None:
    judged: list[Claim] = [one for one in load_claims() if one.trend]
    assert len(judged) >= 40
    assert {one.trend.model for one in judged if one.trend} == {"SmolLM2-135M", "MiniLM"}
