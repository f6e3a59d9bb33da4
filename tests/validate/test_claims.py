"""Published numbers: all verdicts hold, and a verdict that does not is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from validate.derivations import configuration_of
from validate.published import (
    NOT_CHECKABLE,
    NOT_REPRODUCIBLE,
    REPRODUCED,
    Claim,
    check_claims,
    derive,
    load_claims,
    read_claims,
)


def claim(name: str) -> Claim:
    return next(one for one in load_claims() if one.id == name)


def test_every_verdict_holds() -> None:
    checked = check_claims()
    assert checked["holds"].all(), checked.loc[~checked["holds"], ["id", "computed", "verdict", "expected"]].to_string()


def test_about_a_hundred_claims_a_quarter_reproduced() -> None:
    verdicts = [one.verdict for one in load_claims()]
    assert len(verdicts) >= 90
    assert verdicts.count(REPRODUCED) >= len(verdicts) / 4


def test_every_number_of_the_perplexity_tables_is_there_and_none_is_reproduced() -> None:
    numbers = dict.fromkeys(("table-2", "table-3", "table-4", "table-5"), 0)
    for one in load_claims():
        if one.unit == "perplexity" and one.id.split("/")[0] in numbers:
            assert one.verdict != REPRODUCED
            assert one.trend or one.verdict == NOT_CHECKABLE
            numbers[one.id.split("/")[0]] += len(one.published) if isinstance(one.published, tuple) else 1
    assert numbers == {"table-2": 9, "table-3": 30, "table-4": 15, "table-5": 15}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("table-6/packing/communication", {"published": 5.0}),
        ("section-5.3/cheetah/communication/high", {"value": {"figure": "bytes", "of": {"protocol": "cheetah"}}}),
        ("observation-2/smallest-plaintext", {"published": 2.0}),
        ("section-5.2/fp16/high", {"off": -0.2}),
        ("section-4.3/four-channels", {"published": 0.9}),
    ],
)
def test_a_verdict_that_no_longer_holds_is_seen(name: str, change: dict[str, object]) -> None:
    assert check_claims([claim(name)])["holds"].all()
    assert not check_claims([replace(claim(name), **change)])["holds"].any()  # type: ignore[arg-type]


def test_a_smaller_plaintext_only_widens_the_margin() -> None:
    fastquery = {"protocol": "fastquery"}
    assert derive({"figure": "smallest_decryptable_plaintext_bits", "of": fastquery}) == 2
    assert derive({"figure": "largest_decryptable_plaintext_bits", "of": fastquery}) >= 13
    assert claim("observation-2/smallest-plaintext").verdict == NOT_REPRODUCIBLE


@pytest.mark.parametrize(
    ("relation", "computed", "reproduced"),
    [
        ("more than", 4.29, False),
        ("more than", 4.3, True),
        ("more than", 4.5, True),
        ("more than", 4.6, False),
        ("at least", 4.29, False),
        ("at least", 43.0, True),
        ("at most", 4.31, False),
        ("at most", 0.43, True),
        ("equal", 4.1, True),
        ("equal", 4.0, False),
    ],
)
def test_a_bound_is_not_met_from_its_wrong_side(relation: str, computed: float, reproduced: bool) -> None:
    bound = replace(claim("section-5.3/cheetah/latency/low"), published=4.3, relation=relation, tolerance=0.05)
    assert (bound.judge(computed)[1] == REPRODUCED) is reproduced


def test_what_is_more_than_a_number_is_judged_so() -> None:
    bounds = [one for one in load_claims() if "more than" in one.quote and one.value and one.unit == "x"]
    assert len(bounds) >= 15
    assert {one.relation for one in bounds} == {"more than"}
    assert not any(one.verdict == REPRODUCED for one in bounds if one.id.endswith("latency/cheetah"))


def test_a_quotient_of_two_figures() -> None:
    row, table = {"protocol": "cheetah"}, {"protocol": "cheetah", "table": "32000x4096"}
    assert derive({"figure": "channels", "of": row, "over": table, "over_figure": "weights"}) == 1 / 32000


def test_a_block_is_the_sum_of_its_products() -> None:
    layers = ["768x768", "768x3072"]
    each = [derive({"figure": "bytes", "of": {"protocol": "cheetah", "table": one}}) for one in layers]
    assert derive({"figure": "layers_bytes", "of": {"protocol": "cheetah", "layers": layers}}) == sum(each)


def test_a_ratio_is_taken_over_tables_and_links() -> None:
    value = {"figure": "bytes", "of": {"protocol": "cheetah"}, "over": {"protocol": "fastquery"}}
    tables = ["llama-7b", "llama-30b"]
    each = [derive({**value, "tables": [table]}) for table in tables]
    assert derive({**value, "tables": tables, "take": "min"}) == min(each)
    assert derive({**value, "tables": tables, "take": "max"}) == max(each)


def test_a_configuration_takes_what_a_claim_changes() -> None:
    changed = configuration_of(
        {"protocol": "fastquery", "N": 2048, "q": [50], "p": 10, "widths": [4, 4], "table": "gpt2"}
    )
    assert (changed.ring.degree, changed.ring.limb_bits, changed.ring.plaintext_modulus) == (2048, (50,), 1024)
    assert changed.table.rows == 50257


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[claim]]\nid = 'x'", "missing"),
        ("claim = 3 =", "claims x.toml"),
        (
            "source='s'\n[[claim]]\nid='x'\nquote='q'\npublished=1.0\nunit=''\nwhy='w'\nverdict='maybe'",
            "verdict is 'maybe'",
        ),
        (
            "source='s'\n[[claim]]\nid='x'\nquote='q'\npublished=1.0\nunit=''\nwhy='w'\nverdict='reproduced'",
            "needs a value",
        ),
    ],
)
def test_a_malformed_file_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_claims(text, "x.toml")


def test_an_unknown_figure_is_an_error() -> None:
    with pytest.raises(ValueError, match="figure is 'weight'"):
        derive({"figure": "weight", "of": {"protocol": "cheetah"}})
