"""The fast engine: ring, roots and security check from OpenFHE, everything else on residues with compiled kernels.

Fresh ciphertexts are seeded, and everything travels in as many bits as the noise model asks for; see
:mod:`costmodel.compact.ledger` for what is sent and why it decrypts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from costmodel.parameters import Configuration
from protocol.compact.client import ResidueClient
from protocol.compact.server import ResidueServer
from protocol.engine import Engine, Progress
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray


@lru_cache(maxsize=64)
def warm_up(configuration: Configuration, allow_insecure: bool) -> None:
    """Compile or load every kernel that a configuration uses, by a lookup in a small table.

    It has as many rows as a polynomial has coefficients. With five columns every tile rule gives more than one
    answer, so that where answers are packed there is packing.
    """
    meter, fields, shape = Meter("client"), len(configuration.packing.widths), (configuration.ring.degree, 5)
    table = replace(configuration.table, rows=shape[0], channels=shape[1] * fields, tokens=1)
    small = configuration.updated(table=table)
    server = ResidueServer(small, np.zeros(shape, dtype=np.uint16), meter, lambda *_: None, allow_insecure)
    client = ResidueClient(small, 1, meter, allow_insecure, SeedRecord())
    session = server.session(1, meter)
    keys = list(client.keys())
    if keys:
        session.accept_keys(keys)
    if small.prepared:
        client.accept_first_halves(session.prepare(list(client.announce())))
    client.decrypt(session.answer(list(client.encrypt([1])), np.empty((1, 5), dtype=np.int64)))


def _server(
    configuration: Configuration, coefficients: UnsignedArray, meter: Meter, progress: Progress, allow_insecure: bool
) -> ResidueServer:
    warm_up(configuration, allow_insecure)
    return ResidueServer(configuration, coefficients, meter, progress, allow_insecure)


def _client(
    configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
) -> ResidueClient:
    warm_up(configuration, allow_insecure)
    return ResidueClient(configuration, tokens, meter, allow_insecure, seeds)


ENGINE = Engine(_server, _client)
