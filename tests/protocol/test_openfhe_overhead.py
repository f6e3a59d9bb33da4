"""The overhead of parties on OpenFHE is priced by the messages and the operations that a lookup really has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from costmodel.estimate import terms
from costmodel.grid import Grid
from costmodel.ledger import OVERHEAD, Work
from costmodel.openfhe.work import overhead_bytes
from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from costmodel.wire import FRAME_HEADER_BYTES
from protocol.frames import Kind
from protocol.meter import Meter, Tally
from tests.protocol.parties import Parties

LOOKUPS = [
    executed("fastquery", Table(2100, 41, 2), engine="openfhe"),
    executed("fastquery", Table(300, 9), engine="openfhe"),
    executed("cryptflow2", Table(300, 20), engine="openfhe"),
]


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each party of a lookup starts the clock of an operation online."""
    found: Counter[tuple[str, str]] = Counter()
    counting = Meter.counting

    @contextmanager
    def counted(meter: Meter, operation: str) -> Iterator[Tally]:
        if meter.phase == "online":
            found[meter.party, operation] += 1
        with counting(meter, operation) as tally:
            yield tally

    monkeypatch.setattr(Meter, "counting", counted)
    return found


def sizes(configuration: Configuration) -> dict[str, Any]:
    online = [term for term in terms(Grid.of(configuration)) if isinstance(term, Work) and term.phase == "online"]
    return {term.party: term.size for term in online if term.operation == OVERHEAD}


@pytest.mark.parametrize("configuration", LOOKUPS, ids=lambda one: f"{one.protocol} of {one.table.rows} rows")
def test_overhead_is_of_the_messages_and_operations_of_a_lookup(
    configuration: Configuration, entered: Counter[tuple[str, str]]
) -> None:
    parties = Parties(configuration)
    seen = parties.look_up([7, 8][: configuration.table.tokens])
    up = [len(body) + FRAME_HEADER_BYTES for kind, body in seen.up if kind is Kind.QUERY]
    down = [len(body) + FRAME_HEADER_BYTES for kind, body in seen.down if kind is Kind.ANSWER]
    done = {party: sum(n for (at, _), n in entered.items() if at == party) for party in ("client", "server")}
    residues = configuration.ring.degree * len(configuration.ring.limb_bits)
    released = residues * entered["server", "merge"]
    moved = sum(up) + sum(down)
    assert sizes(configuration) == {
        "client": overhead_bytes(moved, len(up), len(down), done["client"]) // 8,
        "server": overhead_bytes(moved, len(down), len(up), done["server"], released, entered["server", "rotate"]) // 8,
    }
