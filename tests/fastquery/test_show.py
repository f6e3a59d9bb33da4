"""How results look in a terminal."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from costmodel.formulas import Symbol
from costmodel.parameters import Packing
from fastquery.cli.show import ledger_text, packing_text, pairs, symbols_text, table_text


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


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard output is a terminal of 60 columns without colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    return monkeypatch


def test_tables_keep_to_a_narrow_terminal(terminal: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"party": ["client", "server"], "count": ["1", ""], "formula": ["a [b]" * 12, "1 + 1"]})
    text = table_text(frame)
    assert max(map(len, text.splitlines())) <= 60
    first, _, *_ = lines = text.splitlines()
    assert first == "client"
    assert lines[-2:] == ["server", "    formula 1 + 1"]
    terminal.setenv("COLUMNS", "100")
    wide = table_text(frame).splitlines()
    assert wide[0].split() == ["party", "count", "formula"]
    assert wide[1].endswith("a [b]" * 12)


def test_values_stay_in_their_column(terminal: pytest.MonkeyPatch) -> None:
    first, second, last = pairs({"up": "word " * 16, "server": "1 ms"}).splitlines()
    assert first.startswith("up      word")
    assert second.startswith("        word")
    assert last == "server  1 ms"


def test_a_shell_completes_every_subcommand_and_its_options() -> None:
    command = [sys.executable, "-m", "fastquery", "--completion", "bash"]
    script = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--flooding-bits" in script
    asked = (
        f"{script}\nCOMP_WORDS=(fastquery est); COMP_CWORD=1; _shtab_fastquery fastquery est; echo ${{COMPREPLY[@]}}"
    )
    assert subprocess.run(["bash", "-c", asked], capture_output=True, text=True).stdout.split() == ["estimate"]
