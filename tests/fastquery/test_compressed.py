"""The compressed query in the optimiser and in what a configuration refuses."""

from __future__ import annotations

import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from fastquery.cli import main
from fastquery.optimizer import optimize

SMALL = Table(3000, 96)


def test_the_optimiser_finds_it() -> None:
    result = optimize(SMALL, protocol="compressed", link="9Mbit/s,40ms", packing=[(4, 3, 3)])
    assert result.configuration.protocol == "compressed"
    assert result.configuration.flooding_bits == 40
    assert result.estimate.security_bits >= 128
    assert result.estimate.log2_failure <= -40
    assert result.estimate.up_bytes < 1500


def test_it_is_left_out_where_nothing_can_be_prepared() -> None:
    both = optimize(SMALL, protocol=["compressed", "fastquery"], packing=[(4, 3, 3)], prepared=True)
    assert both.configuration.protocol == "fastquery"
    assert any(line.startswith("compressed: ") and "prepared" in line for line in both.skipped)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prepared": True}, "prepared is True"),
        ({"options": ("delphi",)}, "options has 'delphi'"),
        ({"engine": "openfhe"}, "engine is 'openfhe'"),
        ({"levels": (10, 10, 10)}, "levels are"),
    ],
)
def test_what_it_does_not_do_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        executed("compressed", SMALL, **options)  # type: ignore[arg-type]


def test_the_command_estimates_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "--table", "3000x96", "--protocol", "compressed", "--flooding-bits", "0"]) == 0
    shown = capsys.readouterr().out
    assert "compressed" in shown
    assert "N=4096" in shown
