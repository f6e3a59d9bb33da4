"""The designs that the page offers: every system, and FastQuery as its paper published it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from costmodel.system import Look, System, Wishes
from costmodel.systems import SYSTEMS
from costmodel.systems.fastquery import ABLATIONS

PAPER = "fastquery-paper"
"""FastQuery as published, beside this project's own design of it."""


class Offer(NamedTuple):
    """A design that can be chosen.

    Attributes
    ----------
    name, legend
        Of addresses, and of figures.
    words
        Words of a question that say which design is meant.
    look
        Colour, line and mark.
    own
        Whether an engine of this project executes it by default, so that ring, packing, flooding and preparation can be
        chosen; a published system stands as it is.
    """

    name: str
    legend: str
    words: Mapping[str, str]
    look: Look
    own: bool


def _offers() -> dict[str, Offer]:
    found = {}
    for one in SYSTEMS:
        own = one.default_engine(Wishes()) in one.engines
        if one.name == "fastquery":
            found[PAPER] = _published(one)
        legend = f"{one.legend}, this project" if one.name == "fastquery" else one.legend
        found[one.name] = Offer(one.name, legend, MappingProxyType({"protocol": one.name}), one.look, own)
    return found


def _published(one: System) -> Offer:
    look = replace(one.look, colour="#777777", line="--", mark="s", fill="#777777")
    words = MappingProxyType({"protocol": one.name, "ablation": ABLATIONS[-1]})
    return Offer(PAPER, f"{one.legend}, paper", words, look, own=False)


OFFERS: Mapping[str, Offer] = MappingProxyType(_offers())
"""By name, in the order of lists and legends."""
