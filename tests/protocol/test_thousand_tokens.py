"""A thousand random tokens of a 32000-row table, without one wrong channel, on both engines."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.engines import engine_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.quantizers import quantize_table
from quantize.tables import open_table

pytest.importorskip("openfhe")

ROWS, TOKENS, BATCH = 32000, 1000, 125


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("engine", "channels", "options"),
    [
        ("residue", 384, {"flooding_bits": 0}),
        ("residue", 384, {"flooding_bits": 0, "prepared": True}),
        ("residue", 384, {}),
        ("openfhe", 12, {}),
    ],
)
def test_no_channel_of_a_thousand_rows_is_wrong(engine: str, channels: int, options: dict[str, int]) -> None:
    configuration = executed("fastquery", Table(ROWS, channels, BATCH), engine=engine, **options)
    coefficients = quantize_table(open_table(f"{ROWS}x{channels}")).coefficients
    server = engine_of(configuration).server(configuration, coefficients, Meter("server"), lambda *_: None, False)
    client = engine_of(configuration).client(configuration, BATCH, Meter("client"), False, SeedRecord())
    keys = list(client.keys())
    tokens = np.random.default_rng(7).integers(0, ROWS, TOKENS)
    for batch in tokens.reshape(-1, BATCH):
        session = server.session(BATCH, Meter("server"))
        session.accept_keys(keys)
        if configuration.prepared:
            client.accept_first_halves(session.prepare(list(client.announce())))
        shares = np.empty((BATCH, coefficients.shape[1]), dtype=np.int64)
        answer = list(session.answer(list(client.encrypt(batch.tolist())), shares))
        opened = (client.decrypt(answer) + shares) % configuration.ring.plaintext_modulus
        assert np.array_equal(opened, coefficients[batch])
