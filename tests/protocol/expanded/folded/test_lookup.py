"""Queries end to end: shares, prepared and one after the other, together, and OpenFHE's own decryption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from costmodel.parameters import Ring
from protocol.errors import ProtocolError
from protocol.expanded.folded.server import MOST_PREPARED
from protocol.openfhe.context import residue_context
from protocol.openfhe_library import load_openfhe
from protocol.residue.serialised import replace_polynomials
from tests.protocol.expanded.sides import MIDDLE
from tests.protocol.residue.bridge import CiphertextWriter


def rows_of(side: Any) -> list[int]:
    rows = side.parameters.rows
    return sorted({0, rows - 1, rows // 2})


def test_shares_open_to_the_rows(side: Any) -> None:
    p = side.parameters
    for row in rows_of(side):
        query = side.client.query(row)
        answer = side.session.answer(query)
        assert (len(query), len(answer.body)) == (p.query_bytes, p.answer_bytes)
        assert side.opens_to(row, side.client.decrypt(answer.body), answer.share)
        assert np.abs(side.client.relative_errors(answer.body)).max() < 0.5


def test_prepared_queries_open_to_the_rows(side: Any) -> None:
    for row in rows_of(side):
        query = side.client.query(row)
        kept = side.session.prepare(int.from_bytes(query[:8], "little"))
        assert 0 < kept.size_bytes < 1 << 26
        answer = side.session.answer(query)
        assert side.opens_to(row, side.client.decrypt(answer.body), answer.share)


def test_a_batch_opens_to_the_rows(side: Any) -> None:
    rows = [*rows_of(side), 0]
    answers = list(side.session.answer_many([side.client.query(row) for row in rows]))
    assert len(answers) == -(-len(rows) // side.parameters.answer_tokens)
    clients = np.concatenate([side.client.decrypt_rows(answer.body) for answer in answers])
    servers = np.concatenate([answer.shares for answer in answers])
    for row, client, server in zip(rows, clients, servers, strict=False):
        assert side.opens_to(row, client, server)
    assert len(servers) == len(rows) <= len(clients)


@pytest.mark.parametrize("name", ["slots", "two blocks", "flooded", "modulus no power of two"])
def test_openfhe_decrypts_the_unswitched_answer(make_side: Callable[[str], Any], name: str) -> None:
    side = make_side(name)
    p = side.parameters
    row = p.rows - 1
    result = side.session.result(side.client.query(row))
    context, openfhe = residue_context(Ring(p.degree, p.limb_bits, p.plaintext_modulus)), load_openfhe()
    serialised = openfhe.Serialize(context.KeyGen().secretKey, openfhe.BINARY)
    written = replace_polynomials(serialised, side.server.ring, side.client.secret.residues[None])
    key = openfhe.DeserializePrivateKeyString(written, openfhe.BINARY)
    writer = CiphertextWriter(context, key)
    opened = []
    for ciphertext in side.server.ring.forward(result):
        plaintext = context.Decrypt(writer.write(ciphertext), key)
        plaintext.SetLength(p.degree)
        opened.append(plaintext.GetCoefPackedValue())
    share = np.array(opened, dtype=np.int64)[side.server.layout.row_positions()] % p.plaintext_modulus
    assert side.opens_to(row, share.astype(np.uint64), np.uint64(MIDDLE))


def test_a_counter_is_used_once(make_side: Callable[[str], Any]) -> None:
    side = make_side("slots")
    query = side.client.query(1)
    side.session.answer(query)
    for again in (side.session.answer, side.session.result, lambda body: side.session.answer_many([body])):
        with pytest.raises(ProtocolError, match="repeats a counter"):
            again(query)
    with pytest.raises(ProtocolError, match="repeats a counter"):
        side.session.prepare(int.from_bytes(query[:8], "little"))
    fresh = side.client.query(1)
    with pytest.raises(ProtocolError, match="repeats a counter"):
        side.session.answer_many([fresh, fresh])


def test_no_more_is_prepared_than_is_kept(make_side: Callable[[str], Any]) -> None:
    side = make_side("a single row")
    side.connect()
    for counter in range(MOST_PREPARED):
        side.session.prepare(counter)
    with pytest.raises(ProtocolError, match="prepared already"):
        side.session.prepare(MOST_PREPARED)
