"""A client that never reaches its server ends a run, and the server with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("openfhe")

from costmodel.link import Link
from costmodel.parameters import Table
from costmodel.systems import executed
from protocol import execute
from protocol.errors import ProtocolError
from validate import measurement


@contextmanager
def astray(_: Link | None, __: int) -> Iterator[int]:
    """Where a client looks for a server that is elsewhere."""
    yield 1


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "REASON_S", 0.5)


def test_a_client_that_finds_no_server_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "shaped", astray)
    with pytest.raises(ProtocolError, match=r"^client: no server at"):
        execute.execute(executed("fastquery", Table(300, 24)), "300x24", [1])


def test_a_client_that_finds_no_server_ends_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "shaped", astray)
    with measurement.Parties() as parties, pytest.raises(ProtocolError, match=r"^client: no server at"):
        parties.measure(executed("fastquery", Table(300, 24)), "300x24", [1], sessions=1)
