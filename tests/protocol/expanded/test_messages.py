"""Bytes of queries: exact lengths, one encoding, and what damaged ones give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.expanded.folded.parameters import COUNTER_BYTES
from protocol.errors import ProtocolError
from protocol.expanded.compressed.layout import CompressedLayout
from protocol.expanded.folded.layout import FoldedLayout
from protocol.expanded.layout import QueryPart
from protocol.expanded.messages import Query, decode_query, encode_query
from tests.protocol.expanded.compressed import conftest as compressed
from tests.protocol.expanded.folded import conftest as folded

LAYOUTS = [
    *(FoldedLayout(folded.parameters_of(name)) for name in ("slots", "flooded", "one column")),
    *(CompressedLayout(compressed.parameters_of(name)) for name in ("one block", "flooded", "one limb")),
]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_queries_come_back(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = (
        [int.from_bytes(draw.bytes(16), "little") % 2**part.bits for _ in range(part.coefficients)]
        for part in layout.query_parts
    )
    query = Query(data.draw(st.integers(0, 2**64 - 1)), tuple(values))
    body = encode_query(layout.query_parts, query)
    assert len(body) == layout.parameters.query_bytes
    assert decode_query(layout.query_parts, body) == query


@pytest.mark.parametrize("damaged", [0, 1])
def test_set_padding_bits_are_refused(damaged: int) -> None:
    parts = (QueryPart(3, 7), QueryPart(5, 9))
    ends = (COUNTER_BYTES + 3, COUNTER_BYTES + 3 + 6)
    body = bytearray(ends[-1])
    assert decode_query(parts, bytes(body)) == Query(0, ([0] * 3, [0] * 5))
    body[ends[damaged] - 1] = 0x80
    with pytest.raises(ProtocolError, match="padding"):
        decode_query(parts, bytes(body))
