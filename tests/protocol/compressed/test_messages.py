"""Bytes of keys and queries: exact lengths, one encoding, and what damaged ones give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.wire import SEED_BYTES
from protocol.compressed import messages
from protocol.compressed.client import CompressedClient
from protocol.errors import ProtocolError
from protocol.folded.messages import decode_answer
from tests.protocol.compressed.conftest import parameters_of


def test_keys_come_back(side: Any) -> None:
    p, ring = side.parameters, side.server.ring
    body = side.client.keys()
    assert len(body) == p.key_bytes
    assert messages.encode_keys(ring, messages.decode_keys(p, ring, body)) == body


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_queries_come_back(data: st.DataObject) -> None:
    p = parameters_of(data.draw(st.sampled_from(["one block", "flooded", "one limb"])))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    query = messages.Query(
        data.draw(st.integers(0, 2**64 - 1)),
        [int.from_bytes(draw.bytes(16), "little") % 2**p.sent_bits for _ in range(p.query_coefficients)],
    )
    body = messages.encode_query(p, query)
    assert len(body) == p.query_bytes
    assert messages.decode_query(p, body) == query


def test_wrong_lengths_are_refused(make_side: Callable[[str], Any]) -> None:
    side = make_side("one block")
    p, ring = side.parameters, side.server.ring
    query = side.client.query(1)
    answer = side.session.answer(query).body
    keys = side.client.keys()
    for change in (lambda body: body[:-1], lambda body: body + b"\0", lambda body: b""):
        with pytest.raises(ProtocolError, match="query of"):
            messages.decode_query(p, change(query))
        with pytest.raises(ProtocolError, match="answer of"):
            decode_answer(p, change(answer))
        with pytest.raises(ProtocolError, match="keys of"):
            messages.decode_keys(p, ring, change(keys))


def test_set_padding_bits_are_refused() -> None:
    p = parameters_of("one limb")
    p = replace(p, sent_bits=p.sent_bits | 1)
    assert p.query_coefficients * p.sent_bits % 8
    with pytest.raises(ProtocolError, match="padding"):
        messages.decode_query(p, bytes(p.query_bytes - 1) + b"\x80")


@pytest.mark.parametrize("name", ["flooded", "one block"])
def test_residues_not_below_the_modulus_are_refused(make_side: Callable[[str], Any], name: str) -> None:
    side = make_side(name)
    p, ring = side.parameters, side.server.ring
    keys = bytearray(side.client.keys())
    in_table_rows = SEED_BYTES + sum(p.key_rows * p.degree * bits // 8 for bits in p.limb_bits)
    for position in (SEED_BYTES, in_table_rows, len(keys) - 8):
        broken = keys.copy()
        broken[position : position + 8] = b"\xff" * 8
        with pytest.raises(ProtocolError, match="not below its modulus"):
            messages.decode_keys(p, ring, bytes(broken))


@pytest.mark.parametrize("name", ["flooded", "one limb"])
def test_nothing_of_the_secret_is_sent(name: str) -> None:
    """No residue of s stands in keys or queries as it does in memory."""
    client = CompressedClient(parameters_of(name))
    sent = client.keys() + client.query(0)
    for limb in client.secret.residues:
        for residue in limb[:64]:
            assert int(residue).to_bytes(8, "little")[:7] not in sent


def test_frames_of_all_tokens_are_alike(make_side: Callable[[str], Any]) -> None:
    side = make_side("one block")
    queries = [side.client.query(token) for token in range(0, 1000, 150)]
    answers = side.session.answer_many(queries)
    assert len({len(query) for query in queries}) == 1
    assert len({len(answer.body) for answer in answers}) == 1
