"""Bytes of queries: exact lengths, one encoding, and what damaged ones give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import ProtocolError
from protocol.expanded.compressed import messages
from tests.protocol.expanded.compressed.conftest import parameters_of


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


def test_set_padding_bits_are_refused() -> None:
    p = parameters_of("one limb")
    p = replace(p, sent_bits=p.sent_bits | 1)
    assert p.query_coefficients * p.sent_bits % 8
    with pytest.raises(ProtocolError, match="padding"):
        messages.decode_query(p, bytes(p.query_bytes - 1) + b"\x80")
