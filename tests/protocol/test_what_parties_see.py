"""What each party sees of the other's secrets: lengths, bytes, noise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from costmodel.compact import noise as compact_noise
from costmodel.grid import Grid
from costmodel.parameters import Configuration
from costmodel.wire import SEED_BYTES
from protocol.alignment.bits import pack_words
from protocol.compact.client import ResidueClient
from protocol.compact.plan import Plan
from protocol.compact.server import ResidueServer
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.layout import Layout
from protocol.lookup import ClientSession
from protocol.meter import Meter
from protocol.openfhe.context import residue_context
from protocol.openfhe.ring import OpenFHERing
from protocol.residue.bits import pack_bits, packed_bytes, unpack_bits
from protocol.residue.ciphertext import SecretKey
from protocol.residue.context import read_ring
from protocol.residue.ring import Ring as ResidueRing
from protocol.seeds import SeedRecord

pytest.importorskip("openfhe")
from tests.protocol.parties import ALIGNED, FLOODED, PREPARED, REFERENCE, UNPACKED, Parties, Seen, WatchedChannel, own

IMPROBABLE = 1e-9

# Lengths


@pytest.mark.parametrize(
    "configuration",
    [
        FLOODED,
        own(2100, 40, flooding_bits=0),
        own(2100, 40, 2),
        PREPARED,
        ALIGNED,
        UNPACKED,
        REFERENCE,
        own(300, 40, protocol="folded", flooding_bits=0),
        own(300, 40, protocol="compressed", flooding_bits=0),
    ],
)
def test_frames_are_as_many_and_as_long_for_every_token(configuration: Configuration) -> None:
    parties, rows, count = Parties(configuration), configuration.table.rows, configuration.table.tokens
    shapes = set()
    for token in (0, 1, rows // 2, rows - 1):
        tokens = [token] * count
        seen = parties.look_up(tokens)
        assert parties.opens(seen, tokens)
        shapes.add(tuple((kind, len(body)) for kind, body in seen.up + seen.down))
    assert len(shapes) == 1


def test_a_session_takes_the_tokens_that_it_was_opened_for() -> None:
    parties = Parties(own(300, 9, 2, flooding_bits=0))
    here, there = socket.socketpair()
    server = WatchedChannel(there, lambda kind, body: body)

    def serve() -> None:
        with pytest.raises(ProtocolError):
            parties.server.session(server, Meter("server"))

    thread = threading.Thread(target=serve)
    thread.start()
    client = WatchedChannel(here, lambda kind, body: body)
    session = ClientSession.open(client, Meter("client"), 2, False, SeedRecord())
    with pytest.raises(ValueError, match="3 tokens; the session was opened for 1 to 2"):
        session.lookup([1, 2, 3])
    assert Kind.QUERY not in [kind for kind, _ in client.frames]
    client.close()
    thread.join()
    server.close()


# What the server sees


def serialisations(coefficients: np.ndarray, ring: ResidueRing) -> Iterator[bytes]:
    """Ways to write a ternary polynomial down: its coefficients and its transform, in words and packed."""
    for kind in (np.int8, "<i2", "<i4", "<i8", "<f8"):
        yield coefficients.astype(kind).tobytes()
    trits = (coefficients + 1).astype(np.uint64)
    for bits in (2, 8):
        yield pack_words(trits, bits)
    residues = ring.from_signed(coefficients.astype(np.int64))
    for form in (residues, ring.forward(residues)):
        for limb, q in enumerate(ring.moduli):
            yield form[limb].astype("<u8").tobytes()
            yield pack_bits(form[limb], q.bit_length())


def pieces(data: bytes, length: int = 24) -> set[bytes]:
    """Non-overlapping pieces, each long enough to be in other bytes for one reason only."""
    return {data[start : start + length] for start in range(0, len(data) - length + 1, length)}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ResidueRing, np.ndarray]]:
    """Rings and secrets of all clients from here on, as they are drawn."""
    kept = []

    def generate(ring: ResidueRing) -> SecretKey:
        secret = SecretKey.generate(ring)
        kept.append((ring, secret.residues))
        return secret

    monkeypatch.setattr("protocol.compact.client.SecretKey", SimpleNamespace(generate=generate))
    return kept


@pytest.mark.parametrize("configuration", [FLOODED, PREPARED, ALIGNED, UNPACKED])
def test_nothing_of_the_secret_key_is_sent(
    configuration: Configuration, secrets: list[tuple[ResidueRing, np.ndarray]]
) -> None:
    seen = Parties(configuration).look_up([77] * configuration.table.tokens)
    ring, residues = secrets[-1]
    coefficients = ring.to_integers(ring.inverse(residues)).astype(np.int64)
    assert np.isin(coefficients, (-1, 0, 1)).all()
    sent = seen.bytes_up()
    for written in serialisations(coefficients, ring):
        assert not any(piece in sent for piece in pieces(written))


def test_nothing_of_the_secret_key_is_sent_by_the_reference_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    read, tags = OpenFHERing.read, set()

    def watched(ring: OpenFHERing, serialised: bytes, *tag: str) -> Any:
        tags.update(tag)
        return read(ring, serialised, *tag)

    monkeypatch.setattr(OpenFHERing, "read", watched)
    seen = Parties(REFERENCE).look_up([77])
    sent = seen.bytes_up()
    _, secret = seen.session.engine.residues()
    for limb in secret.residues:
        written = limb.astype("<u8").tobytes()
        assert written not in sent
        assert not any(piece in sent for piece in pieces(written))
    (tag,) = tags  # that of the client's key, with which it reads answers
    assert len(tag) >= 16
    assert tag.encode() not in sent


def assert_uniform(values: np.ndarray, modulus: int) -> None:
    assert kstest(values.astype(np.float64) / modulus, "uniform").pvalue > IMPROBABLE
    assert chisquare(np.bincount((values & np.uint64(63)).astype(np.int64), minlength=64)).pvalue > IMPROBABLE


def key_rows(seen: Seen, ring: ResidueRing) -> list[np.ndarray]:
    """Residues of every row of the keys, limb by limb."""
    keys = seen.bytes_up(Kind.KEYS)[SEED_BYTES:]
    rows = []
    bits = [q.bit_length() for q in ring.moduli]
    count = len(keys) * 8 // (sum(bits) * ring.ring_degree)
    for width in bits:
        length = packed_bytes(count * ring.ring_degree, width)
        rows.append(unpack_bits(keys[:length], count * ring.ring_degree, width))
        keys = keys[length:]
    assert not keys
    return rows


@pytest.mark.parametrize("configuration", [FLOODED, own(2100, 40, flooding_bits=0)])
def test_keys_and_queries_look_uniform(configuration: Configuration) -> None:
    parties = Parties(configuration)
    queries, ring = [], read_ring(residue_context(configuration.ring))
    for token in (0, 0, 2099):
        seen = parties.look_up([token])
        for residues, q in zip(key_rows(seen, ring), ring.moduli, strict=True):
            assert_uniform(residues, q)
        query = seen.bytes_up(Kind.QUERY)[SEED_BYTES:]
        if ring.limbs == 1:
            assert configuration.wire is not None
            bits = configuration.wire.query_bits
            dropped = ring.moduli[0].bit_length() - bits
            values = unpack_bits(query, configuration.table.rows, bits)
            assert_uniform(values, -(-ring.moduli[0] >> dropped))
        else:
            for q in ring.moduli:
                length = packed_bytes(configuration.table.rows, q.bit_length())
                assert_uniform(unpack_bits(query[:length], configuration.table.rows, q.bit_length()), q)
                query = query[length:]
        queries.append(seen.bytes_up(Kind.QUERY))
    assert len({query[:SEED_BYTES] for query in queries}) == 3
    assert len(set(queries)) == 3


# What the client sees


class Extreme:
    """Tables whose error in an answer is the least and the most that there is."""

    def __init__(self, configuration: Configuration, kind: str) -> None:
        moduli = configuration.packing.field_moduli
        places = [int(np.prod(moduli[:i])) for i in range(len(moduli))]
        element = {
            "middle": sum(place * (modulus // 4) for place, modulus in zip(places, moduli, strict=True)),
            "lowest": 0,
        }[kind]
        columns = Layout.of(configuration).columns
        self.coefficients = np.full((configuration.table.rows, columns), element, dtype=np.uint16)
        self.server = ResidueServer(configuration, self.coefficients, Meter("server"), lambda *_: None, False)


def answered(server: ResidueServer, keys: list[bytes], announced: list[bytes], query: list[bytes]) -> list[bytes]:
    session = server.session(1, Meter("server"))
    if keys:
        session.accept_keys(keys)
    halves = list(session.prepare(announced)) if announced else []
    return halves + list(session.answer(query, np.empty((1, server.table.weights.shape[0]), dtype=np.int64)))


def mean_square(configuration: Configuration, kind: str) -> float:
    """Of the errors of one answer, in units of q/t."""
    client = ResidueClient(configuration, 1, Meter("client"), False, SeedRecord())
    keys = list(client.keys())
    announced = list(client.announce()) if configuration.prepared else []
    frames = answered(Extreme(configuration, kind).server, keys, announced, list(client.encrypt([5])))
    if configuration.prepared:
        client.accept_first_halves(frames[:1])
    client.decrypt(frames[-1:])
    return 4.0 ** client.noise_bits()


@pytest.mark.parametrize("configuration", [FLOODED, PREPARED, UNPACKED])
def test_the_error_of_an_answer_is_the_flooding_whatever_the_table(configuration: Configuration) -> None:
    assert configuration.wire is not None
    most = min(configuration.ring.limb_bits) - 2
    # Answers in as many bits as there can be, so that rounding hides nothing.
    flooded = configuration.updated(wire=replace(configuration.wire, answer_a_bits=most, answer_b_bits=most))
    bare = flooded.updated(flooding_bits=0, prepared=False)
    found = {kind: np.mean([mean_square(flooded, kind) for _ in range(12)]) for kind in ("middle", "lowest")}
    expected = compact_noise.noise(Grid.of(flooded))
    assert found["middle"] == pytest.approx(expected, rel=0.3)
    assert found["lowest"] == pytest.approx(expected, rel=0.3)
    # What is left without is the rounding to these bits, and under it what depends on the table.
    assert mean_square(bare, "lowest") < 2.0**-10 * found["lowest"]


@pytest.mark.parametrize("configuration", [FLOODED, PREPARED, UNPACKED])
def test_the_a_of_an_answer_is_fresh_with_flooding_and_the_tables_own_without(configuration: Configuration) -> None:
    assert configuration.wire is not None
    for flooded in (True, False):
        asked = configuration if flooded else configuration.updated(flooding_bits=0, prepared=False)
        assert asked.wire is not None
        answers = Plan(asked, read_ring(residue_context(asked.ring)), 1).answers
        client = ResidueClient(asked, 1, Meter("client"), False, SeedRecord())
        keys = list(client.keys())
        announced = list(client.announce()) if asked.prepared else []
        query = list(client.encrypt([5]))
        halves = []
        for _ in range(2):
            # A server takes a seed once, so that the same query goes to two servers of one table.
            first = answered(Extreme(asked, "lowest").server, keys, announced, query)[0]
            count = answers * asked.ring.degree
            length = packed_bytes(count, asked.wire.answer_a_bits)
            halves.append(unpack_bits(first[:length], count, asked.wire.answer_a_bits))
        same = np.mean(halves[0] == halves[1])
        if flooded:
            assert same < 0.01 + 8 * 2.0**-asked.wire.answer_a_bits
            difference = (halves[0] - halves[1]) & np.uint64((1 << asked.wire.answer_a_bits) - 1)
            assert kstest(difference.astype(np.float64) / 2.0**asked.wire.answer_a_bits, "uniform").pvalue > IMPROBABLE
        else:
            assert same == 1


@pytest.mark.parametrize(
    "configuration",
    [
        own(300, 40, 8),
        own(300, 40, 8, prepared=True),
        own(300, 40, 8, align_bits=37),
        replace(REFERENCE, align_bits=20),
    ],
)
def test_both_parties_shares_of_one_row_are_fresh_and_uniform(configuration: Configuration) -> None:
    parties = Parties(configuration)
    seen = [parties.look_up([7] * 8) for _ in range(2)]
    modulus = 1 << configuration.align_bits if configuration.align_bits else configuration.ring.plaintext_modulus
    for shares in ([one.client for one in seen], [one.server for one in seen]):
        values = np.concatenate(shares).astype(np.uint64)
        assert len({row.tobytes() for row in values}) == len(values)
        assert kstest(values.reshape(-1).astype(np.float64) / modulus, "uniform").pvalue > IMPROBABLE


def test_every_coefficient_has_its_own_mask() -> None:
    """Over many tokens of a batch no two columns of the server's shares move together."""
    count = 100
    shares = Parties(own(3, 120, count, flooding_bits=0)).look_up([1] * count).server.astype(np.float64)
    correlation = np.corrcoef(shares.T)
    np.fill_diagonal(correlation, 0)
    assert np.abs(correlation).max() < 0.7  # of 780 pairs, each of standard deviation 0.1
