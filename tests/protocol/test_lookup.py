"""A whole lookup between two threads over a socket: shares, bytes, and what a hostile peer gets."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from costmodel.estimate import estimate
from costmodel.ledger import frame
from costmodel.machine import Machine, UnitCost
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems import executed
from protocol.channel import Channel
from protocol.errors import ProtocolError
from protocol.frames import Kind, encode_frame
from protocol.lookup import ClientSession, LookupServer
from protocol.meter import Meter
from protocol.openfhe.parties import OpenFHEClient
from protocol.openfhe.products import ProductPlan
from protocol.openfhe.ring import OpenFHERing
from protocol.openfhe.serialised import find_blocks
from protocol.seeds import SeedRecord
from quantize.packing import unpack
from quantize.quantizers import quantize_table
from quantize.tables import open_table
from validate.compare import compare

pytest.importorskip("openfhe")

RING = Ring(2048, (50,), 2**13)


class FreeMachine(Machine):
    def unit(self, engine: str, operation: str) -> UnitCost:
        return UnitCost(0.0, 0.0)


FREE = FreeMachine("free", {}, {})


def own(rows: int, channels: int, tokens: int = 1, protocol: str = "fastquery", **options: Any) -> Configuration:
    return executed(protocol, Table(rows, channels, tokens), **options)


def configuration(rows: int, channels: int, tile: str = "column", tokens: int = 1, ring: Ring = RING) -> Configuration:
    return Configuration("fastquery", Table(rows, channels, tokens), ring, Packing((4, 3, 3), tile))


class Served:
    """A server of one configuration, for one session after another."""

    def __init__(self, served: Configuration) -> None:
        self.configuration = served
        self.table = quantize_table(open_table(f"{served.table.rows}x{served.table.channels}"), served.packing.widths)
        self.setup = Meter("server")
        self.server = LookupServer(served, self.table, self.setup, lambda *_: None, allow_insecure=False)

    def start(self) -> tuple[socket.socket, threading.Thread, Meter, list[object]]:
        here, there = socket.socketpair()
        meter = Meter("server")
        outcome: list[object] = []

        def serve() -> None:
            channel = Channel(here, meter, timeout_s=60.0)
            try:
                outcome.append(self.server.session(channel, meter))
            except ProtocolError as error:
                channel.fail(str(error))
                outcome.append(error)
            finally:
                channel.close()

        thread = threading.Thread(target=serve)
        thread.start()
        return there, thread, meter, outcome

    def open(self, channel: Channel, meter: Meter, tokens: int) -> ClientSession:
        return ClientSession.open(channel, meter, tokens, False, SeedRecord())

    def look_up(self, tokens: list[int]) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
        there, thread, server_meter, outcome = self.start()
        meter = Meter("client")
        channel = Channel(there, meter, timeout_s=60.0)
        try:
            session = self.open(channel, meter, len(tokens))
            if self.configuration.has_offline_phase:
                session.prepare(len(tokens))
                session.wait_prepared()
            shares = session.lookup(tokens)
        finally:
            channel.close()
            thread.join()
        (server_shares,) = outcome
        assert isinstance(server_shares, np.ndarray)
        return shares, server_shares, frame([*meter.rows(), *server_meter.rows(), *self.setup.rows()])


@pytest.fixture(scope="module")
def served() -> Served:
    return Served(configuration(5000, 40))


@pytest.mark.parametrize(
    "asked",
    [
        configuration(5000, 40),
        configuration(1, 3),
        configuration(2049, 4),
        configuration(700, 131, "cheetah"),
        configuration(3, 500, "cheetah"),
        configuration(300, 9, ring=Ring(4096, (53, 53), 2**20)),
        configuration(300, 9, ring=Ring(2048, (50,), 9000)),
        configuration(300, 9, "cheetah", 2),
        own(5000, 40, flooding_bits=0),
        own(1, 3),
        own(1, 1, widths=(4,)),
        own(2049, 4, tokens=3),
        own(2049, 4, tokens=2, prepared=True, flooding_bits=0),
        own(300, 700, prepared=True),
        own(9, 6200, flooding_bits=0),
        own(700, 131, 2, "cheetah"),
        own(300, 9, ablation="accumulation", flooding_bits=0),
        own(300, 9, widths=(16,), ring={"plaintext_modulus": 2**30}),
        own(300, 9, ring={"plaintext_modulus": 9000}, flooding_bits=20),
        own(300, 9, tokens=70, flooding_bits=0),
        own(300, 40, tokens=2, align_bits=37, flooding_bits=0),
        own(300, 41, align_bits=64, prepared=True),
        own(300, 40, tokens=2, align_bits=37, block_bits=8),
        own(300, 1, widths=(4,), align_bits=3, flooding_bits=0),
        replace(configuration(300, 9), align_bits=20),
    ],
)
def test_both_shares_open_to_the_rows_and_the_ledgers_agree(asked: Configuration) -> None:
    service = Served(asked)
    tokens = np.random.default_rng(1).integers(0, asked.table.rows, asked.table.tokens).tolist()
    client, server, measured = service.look_up(tokens)
    if asked.align_bits:
        fields = (client + server) & np.uint64((1 << asked.align_bits) - 1)
        expected = unpack(service.table.coefficients[tokens], service.table.public.field_moduli, asked.table.channels)
        assert np.array_equal(fields, expected & np.uint64((1 << asked.align_bits) - 1))
    else:
        levels = service.table.public.open((client + server) % asked.ring.plaintext_modulus)
        assert np.array_equal(levels, [service.table.levels(token) for token in tokens])
    compared = compare(estimate(asked, machine=FREE).ledger, measured)
    assert compared["agrees"].all(), compared[~compared["agrees"]].to_string()


def test_shares_of_the_same_row_are_fresh_and_uniform(served: Served) -> None:
    draws = np.stack([served.look_up([7])[0] for _ in range(6)])
    assert len({row.tobytes() for row in draws}) == len(draws)
    mean = draws.mean() / served.configuration.ring.plaintext_modulus
    assert 0.3 < mean < 0.7


def test_a_token_outside_the_vocabulary_is_refused_without_naming_it(served: Served) -> None:
    with pytest.raises(ValueError, match="between 0 and 4999") as raised:
        served.look_up([123456])
    assert "123456" not in str(raised.value)


def hello(tokens: int) -> bytes:
    return encode_frame(Kind.HELLO, 0, bytes(12) + tokens.to_bytes(4, "little") + bytes(68))


def asked() -> bytes:
    return hello(1) + encode_frame(Kind.LOOKUP, 1, (1).to_bytes(4, "little") * 2)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "magic"),
        (hello(0), "asks for 0 tokens"),
        (hello(2**31), "tokens"),
        (asked() + b"".join(encode_frame(Kind.QUERY, 2 + k, bytes(33513)) for k in range(3)), "not of the agreed"),
        (asked() + encode_frame(Kind.QUERY, 2, bytes(9)), "expected 33513"),
        (hello(1) + encode_frame(Kind.LOOKUP, 1, bytes(8)), "lookup is of 0 tokens"),
        (hello(1)[:20], "closed"),
    ],
)
def test_bad_input_ends_the_session_with_a_reason_and_the_next_client_is_served(
    served: Served, sent: bytes, words: str
) -> None:
    there, thread, _, outcome = served.start()
    there.sendall(sent)
    there.shutdown(socket.SHUT_WR)
    thread.join(timeout=60)
    there.close()
    assert isinstance(outcome[0], ProtocolError)
    assert words in str(outcome[0])
    client, server, _ = served.look_up([3])
    opened = (client + server) % served.configuration.ring.plaintext_modulus
    assert np.array_equal(served.table.public.open(opened)[0], served.table.levels(3))


def test_a_residue_that_is_not_below_its_modulus_is_refused(served: Served) -> None:
    client = OpenFHEClient(ProductPlan(served.configuration, False), 1, Meter("client"))
    query = bytearray(client.encrypt_polynomial(np.zeros(2048, dtype=np.int64)))
    ring = OpenFHERing(served.configuration.ring)
    moduli = ring.elements.moduli
    start = find_blocks(bytes(query), 2048, moduli)[1]
    query[start + 80 : start + 88] = moduli[1 % len(moduli)].to_bytes(8, "little")
    with pytest.raises(ProtocolError, match="not below its modulus"):
        ring.read(bytes(query))


def test_a_served_configuration_that_contradicts_its_table_is_refused() -> None:
    table = quantize_table(open_table("300x9"), (4, 3, 3))
    wrong = configuration(300, 9)
    wrong = replace(wrong, packing=Packing((3, 3, 3)))
    server = LookupServer(wrong, table, Meter("server"), lambda *_: None, allow_insecure=False)
    here, there = socket.socketpair()
    meter = Meter("server")
    channel = Channel(here, meter, timeout_s=60.0)

    def serve() -> None:
        with contextlib.suppress(ProtocolError):
            server.session(channel, meter)

    thread = threading.Thread(target=serve)
    thread.start()
    client = Channel(there, Meter("client"), timeout_s=60.0)
    with pytest.raises(ProtocolError, match="contradict"):
        ClientSession.open(client, Meter("client"), 1, False, SeedRecord())
    client.close()
    thread.join()
    channel.close()
