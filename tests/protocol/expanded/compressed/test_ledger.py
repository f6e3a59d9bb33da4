"""The predicted ledger against what client and server make and count."""

from __future__ import annotations

from typing import Any

import pytest

from costmodel.expanded.compressed.design import CompressedDesign
from costmodel.grid import Grid
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems import completed
from costmodel.wire import FRAME_HEADER_BYTES
from protocol.expanded.compressed.client import CompressedClient
from protocol.expanded.compressed.server import CompressedServer
from protocol.meter import Meter
from tests.protocol.expanded.compressed.conftest import Side
from tests.protocol.expanded.sides import assert_ledger, open_rows, whole_answer_errors
from tests.protocol.noise import assert_noise

DESIGN = CompressedDesign()


def filled(configuration: Configuration, **columns: Any) -> Grid:
    return DESIGN.with_parameters(Grid.of(configuration, **columns), -40.0)


RINGS = {0: Ring(4096, (53, 53), 8192), 40: Ring(8192, (53, 53, 53), 8192)}
OVERHEAD = "session overhead"


@pytest.mark.parametrize(("rows", "channels", "flooding_bits"), [(6000, 90, 0), (900, 300, 40)])
def test_bytes_and_counts_are_the_predicted_ones(rows: int, channels: int, flooding_bits: int) -> None:
    tokens = [0, rows - 1, 7]
    table = Table(rows, channels, len(tokens))
    configuration = Configuration(
        "compressed", table, RINGS[flooding_bits], Packing((4, 3, 3)), engine="residue", flooding_bits=flooding_bits
    )
    grid = filled(configuration)
    side = Side(completed(configuration).expanded)
    server, client = Meter("server"), Meter("client")
    side.server = CompressedServer(side.parameters, side.table, 3, server)
    side.client = CompressedClient(side.parameters, meter=client)
    keys = side.client.keys()
    side.session = side.server.open(keys, server)
    sent = {"keys": len(keys) + FRAME_HEADER_BYTES}
    server.phase = client.phase = "online"
    queries = [side.client.query(token) for token in tokens]
    sent["query"] = sum(len(query) + FRAME_HEADER_BYTES for query in queries)
    sent["answer"] = open_rows(side, tokens, queries)
    assert_ledger(DESIGN.ledger(grid), sent, (client, server), (OVERHEAD,))
    assert_noise(whole_answer_errors(side, 500), float(DESIGN.noise(grid)))
