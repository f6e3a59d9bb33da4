"""Alignment by both parties over a channel within the process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from protocol.alignment import AlignmentClient, AlignmentServer, Fields, message_lengths, setup_messages
from protocol.alignment.softspoken import block_widths

PAPER = Fields((32, 16, 16))  # channels of 4, 3 and 3 bits with their free bits, modulo 2^13


@pytest.mark.parametrize("block_bits", [1, 4])
@pytest.mark.parametrize("moduli", [(8,), (4, 4), (8, 4, 4), (2, 4, 8), (6, 10), (3, 5, 7), (20, 20)])
def test_every_value_with_every_mask(moduli: tuple[int, ...], block_bits: int, parties: Any) -> None:
    fields = Fields(moduli)
    channels, client, server = parties.exhaustive_case(fields)
    for target_bits in [1, 4, 37] if block_bits == 1 else [9, 64]:
        opened = parties.Session(fields, target_bits, block_bits).opened(client, server)
        assert np.array_equal(opened, channels & np.uint64(2**target_bits - 1))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_fields_to_any_width(parties: Any, data: st.DataObject) -> None:
    power = st.integers(1, 14).map(lambda width: 2**width)
    moduli = data.draw(st.lists(st.one_of(power, st.integers(2, 5000)), min_size=1, max_size=4))
    fields = Fields(tuple(moduli))
    target_bits = data.draw(st.integers(1, 64))
    session = parties.Session(fields, target_bits, data.draw(st.integers(1, 8)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    for coefficients in data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=3)):
        channels, client, server = parties.random_case(fields, coefficients, rng)
        assert np.array_equal(session.opened(client, server), channels & np.uint64(2**target_bits - 1))


@pytest.mark.parametrize("block_bits", [1, 2, 8])
def test_one_setup_serves_many_queries(block_bits: int, parties: Any) -> None:
    session = parties.Session(PAPER, 37, block_bits)
    rng = np.random.default_rng(1)
    channels, client, server = parties.random_case(PAPER, 100, rng)
    first = session.shares(client, server)
    for _ in range(10):
        again = session.shares(client, server)
        assert np.array_equal((again[0] + again[1]) & np.uint64(2**37 - 1), channels)
        assert (again[0] == first[0]).mean() < 0.02, "the same pads twice"
        first = again
    assert session.server_end.sent.count(("base_ot_point", 32)) == 1


def test_nothing_of_an_alignment_stays(parties: Any) -> None:
    """A session that is idle holds its seeds alone, however many rows it has aligned."""

    def held_bytes(owner: object) -> int:
        if isinstance(owner, np.ndarray):
            return owner.nbytes
        return sum(map(held_bytes, vars(owner).values())) if type(owner).__module__.startswith("protocol.") else 0

    session = parties.Session(PAPER, 37, 1)
    before = held_bytes(session.server._transfer), held_bytes(session.client._transfer)
    for coefficients in (100, 1000):
        session.shares(*parties.random_case(PAPER, coefficients, np.random.default_rng(1))[1:])
        assert (held_bytes(session.server._transfer), held_bytes(session.client._transfer)) == before
        assert not [name for name, value in vars(session.server).items() if isinstance(value, np.ndarray)]


@pytest.mark.parametrize("moduli", [(32, 16, 16), (20, 20, 20), (32, 16), (2**16,)])
@pytest.mark.parametrize(("block_bits", "target_bits"), [(1, 37), (3, 12), (8, 64)])
def test_bytes_are_as_predicted(moduli: tuple[int, ...], block_bits: int, target_bits: int, parties: Any) -> None:
    fields = Fields(moduli)
    session = parties.Session(fields, target_bits, block_bits)
    _, client, server = parties.random_case(fields, 137, np.random.default_rng(2))
    session.shares(client, server)
    predicted = message_lengths(137, fields, target_bits, block_bits)
    for sender, end in [("server", session.server_end), ("client", session.client_end)]:
        assert end.sent == [(message.item, message.bytes) for message in predicted if message.sender == sender]


def test_bytes_of_4096_channels_at_37_bits() -> None:
    def after_setup(block_bits: int) -> int:
        lengths = message_lengths(1366, PAPER, 37, block_bits)
        return sum(message.bytes for message in lengths if message.phase != "setup")

    assert after_setup(1) == 128 * 513 + 12636 + 5635
    assert after_setup(1) < 90_000
    assert after_setup(4) == 32 * 513 + 12636 + 5635
    assert all(after_setup(block_bits) < 45_000 for block_bits in range(3, 9))
    offline = message_lengths(1366, PAPER, 37, 4, prepare_phase="offline")
    assert [(message.phase, message.sender) for message in offline[-2:]] == [
        ("offline", "server"),
        ("online", "client"),
    ]


def test_prepared_before_the_clients_share_is_known(parties: Any) -> None:
    session = parties.Session(PAPER, 37, 4)
    channels, client, server = parties.random_case(PAPER, 20, np.random.default_rng(3))
    session.server.prepare(server)
    session.client.prepare(20)
    shares = session.client.finish(client) + session.server.finish()
    assert np.array_equal(shares & np.uint64(2**37 - 1), channels)


@pytest.mark.parametrize("block_bits", [1, 4])
def test_each_partys_shares_are_uniform(block_bits: int, parties: Any) -> None:
    session = parties.Session(PAPER, 37, block_bits)
    rng = np.random.default_rng(4)
    channels = np.tile(np.array([[11, 0, 7]], np.uint64), (20_000, 1))
    masks = rng.integers(0, 2**13, len(channels), np.uint64)
    for shares in session.shares(parties.client_shares(PAPER, channels, masks), masks):
        for field in range(3):
            for shift in (0, 3, 16, 33):
                counts = np.bincount((shares[:, field] >> np.uint64(shift)).astype(np.int64) & 15, minlength=16)
                assert chisquare(counts).pvalue > 1e-9


# What one flipped bit does.


def flip(payload: bytes, *bits: int) -> bytes:
    changed = bytearray(payload)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("party", ["client", "server"])
def test_every_bit_of_a_share_matters(party: str, parties: Any) -> None:
    session = parties.Session(PAPER, 37, 4)
    channels, client, server = parties.random_case(PAPER, 13 * 20, np.random.default_rng(5))
    flipped = {"client": client, "server": server}[party]
    flipped ^= np.uint64(1) << (np.arange(len(flipped), dtype=np.uint64) % np.uint64(13))
    assert (session.opened(client, server) != channels).any(axis=1).all()


@pytest.mark.parametrize("bit", [0, 20, 36])
def test_a_flipped_bit_of_a_correction_spoils_the_channels_whose_choice_was_one(bit: int, parties: Any) -> None:
    fields = Fields((32, 16))
    session = parties.Session(
        fields,
        37,
        4,
        edit_client=lambda kind, payload: (
            flip(payload, *(37 * index + bit for index in range(64))) if kind == "carry_corrections" else payload
        ),
    )
    channels, client, server = parties.random_case(fields, 100, np.random.default_rng(6))
    wrong = session.opened(client, server) != channels
    chosen = fields.reach_half(fields.split(server))[:, 0]
    assert 0 < chosen[:64].sum() < 64
    # The lower field's carry counts once in the upper field, and 2^5 times in its own: bits 32 and up vanish.
    assert np.array_equal(wrong[:64, 1], chosen[:64])
    assert np.array_equal(wrong[:64, 0], chosen[:64] & (bit < 32))
    assert not wrong[64:].any()


@pytest.mark.parametrize("block_bits", [1, 2, 4, 8])
def test_flipped_bits_of_the_extension_spoil_their_channels(block_bits: int, parties: Any) -> None:
    # One bit in every block, each of another transfer. A block whose part of the client's secret is zero does
    # not show it, which happens to all of them with probability 2^-128.
    fields = Fields((2**13,))
    blocks = len(block_widths(block_bits))
    session = parties.Session(
        fields,
        37,
        block_bits,
        edit_server=lambda kind, payload: (
            flip(payload, *(block * 160 + block for block in range(blocks))) if kind == "ot_extension" else payload
        ),
    )
    channels, client, server = parties.random_case(fields, 160, np.random.default_rng(7))
    wrong = (session.opened(client, server) != channels)[:, 0]
    assert wrong[:blocks].any()
    assert not wrong[blocks:].any()


def test_flipped_bits_of_the_seed_trees_spoil_the_channels(parties: Any) -> None:
    # One bit in each of the 192 sums; the client uses one of every two.
    session = parties.Session(
        PAPER,
        37,
        4,
        edit_server=lambda kind, payload: (
            flip(payload, *range(0, 8 * len(payload), 128)) if kind == "seed_tree_sums" else payload
        ),
    )
    channels, client, server = parties.random_case(PAPER, 100, np.random.default_rng(8))
    assert (session.opened(client, server) != channels).mean() > 0.99


def test_a_base_point_of_another_transfer_spoils_the_channels(parties: Any) -> None:
    def swap(kind: str, payload: bytes) -> bytes:
        return payload[32:64] + payload[:32] + payload[64:] if kind == "base_ot_choices" else payload

    session = parties.Session(PAPER, 37, 4, edit_client=swap)
    channels, client, server = parties.random_case(PAPER, 1000, np.random.default_rng(9))
    # The first block is wrong, and with it a row but by chance, which is 2^-4 (of four bits).
    assert (session.opened(client, server) != channels).mean() > 0.8


# Malformed messages and misuse.


def server_and_client(parties: Any, edit_server: Any = None, edit_client: Any = None) -> Any:
    def same(kind: str, payload: bytes) -> bytes:
        return payload

    return parties.Session(Fields((32, 16)), 37, 4, edit_server or same, edit_client or same)


MALFORMED = [
    (lambda payload: payload[:-1], "bytes received, must be"),
    (lambda payload: payload + b"\0", "bytes received, must be"),
    (lambda payload: b"", "bytes received, must be"),
    (lambda payload: payload[:-1] + bytes([payload[-1] | 0x80]), "padding bits are not zero"),
]


@pytest.mark.parametrize(("edit", "reason"), MALFORMED)
def test_the_client_refuses_a_malformed_extension_message_and_is_done(edit: Any, reason: str, parties: Any) -> None:
    def change(kind: str, payload: bytes) -> bytes:
        return edit(payload) if kind == "ot_extension" else payload

    session = server_and_client(parties, edit_server=change)
    session.server.prepare(np.zeros(7, np.uint64))
    with pytest.raises(ValueError, match=f"ot_extension: .*{reason}"):
        session.client.prepare(7)
    with pytest.raises(RuntimeError, match="failed"):
        session.client.prepare(7)
    with pytest.raises(RuntimeError, match="failed"):
        session.client.finish(np.zeros(7, np.uint64))


@pytest.mark.parametrize(("edit", "reason"), MALFORMED)
def test_the_server_refuses_malformed_corrections_and_is_done(edit: Any, reason: str, parties: Any) -> None:
    def change(kind: str, payload: bytes) -> bytes:
        return edit(payload) if kind == "carry_corrections" else payload

    session = server_and_client(parties, edit_client=change)
    session.server.prepare(np.zeros(7, np.uint64))
    session.client.align(np.zeros(7, np.uint64))
    with pytest.raises(ValueError, match=f"carry_corrections: .*{reason}"):
        session.server.finish()
    with pytest.raises(RuntimeError, match="failed"):
        session.server.prepare(np.zeros(7, np.uint64))


def test_setup_refuses_malformed_messages(parties: Any) -> None:
    fields = Fields((4, 4))
    for replies in [(b"",), (bytes(4095),), (bytes(4096),), (b"\xff" * 4096,)]:
        server = AlignmentServer(parties.ScriptedExchange(*replies), fields, 8, 4, parties.session)
        with pytest.raises(ValueError, match="base_ot_choices"):
            server.setup()
    for replies in [(b"",), (bytes(32),), (b"\xff" * 32,)]:
        client = AlignmentClient(parties.ScriptedExchange(*replies), fields, 8, 4, parties.session)
        with pytest.raises(ValueError, match="base_ot_point"):
            client.setup()


def test_steps_out_of_order_are_refused(parties: Any) -> None:
    share = np.zeros(3, np.uint64)
    client = AlignmentClient(parties.ScriptedExchange(), PAPER, 37, 4, parties.session)
    with pytest.raises(RuntimeError, match="before setup"):
        client.align(share)
    session = parties.Session(PAPER, 37, 4)
    with pytest.raises(RuntimeError, match="between alignments"):
        session.server.finish()
    session.server.prepare(share)
    with pytest.raises(RuntimeError, match="prepared"):
        session.server.prepare(share)


def test_another_number_of_shares_than_prepared_is_refused(parties: Any) -> None:
    session = parties.Session(PAPER, 37, 4)
    session.server.prepare(np.zeros(3, np.uint64))
    session.client.prepare(3)
    with pytest.raises(ValueError, match="2 coefficients, prepared for 3"):
        session.client.finish(np.zeros(2, np.uint64))


@pytest.mark.parametrize("role", [AlignmentClient, AlignmentServer])
@pytest.mark.parametrize(
    ("target_bits", "block_bits", "session", "reason"),
    [
        (0, 4, bytes(16), "target_bits is 0"),
        (65, 4, bytes(16), "target_bits is 65"),
        (37, 0, bytes(16), "block_bits is 0"),
        (37, 9, bytes(16), "block_bits is 9"),
        (37, 4, bytes(15), "session has 15 bytes"),
    ],
)
def test_parameters_are_validated(
    role: Any, target_bits: int, block_bits: int, session: bytes, reason: str, parties: Any
) -> None:
    with pytest.raises(ValueError, match=reason):
        role(parties.ScriptedExchange(), PAPER, target_bits, block_bits, session)


def test_predictions_validate_their_parameters() -> None:
    with pytest.raises(ValueError, match="block_bits is 9"):
        setup_messages(9)
    with pytest.raises(ValueError, match="target_bits is 65"):
        message_lengths(10, PAPER, 65, 4)
