"""Plaintexts of 4 bits to 37: narrow ones are right, and one channel modulo 2^L comes out aligned without transfers."""

from __future__ import annotations

import pytest

from costmodel.parameters import Table
from costmodel.systems import configuration
from fastquery.runs import run


@pytest.mark.parametrize(
    ("protocol", "plaintext_bits", "align_bits", "flooding_bits"),
    [("folded", 37, 37, 0), ("folded", 37, 37, 40), ("folded", 16, 16, 40), ("fastquery", 20, 16, 0)],
)
def test_wide_shares_are_aligned_without_transfers(
    protocol: str, plaintext_bits: int, align_bits: int, flooding_bits: int
) -> None:
    wide = configuration(
        protocol,
        Table(300, 40),
        engine="residue",
        widths=(4,),
        ring={"plaintext_modulus": 2**plaintext_bits},
        flooding_bits=flooding_bits,
        align_bits=align_bits,
    )
    result = run(wide, "300x40")
    assert result.correct
    assert result.agrees
    assert not result.ledger["item"].isin(["ot extension", "carry corrections", "align", "base transfers"]).any()


@pytest.mark.parametrize(("protocol", "widths", "plaintext_bits"), [("folded", (3,), 4), ("fastquery", (3,), 4)])
def test_narrow_plaintexts_are_right(protocol: str, widths: tuple[int, ...], plaintext_bits: int) -> None:
    narrow = configuration(protocol, Table(300, 400), engine="residue", widths=widths, flooding_bits=40, align_bits=16)
    assert narrow.ring.plaintext_modulus == 2**plaintext_bits
    result = run(narrow, "300x400")
    assert result.correct
    assert result.agrees
    assert abs(result.noise_bits - result.prediction.figures["noise_bits"]) < 0.5
