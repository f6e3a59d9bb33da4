"""What holds of both expanded queries: their messages, seeds and masks, and what they refuse."""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import pytest

from costmodel.wire import SEED_BYTES
from protocol.errors import ProtocolError
from protocol.expanded.messages import decode_answer, decode_keys, decode_query, encode_keys
from protocol.seeds import SeedRecord, SeedReused
from tests.protocol.expanded.compressed import conftest as compressed
from tests.protocol.expanded.folded import conftest as folded
from tests.protocol.expanded.sides import MIDDLE

SIDES: list[tuple[Any, str]] = [
    (folded, "slots"),
    (folded, "two blocks"),
    (folded, "flooded"),
    (folded, "three limbs, wide plaintext, flooded"),
    (compressed, "one block"),
    (compressed, "flooded"),
    (compressed, "one limb"),
]


@cache
def side_of(query: Any, name: str) -> Any:
    return query.Side(query.parameters_of(name))


@pytest.fixture(params=SIDES, ids=lambda param: param[1])
def side(request: pytest.FixtureRequest) -> Any:
    """A new client of a table that the tests of a run share."""
    made = side_of(*request.param)
    made.connect()
    return made


def test_keys_come_back(side: Any) -> None:
    p, ring = side.parameters, side.server.ring
    body = side.client.keys()
    assert len(body) == p.key_bytes
    assert encode_keys(p, ring, decode_keys(p, ring, body)) == body


def test_wrong_lengths_are_refused(side: Any) -> None:
    p, ring = side.parameters, side.server.ring
    query = side.client.query(0)
    answer = side.session.answer(query).body
    keys = side.client.keys()
    for change in (lambda body: body[:-1], lambda body: body + b"\0", lambda body: b""):
        with pytest.raises(ProtocolError, match="query of"):
            decode_query(side.server.layout.query_parts, change(query))
        with pytest.raises(ProtocolError, match="answer of"):
            decode_answer(p, change(answer))
        with pytest.raises(ProtocolError, match="keys of"):
            decode_keys(p, ring, change(keys))


def test_residues_not_below_the_modulus_are_refused(side: Any) -> None:
    p, ring = side.parameters, side.server.ring
    keys = side.client.keys()
    sizes = [rows * p.degree * bits // 8 for rows, limbs in p.key_groups for bits in p.limb_bits[:limbs] if rows]
    *positions, end = accumulate(sizes, initial=SEED_BYTES)
    assert end + p.ring_switch_bytes == len(keys)  # whose residues modulo a power of two are all valid
    for position in (*positions, end - 8):
        with pytest.raises(ProtocolError, match="not below its modulus"):
            decode_keys(p, ring, keys[:position] + b"\xff" * 8 + keys[position + 8 :])


def test_nothing_of_the_secret_is_sent(side: Any) -> None:
    """No residue of s stands in keys or queries as it does in memory."""
    sent = side.client.keys() + side.client.query(0)
    for limb in side.client.secret.residues:
        for residue in limb[:64]:
            assert int(residue).to_bytes(8, "little")[:7] not in sent


def test_frames_of_all_tokens_are_alike(side: Any) -> None:
    rows = side.parameters.rows
    queries = [side.client.query(token) for token in range(0, rows, -(-rows // 6))]
    answers = side.session.answer_many(queries)
    assert len({len(query) for query in queries}) == 1
    assert len({len(answer.body) for answer in answers}) == 1


def test_shares_differ_from_answer_to_answer(side: Any) -> None:
    first, second = (side.session.answer(side.client.query(7)) for _ in range(2))
    assert not np.array_equal(first.share, second.share)
    assert first.body != second.body


def test_a_seed_opens_one_session(side: Any) -> None:
    keys = side.client.keys()
    assert side.client.keys() == keys
    with pytest.raises(ProtocolError, match="repeat a seed"):
        side.server.open(keys)


@pytest.mark.parametrize("query", [folded, compressed])
def test_a_client_s_seed_is_entered_in_its_record(query: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    record, parameters = SeedRecord(), query.parameters_of(next(iter(query.SHAPES)))
    monkeypatch.setattr("protocol.expanded.client.new_seed", lambda: b"7" * 32)
    query.Side.client_type(parameters, record)
    with pytest.raises(SeedReused):
        query.Side.client_type(parameters, record)


def test_tokens_outside_the_vocabulary_are_refused_unnamed(side: Any) -> None:
    for token in (-1, side.parameters.rows, 123456):
        with pytest.raises(ValueError, match="outside the vocabulary") as refused:
            side.client.query(token)
        assert str(token) not in str(refused.value)


def test_a_table_of_another_shape_or_range_is_refused(side: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        side.server_type(side.parameters, side.table[:-1], MIDDLE)
    wide = side.table.copy()
    wide[3, 4] += 2 * side.parameters.element_bound + 1
    with pytest.raises(ValueError, match="magnitude"):
        side.server_type(side.parameters, wide, MIDDLE)
