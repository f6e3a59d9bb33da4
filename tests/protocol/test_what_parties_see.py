"""What each party sees of the other's secrets: lengths, bytes, noise, errors and logs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from costmodel.grid import Grid
from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.presets import executable
from costmodel.protocols import compact
from costmodel.wire import SEED_BYTES
from protocol.alignment.bits import pack_words
from protocol.channel import Channel
from protocol.engines.openfhe import OpenFHEServer, ProductPlan
from protocol.engines.residue import ResidueClient, ResidueServer
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.layout import Layout
from protocol.lookup import ClientSession, LookupServer
from protocol.meter import Meter
from protocol.openfhe_context import generate_context
from protocol.openfhe_serialised import find_blocks
from protocol.parameters_message import decode_parameters, encode_parameters
from protocol.residue.bits import pack_bits, packed_bytes, unpack_bits
from protocol.residue.ring import Ring as ResidueRing
from protocol.seeds import SeedRecord
from quantize.packing import unpack
from quantize.quantizers import quantize_table
from quantize.tables import open_table

pytest.importorskip("openfhe")
from protocol.execute import execute

IMPROBABLE = 1e-9
TOKEN = 31415
"""A token that no byte count or line number is."""

Edit = Callable[[Kind, bytes], bytes]
Frames = list[tuple[Kind, bytes]]


def own(rows: int, channels: int, tokens: int = 1, protocol: str = "fastquery", **options: Any) -> Configuration:
    return executable(protocol, Table(rows, channels, tokens), **options)


FLOODED = own(2100, 40)
PREPARED = own(2100, 40, prepared=True)
ALIGNED = own(300, 41, align_bits=37)
UNPACKED = own(700, 131, protocol="cheetah")
REFERENCE = Configuration("fastquery", Table(2100, 9), Ring(2048, (50,), 2**13), Packing((4, 3, 3)))


class WatchedChannel(Channel):
    """Keeps what it sends, which goes through ``edit`` first."""

    def __init__(self, connection: socket.socket, edit: Edit) -> None:
        super().__init__(connection, Meter("client"), timeout_s=20.0)
        self.frames: Frames = []
        self._edit = edit

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        edited = self._edit(kind, bytes(body))
        self.frames.append((kind, edited))
        super().send(kind, edited)


@dataclass
class Seen:
    """One session: both parties' frames, shares and the client, or what ended it."""

    up: Frames = field(default_factory=list)
    down: Frames = field(default_factory=list)
    client: Any = None
    server: Any = None
    session: Any = None
    errors: list[Exception] = field(default_factory=list)

    def bytes_up(self, *kinds: Kind) -> bytes:
        return b"".join(body for kind, body in self.up if not kinds or kind in kinds)


class Parties:
    """A server and, for every lookup, a client."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        rows, channels = configuration.table.rows, configuration.table.channels
        self.table = quantize_table(open_table(f"{rows}x{channels}"), configuration.packing.widths)
        self.server = LookupServer(configuration, self.table, Meter("server"), lambda *_: None, False)

    def look_up(
        self,
        tokens: list[int],
        up: Edit = lambda kind, body: body,
        down: Edit = lambda kind, body: body,
    ) -> Seen:
        here, there = socket.socketpair()
        seen, ours, theirs = Seen(), WatchedChannel(here, up), WatchedChannel(there, down)

        def serve() -> None:
            try:
                seen.server = self.server.session(theirs, Meter("server"))
            except ProtocolError as error:
                theirs.fail(str(error))
                seen.errors.append(error)
            finally:
                theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            seen.session = ClientSession.open(ours, Meter("client"), len(tokens), False, SeedRecord())
            seen.client = seen.session.lookup(tokens)
        except ProtocolError as error:
            seen.errors.append(error)
        finally:
            ours.close()
            thread.join()
        seen.up, seen.down = ours.frames, theirs.frames
        return seen

    def opens(self, seen: Seen, tokens: list[int]) -> bool:
        """Whether the shares open to the rows."""
        fields = unpack(
            self.table.coefficients[tokens], self.table.public.field_moduli, self.table.public.channels
        ).astype(np.uint64)
        if self.configuration.align_bits:
            mask = np.uint64((1 << self.configuration.align_bits) - 1)
            return bool(np.array_equal((seen.client + seen.server) & mask, fields & mask))
        opened = (seen.client + seen.server) % self.configuration.ring.plaintext_modulus
        return bool(np.array_equal(opened, self.table.coefficients[tokens].astype(np.int64)))


# Lengths


@pytest.mark.parametrize(
    "configuration",
    [FLOODED, own(2100, 40, flooding_bits=0), own(2100, 40, 2), PREPARED, ALIGNED, UNPACKED, REFERENCE],
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
    with pytest.raises(ValueError, match="3 tokens; the session was opened for 2"):
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


@pytest.mark.parametrize("configuration", [FLOODED, PREPARED, ALIGNED, UNPACKED])
def test_nothing_of_the_secret_key_is_sent(configuration: Configuration) -> None:
    seen = Parties(configuration).look_up([77] * configuration.table.tokens)
    secret = seen.session.engine._secret
    ring = secret.ring
    coefficients = ring.to_integers(ring.inverse(secret.residues)).astype(np.int64)
    assert np.isin(coefficients, (-1, 0, 1)).all()
    sent = seen.bytes_up()
    for written in serialisations(coefficients, ring):
        assert not any(piece in sent for piece in pieces(written))


def test_nothing_of_the_secret_key_is_sent_by_the_reference_engine() -> None:
    seen = Parties(REFERENCE).look_up([77])
    ring = seen.session.engine._ring
    serialised = ring.library.Serialize(seen.session.engine._key, ring.library.BINARY)
    start, *_ = find_blocks(serialised, REFERENCE.ring.degree, ring.elements.moduli)
    written = serialised[start : start + 8 * REFERENCE.ring.degree]
    sent = seen.bytes_up()
    assert written not in sent
    assert not any(piece in sent for piece in pieces(written))
    tag = seen.session.engine._key.GetKeyTag().encode()
    assert len(tag) >= 16
    assert tag not in sent


def assert_uniform(values: np.ndarray, modulus: int) -> None:
    assert kstest(values.astype(np.float64) / modulus, "uniform").pvalue > IMPROBABLE
    assert chisquare(np.bincount((values & np.uint64(63)).astype(np.int64), minlength=64)).pvalue > IMPROBABLE


def key_rows(seen: Seen) -> list[np.ndarray]:
    """Residues of every row of the keys, limb by limb."""
    ring, keys = seen.session.engine._secret.ring, seen.bytes_up(Kind.KEYS)[SEED_BYTES:]
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
    queries = []
    for token in (0, 0, 2099):
        seen = parties.look_up([token])
        ring = seen.session.engine._secret.ring
        for residues, q in zip(key_rows(seen), ring.moduli, strict=True):
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
    expected = compact.noise(Grid.of(flooded))
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
        client = ResidueClient(asked, 1, Meter("client"), False, SeedRecord())
        keys = list(client.keys())
        announced = list(client.announce()) if asked.prepared else []
        query = list(client.encrypt([5]))
        halves = []
        for _ in range(2):
            # A server takes a seed once, so that the same query goes to two servers of one table.
            first = answered(Extreme(asked, "lowest").server, keys, announced, query)[0]
            count = client._plan.answers * client._plan.ring.ring_degree
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


# Tampering


def flipped(kind: Kind, position: Callable[[int], int]) -> Edit:
    """Flips one bit of the frames of a kind: the one at ``position`` of so many."""

    def edit(found: Kind, body: bytes) -> bytes:
        if found is not kind:
            return body
        bit = position(8 * len(body))
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return edit


# A flip of a pad that the other party never uses changes nothing, so each is tried until one shows: half of the
# corrections and all but a sixteenth of an extension's bits do.
TRIES = 40


@pytest.mark.parametrize(
    ("sender", "kind"),
    [
        ("client", Kind.CARRY_CORRECTIONS),
        ("server", Kind.OT_EXTENSION),
        ("server", Kind.SEED_TREE_SUMS),
        ("client", Kind.BASE_OT_CHOICES),
        ("server", Kind.BASE_OT_POINT),
    ],
)
def test_one_flipped_bit_of_an_oblivious_transfer_is_noticed(sender: str, kind: Kind) -> None:
    parties = Parties(own(30, 9, align_bits=20, flooding_bits=0))
    assert parties.opens(parties.look_up([3]), [3])
    rng = np.random.default_rng(0)
    for _ in range(TRIES):
        edit = flipped(kind, lambda bits: int(rng.integers(bits)))
        seen = parties.look_up([3], **{"up" if sender == "client" else "down": edit})
        if seen.errors or not parties.opens(seen, [3]):
            return
    raise AssertionError(f"{TRIES} flipped bits of {kind.item} went unnoticed")


@pytest.mark.parametrize("configuration", [FLOODED, ALIGNED])
def test_one_flipped_bit_of_a_mask_is_noticed(configuration: Configuration) -> None:
    parties = Parties(configuration)
    seen = parties.look_up([3])
    assert parties.opens(seen, [3])
    bits = configuration.align_bits or configuration.ring.plaintext_modulus.bit_length() - 1
    for bit in (0, bits // 2, bits - 1):
        seen.server[0, 2] ^= seen.server.dtype.type(1 << bit)
        assert not parties.opens(seen, [3])
        seen.server[0, 2] ^= seen.server.dtype.type(1 << bit)
    assert parties.opens(seen, [3])


@pytest.mark.parametrize("configuration", [FLOODED, UNPACKED])
def test_a_flipped_high_bit_of_an_answer_is_noticed(configuration: Configuration) -> None:
    parties = Parties(configuration)
    assert configuration.wire is not None
    top = configuration.wire.answer_b_bits - 1
    columns = Layout.of(configuration).columns
    b_bytes = packed_bytes(columns, configuration.wire.answer_b_bits)
    seen = parties.look_up([3], down=flipped(Kind.ANSWER, lambda bits: bits - 8 * b_bytes + top))
    assert not seen.errors
    wrong = (seen.client + seen.server) % configuration.ring.plaintext_modulus != parties.table.coefficients[[3]]
    assert wrong.sum() == 1
    assert wrong[0, 0]


# Errors, logs, processes


class Recorded(subprocess.Popen[str]):
    """A process whose arguments and standard output are kept, its standard error in its output."""

    lines: list[str]

    def __init__(self, arguments: list[str], **options: Any) -> None:
        self.lines.append(" ".join(arguments))
        super().__init__(arguments, **{**options, "stderr": subprocess.STDOUT})
        assert self.stdout is not None
        self.stdout = self._kept(self.stdout)  # type: ignore[assignment]

    def _kept(self, stream: Any) -> Any:
        lines = self.lines

        class Kept:
            def __iter__(self) -> Iterator[str]:
                for line in stream:
                    lines.append(line)
                    # Tracebacks and warnings go where the events are, and are none.
                    if line.startswith("{"):
                        yield line

            def close(self) -> None:
                lines.extend(stream)
                stream.close()

        return Kept()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """Everything that the two processes of a run say, and their arguments."""
    lines: list[str] = []
    monkeypatch.setattr(Recorded, "lines", lines, raising=False)
    monkeypatch.setattr(subprocess, "Popen", Recorded)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return lines


def numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int):
        yield value


def mentions(text: str, number: int) -> bool:
    return re.search(rf"(?<![\d.]){number}(?![\d.])", text) is not None


WIDE = own(40000, 6, flooding_bits=0)
WIRE = WIDE.wire
assert WIRE is not None

DAMAGED = {
    "answers too wide to be made": WIDE.updated(wire=replace(WIRE, answer_b_bits=60)),
    "fields that do not cover": own(40000, 6, flooding_bits=0, ring={"plaintext_modulus": 9001}).updated(align_bits=9),
}
MORE_DAMAGED = {
    "queries wider than their modulus": WIDE.updated(wire=replace(WIRE, query_bits=63)),
    "digits wider than a limb": WIDE.updated(wire=replace(WIRE, digit_bits=60)),
    "a table of another shape": WIDE.updated(table=Table(40001, 6)),
    "a sigma that is not drawn": WIDE.updated(ring=replace(WIDE.ring, sigma=3.2)),
}


@pytest.mark.parametrize(
    "configuration",
    [*DAMAGED.values(), *(pytest.param(one, marks=pytest.mark.slow) for one in MORE_DAMAGED.values())],
    ids=[*DAMAGED, *MORE_DAMAGED],
)
def test_no_token_is_in_what_failing_parties_say(configuration: Configuration, said: list[str]) -> None:
    with pytest.raises(ProtocolError) as raised:
        execute(configuration, "40000x6", [TOKEN])
    output = "".join(said)
    assert "failed" in output
    assert not mentions(output, TOKEN)
    assert not mentions(str(raised.value), TOKEN)


@pytest.mark.parametrize(
    "configuration",
    [
        own(40000, 6, align_bits=37, prepared=True),
        *(pytest.param(one, marks=pytest.mark.slow) for one in (WIDE, own(40000, 6))),
    ],
)
def test_no_token_and_no_share_is_in_what_parties_say(configuration: Configuration, said: list[str]) -> None:
    run = execute(configuration, "40000x6", [TOKEN])
    output = "".join(said)
    assert not mentions(output, TOKEN)
    events = [json.loads(line) for line in said if line.startswith("{")]
    assert [event for event in events if event["event"] == "result"]
    told = set(numbers(events))
    secret = {int(share) for share in np.concatenate([run.client_shares.ravel(), run.server_shares.ravel()])}
    assert not {share for share in secret - set(range(4096)) if share in told or mentions(output, share)}


def test_a_token_outside_the_vocabulary_is_refused_without_naming_it(said: list[str]) -> None:
    with pytest.raises(ProtocolError, match="outside the vocabulary") as raised:
        execute(WIDE, "40000x6", [8271828])
    assert not mentions("".join(said) + str(raised.value), 8271828)


# Parameters that would take protection away without a word


def test_the_reference_engine_refuses_what_it_does_not_do() -> None:
    flooded = REFERENCE.updated(flooding_bits=40)
    with pytest.raises(ValueError, match="floods nothing"):
        OpenFHEServer(flooded, np.zeros((2100, 3), dtype=np.uint16), Meter("server"), lambda *_: None, False)
    with pytest.raises(ValueError, match="floods nothing"):
        ProductPlan(flooded, False)
    with pytest.raises(ValueError, match="prepared"):
        ProductPlan(REFERENCE.updated(prepared=True), False)


FORKED = """
import os
from costmodel.parameters import Ring
from protocol.openfhe_context import generate_context
from protocol.openfhe_library import OpenFHEUnavailable

generate_context(Ring(2048, (50,), 512)).KeyGen()
if os.fork() == 0:
    try:
        generate_context(Ring(2048, (50,), 512)).KeyGen()
    except OpenFHEUnavailable as error:
        os._exit(7 if "forked" in str(error) else 1)
    os._exit(0)
_, status = os.wait()
generate_context(Ring(2048, (50,), 512)).KeyGen()
print(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process_draws_no_keys_that_its_parent_draws() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["7"]


def test_noise_below_that_of_the_security_tables_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ring.sigma is 1.0"):
        generate_context(replace(REFERENCE.ring, sigma=1.0))


@pytest.mark.parametrize("sigma", [1.0, 3.2])
def test_flooding_is_not_sized_for_noise_that_is_not_drawn(sigma: float) -> None:
    other = FLOODED.updated(ring=replace(FLOODED.ring, sigma=sigma))
    with pytest.raises(ValueError, match=r"ring.sigma"):
        ResidueClient(other, 1, Meter("client"), True, SeedRecord())


def test_a_hello_for_an_answer_that_takes_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.lookup.MAX_MESSAGE_BYTES", 2**21)
    parties = Parties(own(9, 9, flooding_bits=0))
    here, there = socket.socketpair()
    channel = Channel(there, Meter("server"), timeout_s=10.0)
    Channel(here, Meter("client")).send(Kind.HELLO, bytes(12) + (1024).to_bytes(4, "little"))
    with pytest.raises(ProtocolError, match=r"1024 tokens: answer of \d+ bytes"):
        parties.server.session(channel, Meter("server"))
    channel.close()
    here.close()


@pytest.mark.parametrize("widths", [[2**63, 3, 3], [10**9, 3, 3], [4, 3], None, [[4], 3, 3], "433"])
def test_parameters_with_widths_of_any_size_are_refused_at_once(widths: Any) -> None:
    configuration = own(30, 9, flooding_bits=0)
    message = encode_parameters(configuration, quantize_table(open_table("30x9"), (4, 3, 3)).public)
    text, rest = message[:2048], message[2048:]
    block = json.loads(text)
    block["configuration"]["packing"]["widths"] = widths
    with pytest.raises(ProtocolError):
        decode_parameters(json.dumps(block, separators=(",", ":")).encode().ljust(2048) + rest)


@pytest.mark.parametrize("section", ["table", "ring", "packing"])
def test_parameters_without_a_section_are_refused(section: str) -> None:
    configuration = own(30, 9, flooding_bits=0)
    message = encode_parameters(configuration, quantize_table(open_table("30x9"), (4, 3, 3)).public)
    block = json.loads(message[:2048])
    block["configuration"][section] = None
    with pytest.raises(ProtocolError):
        decode_parameters(json.dumps(block, separators=(",", ":")).encode().ljust(2048) + message[2048:])
