"""Bytes of keys, queries and answers: exact lengths, one encoding, and what damaged ones give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import ProtocolError
from protocol.folded import messages
from tests.protocol.folded.conftest import parameters_of


def test_keys_come_back(side: Any) -> None:
    p, ring = side.parameters, side.server.ring
    body = side.client.keys()
    assert len(body) == p.key_bytes
    assert messages.encode_keys(p, ring, messages.decode_keys(p, ring, body)) == body


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_queries_come_back(data: st.DataObject) -> None:
    p = parameters_of(data.draw(st.sampled_from(["slots", "flooded, ring switch", "one column"])))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    query = messages.Query(
        data.draw(st.integers(0, 2**64 - 1)),
        [int.from_bytes(draw.bytes(16), "little") % 2**p.selector_bits for _ in range(p.selectors)],
        [int.from_bytes(draw.bytes(16), "little") % 2**p.fold_bits for _ in range(p.fold_coefficients)],
    )
    body = messages.encode_query(p, query)
    assert len(body) == p.query_bytes
    assert messages.decode_query(p, body) == query


def test_wrong_lengths_are_refused(make_side: Callable[[str], Any]) -> None:
    side = make_side("slots")
    p, ring = side.parameters, side.server.ring
    query = side.client.query(1)
    answer = side.session.answer(query).body
    keys = side.client.keys()
    for change in (lambda body: body[:-1], lambda body: body + b"\0", lambda body: b""):
        with pytest.raises(ProtocolError, match="query of"):
            messages.decode_query(p, change(query))
        with pytest.raises(ProtocolError, match="answer of"):
            messages.decode_answer(p, change(answer))
        with pytest.raises(ProtocolError, match="keys of"):
            messages.decode_keys(p, ring, change(keys))


def test_set_padding_bits_are_refused() -> None:
    p = parameters_of("slots")
    p = replace(p, selector_bits=p.selector_bits | 1, answer_b_bits=p.answer_b_bits | 1)
    assert p.selectors * p.selector_bits % 8
    assert p.row_coefficients * p.answer_b_bits % 8 == 0 or p.row_coefficients % 8
    zeros = bytearray(p.query_bytes)
    end = messages.COUNTER_BYTES + -(-p.selectors * p.selector_bits // 8)
    zeros[end - 1] = 0x80
    with pytest.raises(ProtocolError, match="padding"):
        messages.decode_query(p, bytes(zeros))


def test_residues_not_below_the_modulus_are_refused(make_side: Callable[[str], Any]) -> None:
    side = make_side("flooded, ring switch")
    p, ring = side.parameters, side.server.ring
    keys = bytearray(side.client.keys())
    for position in (messages.SEED_BYTES, len(keys) - 8):
        broken = keys.copy()
        broken[position : position + 8] = b"\xff" * 8
        with pytest.raises(ProtocolError, match="not below its modulus"):
            messages.decode_keys(p, ring, bytes(broken))


def test_nothing_of_the_secret_is_sent(side: Any) -> None:
    """No residue of s stands in keys or queries as it does in memory."""
    sent = side.client.keys() + side.client.query(0)
    for limb in side.client.secret.residues:
        for residue in limb[:64]:
            assert int(residue).to_bytes(8, "little")[:7] not in sent


def test_frames_of_all_tokens_are_alike(make_side: Callable[[str], Any]) -> None:
    side = make_side("slots")
    queries = [side.client.query(token) for token in range(0, 300, 50)]
    answers = side.session.answer_many(queries)
    assert len({len(query) for query in queries}) == 1
    assert len({len(answer.body) for answer in answers}) == 1
