"""The paper's own numbers beside the model's: bytes and seconds that Table 6 states for a design."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from fastquery.page.offers import PAPER
from validate.published import UNITS, load_claims

ROWS = {"cheetah": "table-6/baseline", PAPER: "table-6/packlwes"}
"""Rows of the claims, by the offer that they are about."""
TABLE = (32000, 4096)
"""Rows and channels of the table that they are about."""


class Stated(NamedTuple):
    """What the paper states of one token."""

    design: str
    bytes: float
    seconds: float
    source: str


@cache
def stated() -> tuple[Stated, ...]:
    """Every design of which the paper states both bytes and seconds."""
    claims = {one.id: one for one in load_claims()}
    found = []
    for design, row in ROWS.items():
        size, seconds = claims[f"{row}/communication"], claims[f"{row}/latency"]
        assert isinstance(size.published, float)
        assert isinstance(seconds.published, float)
        found.append(Stated(design, size.published * UNITS[size.unit], seconds.published, size.source))
    return tuple(found)
