"""A party that is made has every kernel of its lookups: none is compiled or loaded while the other one waits."""

from __future__ import annotations

import functools
import gc

import pytest
from numba.core.dispatcher import Dispatcher

from costmodel.parameters import Configuration

pytest.importorskip("openfhe")

from tests.protocol.parties import ALIGNED, FLOODED, PREPARED, Parties, own


def kernels() -> list[Dispatcher]:
    return [found for found in gc.get_objects() if isinstance(found, Dispatcher)]


def loaded() -> set[tuple[str, str]]:
    return {(one.py_func.__name__, str(signature)) for one in kernels() for signature in one.signatures}


def forget_kernels() -> None:
    for one in kernels():
        one._reset_overloads()
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper) and getattr(found, "__name__", "") == "warm_up":
            found.cache_clear()


@pytest.mark.parametrize(
    "configuration",
    [
        FLOODED,
        PREPARED,
        ALIGNED,
        own(150, 12, protocol="folded"),
        own(2000, 600, protocol="folded", prepared=True),
        own(600, 4096, protocol="folded", flooding_bits=8),
        own(150, 12, protocol="compressed"),
        own(2000, 700, protocol="compressed", flooding_bits=0),
        own(300, 12, 16, protocol="bucketed"),
    ],
    ids=lambda one: f"{one.protocol} {one.table.rows}x{one.table.channels}",
)
def test_no_lookup_meets_a_kernel_that_is_not_loaded(configuration: Configuration) -> None:
    forget_kernels()
    parties = Parties(configuration)
    before = loaded()
    tokens = [7, 149, 7]
    assert not parties.look_up(tokens).errors
    assert not loaded() - before
