"""One channel a coefficient modulo 2^L: the shares come out aligned, and no oblivious transfer runs."""

from __future__ import annotations

import pytest

from costmodel.parameters import Table
from costmodel.presets import configuration
from fastquery.runs import run


@pytest.mark.parametrize(("protocol", "plaintext_bits", "align_bits"), [("folded", 37, 37), ("fastquery", 20, 16)])
def test_wide_shares_are_aligned_without_transfers(protocol: str, plaintext_bits: int, align_bits: int) -> None:
    wide = configuration(
        protocol,
        Table(300, 40),
        engine="residue",
        widths=(4,),
        ring={"plaintext_modulus": 2**plaintext_bits},
        flooding_bits=0,
        align_bits=align_bits,
    )
    result = run(wide, "300x40")
    assert result.correct
    assert result.agrees
    assert not result.ledger["item"].isin(["ot extension", "carry corrections", "align", "base transfers"]).any()
