"""Queries end to end: shares, together, selectors block by block, and OpenFHE's own decryption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from costmodel.expanded.noise import secret_peak
from protocol.errors import ProtocolError
from protocol.expanded.compressed.selection import hand_down
from protocol.expanded.context import generate_secret
from protocol.expanded.messages import decode_query
from protocol.expanded.secrets import keeps_to_the_peak, largest_value
from protocol.residue.ciphertext import SecretKey, phase
from protocol.residue.rounding import scale_down


def rows_of(side: Any) -> list[int]:
    p = side.parameters
    return sorted({0, p.rows - 1, p.rows // 2, min(p.gap, p.rows - 1)})


def test_shares_open_to_the_rows(side: Any) -> None:
    p = side.parameters
    for row in rows_of(side):
        query = side.client.query(row)
        answer = side.session.answer(query)
        assert (len(query), len(answer.body)) == (p.query_bytes, p.answer_bytes)
        assert side.opens_to(row, side.client.decrypt(answer.body), answer.share)
        assert np.abs(side.client.relative_errors(answer.body)).max() < 0.5


@pytest.mark.parametrize("name", ["blocks that are no power of two", "flooded"])
def test_a_batch_opens_to_the_rows(make_side: Callable[[str], Any], name: str) -> None:
    side = make_side(name)
    rows = [*rows_of(side), 0]
    answers = list(side.session.answer_many([side.client.query(row) for row in rows]))
    assert len(answers) == -(-len(rows) // side.parameters.answer_tokens)
    clients = np.concatenate([side.client.decrypt_rows(answer.body) for answer in answers])
    servers = np.concatenate([answer.shares for answer in answers])
    for row, client, server in zip(rows, clients, servers, strict=False):
        assert side.opens_to(row, client, server)
    assert len(servers) == len(rows) <= len(clients)


@pytest.mark.parametrize("name", ["blocks that are no power of two", "flooded on two limbs", "one limb"])
def test_selectors_are_the_row_s_monomial_in_its_block(make_side: Callable[[str], Any], name: str) -> None:
    side = make_side(name)
    side.connect()
    p = side.parameters
    ring, limbs = side.server.result_ring, p.table_limbs
    secret = SecretKey(ring, side.client.secret.residues[:limbs])
    for row in rows_of(side):
        query = decode_query(side.server.layout.query_parts, side.client.query(row))
        selectors = np.moveaxis(side.session.selectors(query), 1, 0)
        opened = scale_down(phase(secret, selectors), ring, p.plaintext_modulus)
        wanted = np.zeros((p.blocks, p.degree), dtype=np.uint64)
        block, position = divmod(row, p.gap)
        wanted[block, -position % p.degree] = 1 if position == 0 else p.plaintext_modulus - 1
        np.testing.assert_array_equal(opened, wanted)
    side.connect()


def test_nodes_are_handed_down_for_every_number_of_blocks() -> None:
    """With plain bits in the place of encrypted ones the tree is a demultiplexer."""

    class Plain:
        def __init__(self, bit: int) -> None:
            self.bit = bit

        def fold_pairs(self, nodes: Any, threads: Any) -> Any:
            return nodes[self.bit :: 2]

    class Integers:
        @staticmethod
        def subtract(x: Any, y: Any) -> Any:
            return x - y

    node = np.arange(1, 9, dtype=np.uint64).reshape(2, 1, 4)
    for blocks in range(1, 20):
        levels = (blocks - 1).bit_length()
        for block in range(blocks):
            bits: Any = [Plain(block >> level & 1) for level in range(levels)]
            ring: Any = Integers()
            out = hand_down(node, bits, blocks, ring)
            assert out.shape == (blocks, 2, 1, 4)
            assert np.array_equal(out[block], node)
            assert np.count_nonzero(out) == node.size


def test_bits_of_a_row_are_its_number(side: Any) -> None:
    p = side.parameters
    for row in rows_of(side):
        bits = side.server.layout.row_bits(row)
        place = sum(bit << k for k, bit in enumerate(bits[: p.position_levels]))
        block = sum(bit << k for k, bit in enumerate(bits[p.position_levels :]))
        assert block * p.gap + place == row


def test_counters_go_up(make_side: Callable[[str], Any]) -> None:
    side = make_side("one block")
    side.connect()
    query = side.client.query(1)
    side.session.answer(query)
    with pytest.raises(ProtocolError, match="counter 0, and 1 is next"):
        side.session.answer(query)
    with pytest.raises(ProtocolError, match="counter 0, and 1 is next"):
        list(side.session.answer_many([query]))
    fresh = side.client.query(1)
    with pytest.raises(ProtocolError, match="and 2 is next"):
        list(side.session.answer_many([fresh, fresh]))


def test_secrets_keep_to_the_bound_that_the_flooding_is_sized_for(make_side: Callable[[str], Any]) -> None:
    p = make_side("one block").parameters
    for _ in range(8):
        secret = generate_secret(p, keeps_to_the_peak)
        largest = largest_value(secret) / (p.degree * 2 / 3)
        assert 4 < largest <= secret_peak(p.degree)


def test_secrets_are_drawn_until_one_keeps_to_the_bound_but_not_for_ever(
    make_side: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = make_side("one block").parameters
    bound = secret_peak(p.degree) * p.degree * 2 / 3
    drawn: list[SecretKey] = []

    def measured(secret: SecretKey) -> float:
        drawn.append(secret)
        return bound * 1.001 if len(drawn) < 3 else bound

    monkeypatch.setattr("protocol.expanded.secrets.largest_value", measured)
    secret = generate_secret(p, keeps_to_the_peak)
    assert len(drawn) == 3
    assert secret is drawn[2]
    assert not np.array_equal(drawn[0].residues, drawn[1].residues)
    monkeypatch.setattr("protocol.expanded.secrets.largest_value", lambda secret: 2 * bound)
    with pytest.raises(RuntimeError, match="64 secrets"):
        generate_secret(p, keeps_to_the_peak)
