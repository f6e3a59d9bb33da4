"""A bounded run of every fuzz target over the kept corpus; FASTQUERY_FUZZ_SECONDS and `make fuzz` run for longer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import pytest

pytest.importorskip("openfhe")
from protocol.errors import ProtocolError
from tests.protocol import fuzzing

SECONDS = float(os.environ.get("FASTQUERY_FUZZ_SECONDS", "5"))
"""Of each target."""


@pytest.fixture(scope="module")
def targets() -> dict[str, Callable[[bytes], None]]:
    return fuzzing.targets()


@pytest.fixture(scope="module")
def valid() -> dict[str, bytes]:
    return {name: data for protocol in fuzzing.PROTOCOLS for name, data in fuzzing.messages(protocol).items()}


NAMES = [
    "parameters", "frame", "table",
    *(f"{what}-{protocol}" for protocol in fuzzing.PROTOCOLS for what in ("keys", "query", "shares")),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_damaged_inputs_are_read_or_refused(
    name: str, targets: dict[str, Callable[[bytes], None]], valid: dict[str, bytes]
) -> None:
    inputs = [*fuzzing.corpus(name), *([valid[name]] if name in valid else [])]
    assert inputs
    for data in inputs:
        with contextlib.suppress(ProtocolError, ValueError):
            targets[name](data)
    assert fuzzing.fuzz(name, targets[name], inputs, SECONDS, seed=1) > 0


def test_valid_inputs_are_taken(targets: dict[str, Callable[[bytes], None]], valid: dict[str, bytes]) -> None:
    for name, data in (*((name.partition(".")[0], data) for name, data in fuzzing.made().items()), *valid.items()):
        targets[name](data)
