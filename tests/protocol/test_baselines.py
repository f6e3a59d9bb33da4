"""The baselines executed: right rows, the same bytes and counts as predicted, their own rotations and merges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.estimate import estimate
from costmodel.parameters import Configuration, Table
from costmodel.slots import rotation_keys, rotation_steps
from costmodel.systems import executed
from protocol.compact.extraction import Extractor
from protocol.delphi import DelphiClient, plain_product
from protocol.elements import element_spread
from protocol.engines import engine_of
from protocol.errors import ProtocolError
from protocol.meter import Meter
from protocol.openfhe.parties import OpenFHEClient
from protocol.openfhe.slots import SlotPlan
from protocol.residue.ring import Ring as ResidueRing
from protocol.seeds import SeedRecord
from quantize.packing import place_values
from tests.protocol.noise import sampling_bits
from tests.protocol.residue.bridge import automorphism_key_noise
from tests.protocol.test_lookup import FREE, Served
from validate.compare import compare

openfhe = pytest.importorskip("openfhe")


def asked(protocol: str, rows: int, channels: int, tokens: int = 1, **options: Any) -> Configuration:
    engine = "openfhe" if protocol == "cryptflow2" else "residue"
    return executed(protocol, Table(rows, channels, tokens), **{"engine": engine, **options})


def looked_up(configuration: Configuration) -> pd.DataFrame:
    """Look rows up, check them, and return the ledgers compared."""
    service = Served(configuration)
    table = configuration.table
    tokens = np.random.default_rng(2).integers(0, table.rows, table.tokens).tolist()
    client, server, measured = service.look_up(tokens)
    if configuration.align_bits == 0:
        levels = service.table.public.open((client + server) % configuration.ring.plaintext_modulus)
        assert np.array_equal(levels, [service.table.levels(token) for token in tokens])
    compared = compare(estimate(configuration, machine=FREE).ledger, measured)
    assert compared["agrees"].all(), compared[~compared["agrees"]].to_string()
    return compared


def counts(compared: pd.DataFrame) -> dict[str, int]:
    rows = zip(compared["item"], compared["count_measured"], strict=True)
    return {str(item): int(count) for item, count in rows if count > 0}


PACKED = {"engine": "openfhe", "ablation": "packlwes"}
DELPHI = {"options": ("delphi",)}
SPLIT_SESSIONS = 8
SPLIT_DEVIATION = 1.02 / np.sqrt(SPLIT_SESSIONS * 8 * 8)
"""Bits, of answers to 8 tokens whose 4096 coefficients are sums over 8 windows of errors that do not overlap."""


@pytest.mark.parametrize(
    "configuration",
    [
        asked("cheetah", 5000, 1, flooding_bits=0),  # one column, tiles of fewer rows than N
        asked("bumblebee", 700, 131, 2),  # columns extracted
        asked("bumblebee", 100, 700, flooding_bits=0),  # answers interleaved
        asked("bumblebee", 300, 1),  # one answer
        asked("bumblebee", 1, 3, flooding_bits=0),
        asked("bumblebee", 3, 6000, flooding_bits=0, widths=(4,), ring={"plaintext_modulus": 2**6}),
        asked("cryptflow2", 700, 131),
        asked("cryptflow2", 5000, 9, 2, widths=(5,), ring={"degree": 8192, "plaintext_modulus": 786433}),
        asked("cryptflow2", 3, 2),
        asked("cryptflow2", 1, 1),
        asked("cryptflow2", 2, 9000, widths=(4,), ring={"plaintext_modulus": 786433}),  # more columns than slots
        asked("fastquery", 300, 131, 2, **PACKED),
        asked("fastquery", 5000, 3, **PACKED),  # one column
        asked("fastquery", 3, 6300, **PACKED),  # more columns than a polynomial has coefficients
        asked("cheetah", 700, 131, **DELPHI),
        asked("bumblebee", 700, 40, 2, flooding_bits=0, **DELPHI),
        asked("fastquery", 300, 40, 3, **DELPHI),
        asked("fastquery", 300, 9, ring={"plaintext_modulus": 9001}, flooding_bits=0, **DELPHI),
        asked("fastquery", 300, 9, align_bits=20, flooding_bits=0, **DELPHI),
        asked("cryptflow2", 300, 9, **DELPHI),
        asked("cheetah", 300, 40, 2, engine="openfhe", **DELPHI),
        asked("fastquery", 300, 40, **PACKED, **DELPHI),
    ],
    ids=lambda c: f"{c.protocol}-{c.engine}-{c.table.rows}x{c.table.channels}-{'-'.join(c.options)}",
)
def test_rows_are_right_and_the_ledgers_agree(configuration: Configuration) -> None:
    looked_up(configuration)


def test_every_baseline_shows_its_own_work() -> None:
    extracted = counts(looked_up(asked("bumblebee", 700, 131, flooding_bits=0)))
    assert extracted["extract"] > 0
    assert extracted["merge"] > 130
    interleaved = counts(looked_up(asked("bumblebee", 100, 700, flooding_bits=0)))
    assert "extract" not in interleaved
    assert 0 < interleaved["merge"] < 700
    rotated = counts(looked_up(asked("cryptflow2", 700, 131)))
    assert rotated["rotate"] > rotated["multiply-accumulate"] == 32
    split = counts(looked_up(asked("cheetah", 700, 40, 2, flooding_bits=0, **DELPHI)))
    assert split["plain product"] == 2


@pytest.mark.parametrize(
    ("protocol", "options", "samples"), [("cryptflow2", {}, 5), ("fastquery", PACKED, 25), ("bumblebee", {}, 40)]
)
def test_noise_is_as_predicted(protocol: str, options: dict[str, Any], samples: int) -> None:
    """By so many samples as the spread over lookups shows: rotations that are added up leave noise in few places."""
    configuration = asked(protocol, 700, 131, **options)
    meter = Meter("client")
    coefficients = np.random.default_rng(3).integers(0, 1 << 10, (700, -(-131 // len(configuration.packing.widths))))
    server = engine_of(configuration).server(
        configuration, coefficients.astype(np.uint16), meter, lambda *_: None, False
    )
    client = engine_of(configuration).client(configuration, 1, meter, False, SeedRecord())
    session = server.session(1, meter)
    session.accept_keys(list(client.keys()))
    client.decrypt(session.answer(list(client.encrypt([7])), np.empty((1, coefficients.shape[1]), dtype=np.int64)))
    low, high = sampling_bits(samples)
    assert low - 0.5 < client.noise_bits() - estimate(configuration, machine=FREE).noise_bits < high + 0.5


def test_roundings_of_a_random_vector_add_up_to_no_more_than_their_noise() -> None:
    # Levels 0 and 1 of 0 to 3 have a mean of -1.5 about the middle: errors of one sign would cost 1.8 bits.
    configuration = asked("cheetah", 512, 16, 8, engine="openfhe", widths=(2, 2), **DELPHI)
    moduli = configuration.packing.field_moduli
    low = np.random.default_rng(5).integers(0, 2, (512, 8, 2)) @ place_values(moduli)
    coefficients, meter = low.astype(np.uint16), Meter("client")
    engine, squares = engine_of(configuration), []
    server = engine.server(configuration, coefficients, meter, lambda *_: None, False)
    for _ in range(SPLIT_SESSIONS):
        client, session = engine.client(configuration, 8, meter, False, SeedRecord()), server.session(8, meter)
        session.accept_keys(list(client.keys()))
        client.accept_first_halves(list(session.prepare(list(client.announce()))))
        squares.append(4.0 ** client.noise_bits())
    spread = element_spread(coefficients, moduli)
    sized = configuration.updated(table=replace(configuration.table, spread=spread))
    measured = 0.5 * np.log2(np.mean(squares))
    assert measured == pytest.approx(estimate(sized, machine=FREE).noise_bits, abs=6 * SPLIT_DEVIATION)


def test_a_plaintext_modulus_without_slots_is_refused_before_openfhe_sees_it() -> None:
    with pytest.raises(ValueError, match=r"ring.t is 786434; slots need a prime"):
        asked("cryptflow2", 300, 9, ring={"plaintext_modulus": 786434})
    good = asked("cryptflow2", 300, 9)
    bad = good.updated(ring=replace(good.ring, plaintext_modulus=2**37))
    with pytest.raises(ValueError, match="slots need a prime"):
        engine_of(bad).client(bad, 1, Meter("client"), False, SeedRecord())


@pytest.mark.parametrize("protocol", ["cryptflow2", "fastquery"])
def test_keys_that_are_damaged_or_too_large_are_refused(protocol: str) -> None:
    configuration = asked(protocol, 300, 9, **({} if protocol == "cryptflow2" else PACKED))
    meter = Meter("client")
    table = np.zeros((300, 9 // len(configuration.packing.widths)), dtype=np.uint16)
    server = engine_of(configuration).server(configuration, table, meter, lambda *_: None, False)
    keys = list(engine_of(configuration).client(configuration, 1, meter, False, SeedRecord()).keys())
    session = server.session(1, meter)
    session.accept_keys(keys)
    for position, words in ((0, "not of the agreed context"), (len(keys[0]) // 2, "not below its modulus")):
        damaged = bytearray(keys[0])
        damaged[position : position + 24] = b"\xff" * 24
        with pytest.raises(ProtocolError, match=words):
            session.accept_keys([bytes(damaged), *keys[1:]])
    with pytest.raises(ProtocolError, match="expected"):
        session.accept_keys([keys[0][:-1], *keys[1:]])


def test_delphi_sends_nothing_of_the_token_and_uses_a_vector_once() -> None:
    configuration = asked("fastquery", 300, 9, flooding_bits=0, **DELPHI)
    meter = Meter("client")
    sent = []
    for _ in range(40):
        client = engine_of(configuration).client(configuration, 1, meter, False, SeedRecord())
        assert isinstance(client, DelphiClient)
        list(client.announce())
        (frame,) = client.encrypt([7])
        sent.append(np.unpackbits(np.frombuffer(frame, dtype=np.uint8), bitorder="little"))
        with pytest.raises(RuntimeError, match="once"):
            list(client.encrypt([7]))
    frequencies = np.mean(sent, axis=0)[: 300 * 13]
    assert abs(frequencies.mean() - 0.5) < 0.01
    assert np.abs(frequencies[7 * 13 : 8 * 13] - 0.5).max() < 0.45


def test_delphi_refuses_a_vector_that_is_not_modulo_t_and_one_that_comes_first() -> None:
    configuration = asked("fastquery", 300, 9, ring={"plaintext_modulus": 9001}, flooding_bits=0, **DELPHI)
    meter = Meter("server")
    server = engine_of(configuration).server(
        configuration, np.zeros((300, 3), dtype=np.uint16), meter, lambda *_: None, False
    )
    session, shares = server.session(1, meter), np.empty((1, 3), dtype=np.int64)
    frame = bytes([255]) * session.shapes.query.length
    with pytest.raises(ProtocolError, match="before its encrypted"):
        list(session.answer([frame], shares))
    client = engine_of(configuration).client(configuration, 1, Meter("client"), False, SeedRecord())
    session.accept_keys(list(client.keys()))
    list(session.prepare(list(client.announce())))
    with pytest.raises(ProtocolError, match="not below t"):
        list(session.answer([frame], shares))


def test_delphi_goes_with_neither_prepared_nor_folded_queries() -> None:
    prepared = replace(asked("fastquery", 300, 9, prepared=True), options=("delphi",))
    with pytest.raises(ValueError, match="already"):
        engine_of(prepared).client(prepared, 1, Meter("client"), False, SeedRecord())


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 2**60), st.sampled_from([2, 2**8, 2**16, 2**31]), st.integers(1, 700), st.data())
def test_plain_products_are_exact(modulus: int, bound: int, rows: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    table = rng.integers(0, bound, (rows, 3), dtype=np.uint32)
    vector = rng.integers(0, modulus, rows, dtype=np.int64)
    expected = (table.astype(object).T @ vector.astype(object)) % modulus
    assert plain_product(table, vector, modulus).tolist() == expected.tolist()


def test_extraction_moves_coefficients_to_the_constant_one() -> None:
    ring = ResidueRing(16, (97,), (pow(5, 3, 97),))
    answer = np.arange(1, 33, dtype=np.uint64).reshape(2, 1, 16)
    leaves = ring.inverse(Extractor(ring, 4, 4).leaves(ring.forward(answer), 4))
    assert np.array_equal(leaves[:, :, 0, 0], answer[:, 0, ::4].T)
    assert int(leaves[1, 0, 0, 15]) == 97 - int(answer[0, 0, 3])


def test_keys_that_leave_have_noise_of_the_full_width() -> None:
    configuration = asked("cryptflow2", 300, 131, ring={"degree": 8192})
    client = OpenFHEClient(SlotPlan(configuration, False), 1, Meter("client"))
    steps, period = rotation_steps(16, 512), 512
    frames = list(client.keys())
    _, secret = client.residues()
    assert configuration.wire is not None
    assert len(frames) == len(steps) == rotation_keys(16, period)
    for step, frame in zip(steps, frames, strict=True):
        exponent = pow(5, step % 4096, 16384)
        key = openfhe.DeserializeEvalKeyMapString(frame, openfhe.BINARY)
        noise = automorphism_key_noise(secret, key, [exponent], configuration.wire.digit_bits)
        assert noise.std() == pytest.approx(3.19, rel=0.05)
