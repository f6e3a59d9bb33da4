"""The failure that is stated of folded and compressed queries, beside that of the worst table by its bound."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from costmodel.expanded.compressed import noise as compressed
from costmodel.expanded.folded import noise as folded
from costmodel.parameters import Table
from costmodel.systems import executed

MODULES = {"folded": folded, "compressed": compressed}


def stated_and_worst(
    protocol: str, table: Table, flooding_bits: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, float]:
    """log2 of the failure as it is stated, and with the variance of the worst table for that of the mean."""
    module: ModuleType = MODULES[protocol]
    parameters = executed(protocol, table, flooding_bits=flooding_bits).expanded
    stated = float(module.failure(parameters))
    name = f"{protocol}_noise"
    mean: Callable[..., Any] = getattr(module, name)

    def worst(*arguments: Any) -> Any:
        noise = mean(*arguments)
        return noise._replace(product=np.maximum(noise.product, noise.worst_product))

    monkeypatch.setattr(module, name, worst)
    return stated, float(module.failure(parameters))


@pytest.mark.parametrize("protocol", MODULES)
@pytest.mark.parametrize("table", [Table(300, 24), Table(4096, 96), Table(32000, 4096)])
def test_flooded_answers_fail_no_more_for_the_worst_table(
    protocol: str, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated, worst = stated_and_worst(protocol, table, 40, monkeypatch)
    assert stated <= worst < stated + 0.1


def test_without_flooding_the_bound_of_the_worst_table_is_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures that the page on security names."""
    assert np.round(stated_and_worst("folded", Table(4096, 96), 0, monkeypatch)).tolist() == [-40, -20]
    monkeypatch.undo()
    assert np.round(stated_and_worst("compressed", Table(32000, 4096), 0, monkeypatch)).tolist() == [-40, -2]
