"""Known answers: how seeds expand, noise is sampled, frames look, transfers hash, and a session of every engine goes.

python -m tests.protocol.known_answers          prints them anew, as `known_answers.json` has them
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.alignment.correlated import hash_rows
from protocol.engines import engine_of
from protocol.frames import Kind, encode_frame
from protocol.meter import Meter
from protocol.openfhe.context import residue_context
from protocol.residue.context import read_ring
from protocol.residue.sampling import expand, sample_gaussian, sample_ternary
from protocol.seeds import SeedRecord
from protocol.server import load_table

SHAPE = Table(300, 24)
SESSIONS = {
    "fastquery": {"protocol": "fastquery"},
    "fastquery, prepared": {"protocol": "fastquery", "prepared": True},
    "folded": {"protocol": "folded"},
    "compressed": {"protocol": "compressed"},
}


@contextmanager
def known_randomness() -> Iterator[None]:
    """The operating system's randomness replaced by a stream of SHAKE-128 in this thread, for known answers alone."""
    drawn, here, real = 0, threading.get_ident(), os.urandom

    def known(count: int) -> bytes:
        nonlocal drawn
        if threading.get_ident() != here:
            return real(count)
        drawn += 1
        return hashlib.shake_128(b"known answers" + drawn.to_bytes(8, "little")).digest(count)

    with mock.patch.object(os, "urandom", known), mock.patch.object(secrets, "token_bytes", known):
        yield


def digest(data: bytes) -> str:
    """SHA-256, shortened."""
    return hashlib.sha256(data).hexdigest()[:32]


def expansion() -> dict[str, str]:
    """Public polynomials of a seed, by label and index."""
    ring = read_ring(residue_context(executed("fastquery", Table(300, 96)).ring))
    seed = bytes(range(32))
    return {
        f"{label} {index}": digest(expand(seed, label, index, ring).astype("<u8").tobytes())
        for label in ("query", "switching key", "public key")
        for index in (0, 1, 2**40)
    }


def sampling() -> dict[str, str]:
    """Secrets and noise from known randomness."""
    with known_randomness():
        return {
            "ternary": digest(sample_ternary(4096).astype("<i8").tobytes()),
            "gaussian": digest(sample_gaussian(4096).astype("<i8").tobytes()),
        }


def frames() -> dict[str, str]:
    """A frame of every kind, whole."""
    return {kind.item: encode_frame(kind, 7, bytes(range(9))).hex() for kind in Kind}


def transfers() -> dict[str, str]:
    """Hashes of rows of the extension."""
    rows = np.frombuffer(hashlib.shake_128(b"rows").digest(16 * 64), dtype=np.uint8).reshape(64, 16)
    return {
        f"{salt.hex()} from {first}": digest(hash_rows(salt, first, rows).astype("<u8").tobytes())
        for salt in (bytes(16), bytes(range(16)))
        for first in (0, 1000)
    }


def session(options: dict[str, object], meter: Meter | None = None, shape: Table = SHAPE, tokens: int = 2) -> str:
    """Every byte that both parties of a lookup send, and both shares; the meter counts the server's session."""
    chosen = dict(options)
    configuration = executed(str(chosen.pop("protocol")), shape, **chosen)  # type: ignore[arg-type]
    table = load_table(configuration, f"{shape.rows}x{shape.channels}", 0).coefficients
    columns = table.shape[1]
    server = engine_of(configuration).server(configuration, table, Meter("server"), lambda *_: None, False)
    engine_of(configuration).client(
        configuration, tokens, Meter("client"), False, SeedRecord()
    )  # compiles, and draws for it
    said = hashlib.sha256()
    shares = np.empty((tokens, columns), dtype=np.int64)
    with known_randomness():
        client = engine_of(configuration).client(configuration, tokens, Meter("client"), False, SeedRecord())
        keys = list(client.keys())
        of_server = server.session(tokens, meter or Meter("server"))
        of_server.accept_keys(keys)
        halves: list[bytes] = []
        if configuration.has_offline_phase:
            announced = list(client.announce())
            halves = list(of_server.prepare(announced))
            client.accept_first_halves(halves)
            keys += announced
        query = list(client.encrypt([3, 299, *range(tokens)][:tokens]))
        answer = list(of_server.answer(query, shares))
        own = client.decrypt(answer)
    for frame in (*keys, *halves, *query, *answer, own.astype("<i8").tobytes(), shares.astype("<i8").tobytes()):
        said.update(frame)
    return said.hexdigest()[:32]


PARTS: dict[str, Callable[[], dict[str, str]]] = {
    "expansion": expansion,
    "sampling": sampling,
    "frames": frames,
    "transfers": transfers,
    "sessions": lambda: {name: session(dict(options)) for name, options in SESSIONS.items()},
}

if __name__ == "__main__":
    print(json.dumps({name: made() for name, made in PARTS.items()}, indent=1))
