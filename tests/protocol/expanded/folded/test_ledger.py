"""The predicted ledger against what client and server make and count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from costmodel.expanded.folded.design import FoldedDesign
from costmodel.grid import Grid
from costmodel.ledger import Transfer, Work
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems import completed
from costmodel.wire import FRAME_HEADER_BYTES
from protocol.expanded.folded.client import FoldedClient
from protocol.meter import Meter
from tests.protocol.expanded.folded.conftest import Side

DESIGN = FoldedDesign()


def filled(configuration: Configuration, **columns: Any) -> Grid:
    return DESIGN.with_parameters(Grid.of(configuration, **columns), -40.0)


RINGS = {0: Ring(2048, (53,), 512), 30: Ring(4096, (53, 53), 512)}
OVERHEAD = "session overhead"


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize(("rows", "channels", "flooding_bits"), [(300, 40, 0), (900, 4096, 0), (200, 5120, 30)])
def test_bytes_and_counts_are_the_predicted_ones(rows: int, channels: int, flooding_bits: int, prepared: bool) -> None:
    tokens = [0, rows - 1, 7]
    configuration = Configuration(
        "folded",
        Table(rows, channels, len(tokens)),
        RINGS[flooding_bits],
        Packing((4, 3)),
        engine="residue",
        flooding_bits=flooding_bits,
        prepared=prepared,
    )
    grid = filled(configuration)
    side = Side(completed(configuration).expanded)
    server, client = Meter("server"), Meter("client")
    side.client = FoldedClient(side.parameters, meter=client)
    keys = side.client.keys()
    session = side.server.open(keys, server)
    errors = []
    sent = {"query": 0, "answer": 0, "keys": len(keys) + FRAME_HEADER_BYTES}
    if prepared:
        server.phase = "offline"
        for counter in range(len(tokens)):
            session.prepare(counter)
    server.phase = client.phase = "online"
    queries = [side.client.query(token) for token in tokens]
    sent["query"] = sum(len(query) + FRAME_HEADER_BYTES for query in queries)
    left = iter(tokens)
    for answer in session.answer_many(queries):
        clients = side.client.decrypt_rows(answer.body)
        assert all(side.opens_to(next(left), *both) for both in zip(clients, answer.shares, strict=False))
        errors.append(side.client.relative_errors(answer.body))
        sent["answer"] += len(answer.body) + FRAME_HEADER_BYTES
    assert next(left, None) is None
    ledger = DESIGN.ledger(grid)
    for term in ledger:
        if isinstance(term, Transfer) and term.item in sent:
            assert int(term.size_bytes) == sent[term.item]
    predicted = {
        (term.party, term.phase, term.operation): int(term.count)
        for term in ledger
        if isinstance(term, Work) and term.operation not in (OVERHEAD, "encode table") and int(term.count)
    }
    measured = {
        (meter.party, phase, operation): count
        for meter in (client, server)
        for (phase, operation), (count, _) in meter.operations.items()
    }
    assert measured == predicted
    encoded = side.server.meter.operations["setup", "encode table"][0]
    assert encoded == next(term.count for term in ledger if isinstance(term, Work) and term.operation == "encode table")
    assert 0.5 * np.log2(np.mean(np.square(errors)) / float(DESIGN.noise(grid))) == pytest.approx(0, abs=0.5)
