"""Whatever is priced under an executing engine runs, and whatever an engine cannot run is not priced."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from costmodel.estimate import estimate
from costmodel.parameters import EXECUTING_ENGINES, OPTIONS, Configuration, Table
from costmodel.systems import SYSTEMS, configuration, require_executed, system

pytest.importorskip("openfhe")

from tests.protocol.parties import Parties

SHAPE = Table(150, 12, 2)
WISHES: tuple[dict[str, Any], ...] = (
    {},
    {"prepared": True},
    {"flooding_bits": 0},
    {"flooding_bits": 24},
    {"align_bits": 16},
    {"levels": (10, 10, 10)},
    {"widths": (4,)},
    {"log2_failure": -30.0},
    {"log2_failure": -50.0},
    {"ring": {"degree": 4096}},
    {"ring": {"degree": 4096, "limb_bits": (53, 53)}},
    {"ring": {"degree": 4096, "limb_bits": (60, 46)}},
    {"ring": {"degree": 2048, "limb_bits": (60,)}},
    {"ring": {"sigma": 4.0}},
    {"ring": {"secret": "gaussian"}},
    {"ring": {"plaintext_modulus": 3**9}, "align_bits": 8},
    *({"options": (option,)} for option in OPTIONS),
    {"options": ("delphi",), "prepared": True},
)
CASES = [(one.name, engine, wishes) for one, engine, wishes in itertools.product(SYSTEMS, EXECUTING_ENGINES, WISHES)]


def spelt(case: tuple[str, str, dict[str, Any]]) -> str:
    return " ".join([case[0], case[1], *(f"{name}={value}" for name, value in case[2].items())])


def chosen_or_refusal(protocol: str, engine: str, wishes: dict[str, Any]) -> tuple[Configuration | None, str]:
    try:
        return configuration(protocol, SHAPE, engine=engine, **wishes), ""
    except ValueError as refused:
        return None, str(refused)


@pytest.mark.parametrize("case", CASES, ids=spelt)
def test_accepted_configurations_run_and_the_others_are_refused_with_a_reason(
    case: tuple[str, str, dict[str, Any]],
) -> None:
    protocol, engine, wishes = case
    chosen, refusal = chosen_or_refusal(protocol, engine, wishes)
    if chosen is None:
        assert refusal
        assert "\n" not in refusal
        return
    found = estimate(chosen)
    require_executed(chosen)
    parties = Parties(chosen)
    seen = parties.look_up([7, 149])
    assert not seen.errors, seen.errors
    assert parties.opens(seen, [7, 149])
    assert found.log2_failure <= chosen.log2_failure + 1e-6 or "limb_bits" in wishes.get("ring", {})
    predicted: Counter[str] = Counter()
    for entry in found.entries:
        if entry.kind == "transfer" and entry.party == "client":
            predicted[entry.item] += entry.messages or 0
    assert Counter(kind.item for kind, _ in seen.up) == +predicted


@pytest.mark.parametrize("protocol", [one.name for one in SYSTEMS if one.library])
def test_a_published_system_is_priced_and_not_executed(protocol: str) -> None:
    priced = configuration(protocol, SHAPE, **({"ablation": "packlwes"} if protocol == "fastquery" else {}))
    assert np.isfinite(estimate(priced).up_bytes)
    with pytest.raises(ValueError, match="priced and not executed"):
        require_executed(priced)
    for engine in set(EXECUTING_ENGINES) - set(system(protocol).engines):
        with pytest.raises(ValueError, match=f"engine is '{engine}'"):
            configuration(protocol, SHAPE, engine=engine)
