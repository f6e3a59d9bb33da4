"""How results look in a terminal."""

from __future__ import annotations

import pandas as pd

from costmodel.formulas import Symbol
from costmodel.parameters import Packing
from fastquery.cli.show import ledger_text, packing_text, symbols_text


def test_a_ledger_shows_whole_counts_and_leaves_blank_what_there_is_none_of() -> None:
    ledger = pd.DataFrame(
        {
            "item": ["query", "merge"],
            "count_measured": [1.0, float("nan")],
            "count_predicted": [1, 1234567],
            "bytes_predicted": [2048.0, float("nan")],
            "seconds_predicted": [float("nan"), 0.0025],
        }
    )
    header, query, merge = ledger_text(ledger, list(ledger.columns)).splitlines()
    assert header.split() == list(ledger.columns)
    assert query.split() == ["query", "1", "1", "2,048"]
    assert merge.split() == ["merge", "1,234,567", "2.5", "ms"]


def test_a_packing_in_mixed_radix_is_shown_by_its_levels() -> None:
    assert packing_text(Packing()) == "4,3,3 bits, tile column, answers as ciphertexts"
    tens = Packing().with_levels((10, 10, 10))
    assert packing_text(tens).startswith("10,10,10 levels, ")
    assert packing_text(tens.with_levels((16, 8, 8))).startswith("4,3,3 bits, ")


def test_symbols_show_value_meaning_and_formula() -> None:
    lines = symbols_text({"n'": Symbol(1366, "packed coefficients", "ceil(n/3)"), "n": Symbol(4096, "channels")})
    packed, channels = lines.splitlines()
    assert packed.split(maxsplit=2) == ["n'", "1,366", "packed coefficients = ceil(n/3)"]
    assert channels.split(maxsplit=2) == ["n", "4,096", "channels"]
