"""Counts are counted: where a loop does less or more than it should, the ledgers disagree at its operation."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from costmodel.estimate import estimate
from costmodel.parameters import Configuration, Packing, Ring, Table
from protocol import delphi
from protocol.alignment.session import ObliviousAlignment
from protocol.compact.extraction import Extractor
from protocol.expanded import expansion, fold, gadget
from protocol.expanded import products as expanded_products
from protocol.expanded.folded import scalars
from protocol.openfhe import slots
from protocol.openfhe.packed import PackedSession
from protocol.openfhe.ring import OpenFHERing
from protocol.residue import ciphertext, inner_product, multiply_accumulate, packlwes, ring, rounding
from tests.protocol.test_baselines import DELPHI, PACKED, asked
from tests.protocol.test_lookup import FREE, Served, own
from validate.compare import compare

Function = Callable[..., Any]
Damage = Callable[[Function], Function]


def twice(original: Function) -> Function:
    """Do everything twice, and return what counts, or what was made last."""

    def damaged(*arguments: Any, **options: Any) -> Any:
        first = original(*arguments, **options)
        second = original(*arguments, **options)
        return first + second if isinstance(first, int) else second

    return damaged


def skipped(call: int) -> Damage:
    """Leave one call out, a level or a block of columns."""

    def damage(original: Function) -> Function:
        calls = iter(range(10**9))

        def damaged(*arguments: Any, **options: Any) -> Any:
            return 0 if next(calls) == call else original(*arguments, **options)

        return damaged

    return damage


def shorter(place: int) -> Damage:
    """Leave out the last of what an argument holds: a column, say."""

    def damage(original: Function) -> Function:
        def damaged(*arguments: Any, **options: Any) -> Any:
            left = [argument[:-1] if k == place else argument for k, argument in enumerate(arguments)]
            return original(*left, **options)

        return damaged

    return damage


def one_short(original: Function) -> Function:
    """Return all but the last."""
    return lambda *arguments, **options: list(original(*arguments, **options))[:-1]


@dataclass
class Case:
    """A loop of an engine, what is done to it, and the operation whose count gives it away."""

    configuration: Configuration
    owner: Any
    name: str
    damage: Damage
    operation: str

    def __str__(self) -> str:
        return f"{self.configuration.protocol}-{self.configuration.engine}-{self.operation}-{self.name}"


COMPACT = own(5000, 40, 2, flooding_bits=20)
PREPARED = own(5000, 40, prepared=True, flooding_bits=0)
FOLDED = own(700, 200, 2, protocol="folded", flooding_bits=0)
FOLDED_PREPARED = own(700, 200, protocol="folded", flooding_bits=0, prepared=True)
DROPPING = own(600, 4096, protocol="folded", flooding_bits=8)
COMPRESSED = own(9000, 96, 2, protocol="compressed", flooding_bits=0)
PRODUCTS = Configuration("fastquery", Table(5000, 9), Ring(2048, (50,), 2**13), Packing((4, 3, 3)))
SLOTS = asked("cryptflow2", 700, 131)
SPLIT = asked("cheetah", 700, 40, 2, flooding_bits=0, **DELPHI)
ALIGNED = own(300, 40, align_bits=37, flooding_bits=0)

CASES = [
    Case(COMPACT, multiply_accumulate, "_transform_signed", shorter(0), "encode table"),
    Case(COMPACT, multiply_accumulate, "_accumulate", shorter(0), "multiply-accumulate"),
    Case(COMPACT, packlwes, "_push", twice, "merge"),
    Case(COMPACT, packlwes, "_finish", skipped(1), "merge"),
    Case(COMPACT, ciphertext, "range", one_short, "expand seed"),
    Case(PREPARED, inner_product, "_inner_products", shorter(0), "inner product"),
    Case(asked("bumblebee", 700, 131, flooding_bits=0), Extractor, "leaves", twice, "extract"),
    Case(own(700, 131, protocol="cheetah", flooding_bits=0), ring, "_forward", twice, "transform query"),
    Case(FOLDED, expansion, "_expand_level", skipped(4), "expand"),
    Case(FOLDED, expansion, "_expand_level", twice, "expand"),
    Case(FOLDED, gadget, "_external_products", shorter(0), "square"),
    Case(FOLDED, expanded_products, "accumulate", skipped(0), "table pass"),
    Case(FOLDED, fold, "_fold_pairs", skipped(1), "fold"),
    Case(FOLDED_PREPARED, scalars, "_add_combinations", shorter(0), "scalar product"),
    Case(DROPPING, rounding, "_drop_last_of_values", skipped(1), "drop limbs"),
    Case(COMPRESSED, expansion, "_expand_level", skipped(4), "expand"),
    Case(COMPRESSED, gadget, "_external_products", twice, "square"),
    Case(COMPRESSED, fold, "_fold_pairs", twice, "fold"),
    Case(COMPRESSED, multiply_accumulate, "_accumulate", shorter(0), "multiply-accumulate"),
    Case(COMPRESSED, packlwes, "_push", twice, "merge"),
    Case(PRODUCTS, OpenFHERing, "inner_product", twice, "multiply-accumulate"),
    Case(asked("fastquery", 300, 131, **PACKED), PackedSession, "_merge", twice, "merge"),
    Case(SLOTS, slots, "rotation_path", one_short, "rotate"),
    Case(SLOTS, slots.SlotSession, "_rotate", twice, "rotate"),
    Case(SPLIT, delphi, "zip", one_short, "plain product"),
    Case(SPLIT, delphi, "zip", one_short, "mask query"),
    Case(ALIGNED, ObliviousAlignment, "_fields", twice, "extend transfers"),
    Case(ALIGNED, ObliviousAlignment, "_fields", twice, "correct carries"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_damaged_loop_makes_the_ledgers_disagree(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.operation != "encode table":
        service = Served(case.configuration)
    original = getattr(case.owner, case.name, None) or getattr(builtins, case.name)
    monkeypatch.setattr(case.owner, case.name, case.damage(original), raising=False)
    if case.operation == "encode table":
        service = Served(case.configuration)
    tokens = np.arange(case.configuration.table.tokens).tolist()
    *_, measured = service.look_up(tokens)
    compared = compare(estimate(case.configuration, machine=FREE).ledger, measured)
    wrong = compared[~compared["agrees"] & (compared["kind"] == "work")]
    assert case.operation in set(wrong["item"])
