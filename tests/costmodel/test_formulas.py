"""Printed formulas: each evaluates to the bytes or the count that its entry has, in every accepted configuration."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.estimate import Estimate, estimate
from costmodel.formulas import Symbol, evaluate, log2, names, used
from costmodel.parameters import OPTIONS, SIZES, Table
from costmodel.systems import SYSTEMS, configuration, published, system
from costmodel.systems.fastquery import ABLATIONS

ASKED = [(one.name, None) for one in SYSTEMS] + [("fastquery", row) for row in ABLATIONS]
TABLES = {"small": (150, 12), "llama-7b": (32000, 4096), "wide": (70000, 9000)}
OPTION_SETS: tuple[tuple[str, ...], ...] = (
    (),
    *((option,) for option in OPTIONS),
    ("shares", "split"),
    ("delphi", "sirnn-iknp"),
    ("split", "sirnn-ferret"),
)
WISHES: tuple[dict[str, Any], ...] = (
    {},
    {"prepared": True},
    {"flooding_bits": 0},
    {"flooding_bits": 0, "prepared": True},
    {"flooding_bits": 0, "ring": {"degree": 4096, "limb_bits": (53, 53)}},
    {"widths": (4,)},
    {"levels": (10, 10, 10)},
    {"ring": {"degree": 8192, "limb_bits": (60, 60)}},
)


def asked_estimates(protocol: str, ablation: str | None, table: Table, wishes: dict[str, Any]) -> Iterator[Estimate]:
    """Every engine, option, size and width of aligned shares that is not refused."""
    found = system(protocol)
    engines = [engine for engine in dict.fromkeys((found.library, *found.engines)) if engine]
    for engine, options in itertools.product(engines, OPTION_SETS):
        try:
            chosen = configuration(protocol, table, engine=engine, options=options, **{"ablation": ablation, **wishes})
        except ValueError:
            continue
        for size, align_bits in itertools.product(SIZES, (0, 8, 37)):
            try:
                yield estimate(chosen.updated(size=size, align_bits=align_bits))
            except ValueError:
                continue


def check(result: Estimate) -> bool:
    values = {name: one.value for name, one in result.symbols.items()}
    for entry in result.entries:
        expected = entry.bytes if entry.kind == "transfer" else entry.count
        assert same(evaluate(entry.formula, values), expected), (entry, values)
    for name, one in result.symbols.items():
        if one.formula:
            assert same(evaluate(one.formula, values), one.value), (name, one, values)
    return True


def same(found: float | Fraction, expected: float | None) -> bool:
    assert expected is not None
    if float(expected).is_integer() and not isinstance(found, float):
        return found == expected
    return found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def check_all(protocol: str, ablation: str | None, table: Table, wishes: dict[str, Any]) -> int:
    return sum(check(result) for result in asked_estimates(protocol, ablation, table, wishes))


@pytest.mark.parametrize("tokens", [1, 7])
@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_formulas_give_bytes_and_counts(asked: tuple[str, str | None], tokens: int) -> None:
    assert check_all(*asked, Table(*TABLES["small"], tokens), {}) > 0


@pytest.mark.slow
@pytest.mark.parametrize("wishes", WISHES, ids=str)
@pytest.mark.parametrize("tokens", [1, 7, 300])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_formulas_give_bytes_and_counts_of_everything(
    asked: tuple[str, str | None], table: str, tokens: int, wishes: dict[str, Any]
) -> None:
    check_all(*asked, Table(*TABLES[table], tokens), wishes)


def test_published_packing_explains_the_one_answer_that_it_counts() -> None:
    result = estimate(published("fastquery", Table(32000, 4096), "packlwes"))
    answer = next(entry for entry in result.entries if entry.item == "answer")
    assert (answer.count, answer.formula) == (1, "tokens*ceil(n'/N)*answer")
    assert result.symbols["answer"].value == answer.bytes
    assert "SEAL" in result.symbols["answer"].meaning


def test_every_symbol_shown_is_used_and_travels_with_the_ledger() -> None:
    result = estimate(configuration("fastquery", Table(1000, 96), align_bits=37))
    formulas = [entry.formula for entry in result.entries] + [one.formula for one in result.symbols.values()]
    assert set(result.symbols) == {name for formula in formulas if formula for name in names(formula)}
    document = result.document()
    values = {name: one["value"] for name, one in document["symbols"].items()}
    for row in document["ledger"]:
        assert same(evaluate(row["formula"], values), row["bytes"] if row["kind"] == "transfer" else row["count"])


@given(st.integers(0, 2**80), st.integers(1, 2**40), st.integers(0, 2**70))
def test_integers_stay_exact(one: int, other: int, third: int) -> None:
    values = {"a": one, "b'": other, "c": third}
    assert evaluate("ceil(a/b')", values) == -(-one // other)
    assert evaluate("floor(c*a/b') - min(a, c) + max(1, b')", values) == (
        third * one // other - min(one, third) + max(1, other)
    )


@given(st.integers(1, 2**70))
def test_log2_is_exact_for_powers_of_two(number: int) -> None:
    found = log2(number)
    assert isinstance(found, int) == (number & (number - 1) == 0)
    assert 2**found == pytest.approx(number)
    assert log2(Fraction(number)) == found


@pytest.mark.parametrize(
    "formula",
    ["a**2", "a.real", "open(a)", "__import__('os')", "[a]", "a if a else a", "'text'", "a < 1", "ceil(a, key=a)",
     "1.5*a", "-a", "(lambda: a)()", "ceil", "b", "a*"],
)  # fmt: skip
def test_nothing_but_formulas_is_evaluated(formula: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        evaluate(formula, {"a": 2})


def test_a_name_that_is_no_symbol_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="n'"):
        used(["ceil(n'/d0)"], {"d0": Symbol(1, "columns")})
