"""Sentences whose rows were looked up privately embed exactly as with the quantised table in the clear."""

from __future__ import annotations

import socket
import threading
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from costmodel.parameters import Configuration, Table
from costmodel.systems import configuration
from fastquery.quantization import quantize
from protocol.channel import Channel
from protocol.execute import execute
from protocol.lookup import ClientSession, LookupServer
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.minilm import MiniLM
from quantize.packed import PackedTable
from quantize.tables import MINILM_PACKAGE

pytest.importorskip("openfhe")
try:
    distribution(MINILM_PACKAGE)
except PackageNotFoundError:
    pytest.skip(f"{MINILM_PACKAGE} is not installed", allow_module_level=True)

SENTENCES = ["A private question.", "The ferry leaves at seven."]
Shares = NDArray[Any]


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return MiniLM.load()


def configured(packed: PackedTable, tokens: int, **options: Any) -> Configuration:
    table = Table(packed.public.rows, packed.public.channels, tokens)
    return configuration("fastquery", table, levels=packed.public.field_levels, engine="residue", **options)


def look_up(asked: Configuration, packed: PackedTable, tokens: list[int]) -> tuple[ClientSession, Shares, Shares]:
    """Both parties' shares of the rows, and what the client knows: its session."""
    here, there = socket.socketpair()
    server = LookupServer(asked, packed, Meter("server"), lambda *_: None, allow_insecure=False)
    of_server: list[Shares] = []

    def serve() -> None:
        meter = Meter("server")
        channel = Channel(here, meter, timeout_s=60.0)
        try:
            of_server.append(server.session(channel, meter))
        finally:
            channel.close()

    thread = threading.Thread(target=serve)
    thread.start()
    meter = Meter("client")
    channel = Channel(there, meter, timeout_s=60.0)
    try:
        session = ClientSession.open(channel, meter, len(tokens), False, SeedRecord())
        of_client = session.lookup(tokens)
    finally:
        channel.close()
        thread.join()
    return session, of_client, of_server[0]


def test_a_sentence_looked_up_privately_embeds_as_in_the_clear(model: MiniLM) -> None:
    packed = quantize("minilm", "half-integer-free")
    batch = model.tokenize(SENTENCES[:1])
    asked = configured(packed, len(batch.ids), flooding_bits=0)
    session, client, server = look_up(asked, packed, batch.ids.tolist())
    assert not np.array_equal(client % asked.ring.plaintext_modulus, packed.coefficients[batch.ids])
    levels = session.public.open((client + server) % asked.ring.plaintext_modulus)
    private = model.embed(batch, session.public.dequantize(levels))
    clear = model.embed(batch, packed.embeddings(batch.ids))
    assert np.array_equal(private, clear)
    own = model.embed(batch, model.word_embeddings[batch.ids])
    assert 0.98 < float((private * own).sum()) < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("int4", {"flooding_bits": 0}),
        ("hadamard", {"flooding_bits": 0}),
        ("eleven-levels", {"flooding_bits": 0}),
        ("fastquery", {}),
        ("hadamard-ten-levels", {}),
        ("fastquery", {"prepared": True}),
        ("hadamard-ten-levels", {"prepared": True}),
    ],
)
def test_sentences_looked_up_privately_embed_as_in_the_clear(
    model: MiniLM, recipe: str, options: dict[str, Any]
) -> None:
    packed = quantize("minilm", recipe)
    batch = model.tokenize(SENTENCES)
    asked = configured(packed, len(batch.ids), **options)
    session, client, server = look_up(asked, packed, batch.ids.tolist())
    levels = session.public.open((client + server) % asked.ring.plaintext_modulus)
    private = model.embed(batch, session.public.dequantize(levels))
    assert np.array_equal(private, model.embed(batch, packed.embeddings(batch.ids)))


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "align_bits"), [("fastquery", 16), ("fastquery", 37), ("hadamard-ten-levels", 37)])
def test_aligned_shares_become_shares_of_the_embedding_with_no_further_word(
    model: MiniLM, recipe: str, align_bits: int
) -> None:
    packed = quantize("minilm", recipe)
    batch = model.tokenize(SENTENCES)
    asked = configured(packed, len(batch.ids), align_bits=align_bits)
    session, client, server = look_up(asked, packed, batch.ids.tolist())
    modulus = np.uint64(1 << align_bits)
    levels = session.public.open_fields(((client + server) % modulus).astype(np.int64))
    clear = packed.embeddings(batch.ids)
    assert np.array_equal(session.public.dequantize(levels), clear)
    if align_bits == 16:
        return
    fraction_bits = 12
    shares = [
        session.public.share_of_embedding(client, True, align_bits, fraction_bits),
        packed.public.share_of_embedding(server, False, align_bits, fraction_bits),
    ]
    total = ((shares[0] + shares[1]) % modulus).astype(np.int64)
    signed = np.where(total >= 1 << (align_bits - 1), total - (1 << align_bits), total)
    opened = signed * packed.public.unit(fraction_bits)
    if recipe == "fastquery":  # scales are powers of two
        assert np.array_equal(opened.astype(np.float32), clear)
    np.testing.assert_allclose(model.embed(batch, opened.astype(np.float32)), model.embed(batch, clear), atol=1e-4)


@pytest.mark.slow
def test_a_packed_file_is_looked_up_by_two_processes(model: MiniLM, tmp_path: Any) -> None:
    packed = quantize("minilm", "hadamard-ten-levels")
    path = tmp_path / "packed.safetensors"
    packed.save(path)
    batch = model.tokenize(SENTENCES)
    asked = configured(packed, len(batch.ids))
    executed = execute(asked, str(path), batch.ids.tolist())
    opened = (executed.client_shares + executed.server_shares) % asked.ring.plaintext_modulus
    private = model.embed(batch, packed.public.dequantize(packed.public.open(opened)))
    assert np.array_equal(private, model.embed(batch, packed.embeddings(batch.ids)))
