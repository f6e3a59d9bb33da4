"""Bytes of queries: exact lengths, one encoding, and what damaged ones give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import ProtocolError
from protocol.expanded.folded import messages
from tests.protocol.expanded.folded.conftest import parameters_of


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
