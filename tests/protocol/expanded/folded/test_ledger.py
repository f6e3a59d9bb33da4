"""The predicted ledger against what client and server make and count."""

from __future__ import annotations

from typing import Any

import pytest

from costmodel.expanded.folded.design import FoldedDesign
from costmodel.grid import Grid
from costmodel.ledger import Work
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems import completed
from costmodel.wire import FRAME_HEADER_BYTES
from protocol.expanded.folded.client import FoldedClient
from protocol.meter import Meter
from tests.protocol.expanded.folded.conftest import Side
from tests.protocol.expanded.sides import assert_ledger, open_rows, rows_to_measure, whole_answer_errors
from tests.protocol.noise import assert_noise

DESIGN = FoldedDesign()


def filled(configuration: Configuration, **columns: Any) -> Grid:
    return DESIGN.with_parameters(Grid.of(configuration, **columns), -40.0)


RINGS = {0: Ring(2048, (53,), 512), 8: Ring(4096, (53, 53), 512), 30: Ring(4096, (53, 53), 512)}
PASS_LIMBS = {0: 1, 8: 1, 30: 2}
OVERHEAD = "session overhead"


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize(
    ("rows", "channels", "flooding_bits"), [(300, 40, 0), (900, 4096, 0), (200, 5120, 30), (1500, 4096, 8)]
)
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
    assert side.parameters.pass_limbs == PASS_LIMBS[flooding_bits]
    server, client = Meter("server"), Meter("client")
    side.client = FoldedClient(side.parameters, meter=client)
    keys = side.client.keys()
    side.session = side.server.open(keys, server)
    sent = {"keys": len(keys) + FRAME_HEADER_BYTES}
    if prepared:
        server.phase = "offline"
        for counter in range(len(tokens)):
            side.session.prepare(counter)
    server.phase = client.phase = "online"
    queries = [side.client.query(token) for token in tokens]
    sent["query"] = sum(len(query) + FRAME_HEADER_BYTES for query in queries)
    sent["answer"] = open_rows(side, tokens, queries)
    ledger = DESIGN.ledger(grid)
    assert_ledger(ledger, sent, (client, server), (OVERHEAD, "encode table"))
    encoded = side.server.meter.operations[0, "setup", "encode table"][0]
    assert encoded == next(term.count for term in ledger if isinstance(term, Work) and term.operation == "encode table")
    if prepared:
        side.session.prepare_many(range(len(tokens), len(tokens) + rows_to_measure(side.parameters, 500)))
    assert_noise(whole_answer_errors(side, 500), float(DESIGN.noise(grid)))
