"""Fuzz targets: what a peer or a file may be, damaged, is read or refused with the error that is meant for it.

A corpus of valid inputs is kept in ``corpus/``, a file an input; what once went wrong is added to it.

    python -m tests.protocol.fuzzing --seconds 60            (`make fuzz`; all targets in turn, to the first surprise)
    python -m tests.protocol.fuzzing --make                  (the valid inputs anew)
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.engine import ClientEngine, ServerEngine
from protocol.engines import engine_of
from protocol.errors import ProtocolError
from protocol.frames import HEADER, Kind, check_body, decode_header, encode_frame
from protocol.meter import Meter
from protocol.parameters_message import (
    JSON_BYTES,
    PARAMETERS_LENGTHS,
    decode_budget,
    decode_parameters,
    encode_parameters,
)
from protocol.requirements import Requirements
from protocol.seeds import RecentSeeds, SeedRecord
from protocol.server import load_table
from quantize.packed import PackedTable

CORPUS = Path(__file__).with_name("corpus")
TABLE = Table(300, 24)
PROTOCOLS = ("fastquery", "folded", "compressed")


def read_parameters(data: bytes) -> None:
    """A server's parameters, and what a client requires of them."""
    if len(data) in PARAMETERS_LENGTHS:
        decode_budget(data)
        configuration, _ = decode_parameters(data)
        Requirements().check(configuration)


def read_frame(data: bytes) -> None:
    """A frame."""
    if len(data) >= HEADER.size:
        _, _, length, checksum = decode_header(data[: HEADER.size])
        check_body(data[: HEADER.size], data[HEADER.size :][:length], checksum)


def read_table(data: bytes) -> None:
    """A packed table in a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.safetensors")
        path.write_bytes(data)
        PackedTable.load(path)


class Parties:
    """Both engines of a protocol, whose messages are the corpus."""

    def __init__(self, protocol: str) -> None:
        self.configuration = executed(protocol, TABLE)
        table = load_table(self.configuration, "300x24", 0)
        self.server: ServerEngine = engine_of(self.configuration).server(
            self.configuration, table.coefficients, Meter("server"), lambda *_: None, False
        )
        self.columns = table.coefficients.shape[1]

    def forget_seeds(self) -> None:
        """Let seeds come again, so that what comes after them is read."""
        for owner in (self.server, getattr(self.server, "server", None), getattr(self.server, "_server", None)):
            if hasattr(owner, "seeds"):
                owner.seeds = RecentSeeds()

    def client(self) -> ClientEngine:
        """A fresh client of one token."""
        return engine_of(self.configuration).client(self.configuration, 1, Meter("client"), False, SeedRecord())

    def read_keys(self, data: bytes) -> None:
        """A client's keys, of the length that the channel lets through."""
        self.forget_seeds()
        session = self.server.session(1, Meter("server"))
        if len(data) == session.shapes.keys.length:
            session.accept_keys([data])

    def read_query(self, data: bytes) -> None:
        """A client's query, under keys of another."""
        self.forget_seeds()
        session = self.server.session(1, Meter("server"))
        if len(data) == session.shapes.query.length:
            session.accept_keys(list(self.client().keys()))
            list(session.answer([data], np.empty((1, self.columns), dtype=np.int64)))

    def read_shares(self, data: bytes) -> None:
        """A server's answer, from which the client's shares come."""
        client = self.client()
        if len(data) == client.shapes.answer.length:
            client.decrypt([data])


def targets() -> dict[str, Callable[[bytes], None]]:
    """Every target by its name, which its files in the corpus begin with."""
    found: dict[str, Callable[[bytes], None]] = {
        "parameters": read_parameters,
        "frame": read_frame,
        "table": read_table,
    }
    for protocol in PROTOCOLS:
        parties = Parties(protocol)
        found[f"keys-{protocol}"] = parties.read_keys
        found[f"query-{protocol}"] = parties.read_query
        found[f"shares-{protocol}"] = parties.read_shares
    return found


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, a part moved, cut or repeated, or a value of the JSON at the front exchanged."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(out)) if out else 0
        what = chance.randrange(6)
        if what == 0 and out:
            out[place] ^= 1 << chance.randrange(8)
        elif what == 1:
            part = chance.choice((b"\0", b"\xff", b"\x7f")) * chance.choice((1, 8, 64))
            out[place : place + len(part)] = part[: len(out) - place]
        elif what == 2:
            source = chance.randrange(len(out)) if out else 0
            part = bytes(out[source : source + 32])
            out[place : place + len(part)] = part[: len(out) - place]
        elif what == 3:
            out[place : place + 8] = chance.randbytes(8)[: max(0, len(out) - place)]
        elif what == 4 and chance.random() < 0.1:
            del out[place:]
        else:
            out = bytearray(_other_value(bytes(out), chance))
    return bytes(out)


def _other_value(data: bytes, chance: random.Random) -> bytes:
    try:
        block = json.loads(data[:JSON_BYTES])
        section = block[chance.choice(list(block))]
        while isinstance(section, dict) and chance.random() < 0.8:
            key = chance.choice(list(section))
            if not isinstance(section[key], dict):
                section[key] = chance.choice((None, -1, 0, 2**70, 1e308, float("nan"), "", [], [2**63], {}, True))
                break
            section = section[key]
        text = json.dumps(block).encode()[:JSON_BYTES].ljust(JSON_BYTES)
    except (ValueError, IndexError, TypeError, KeyError):
        return data
    return text + data[JSON_BYTES:]


def corpus(name: str) -> list[bytes]:
    """The kept inputs of a target."""
    return [path.read_bytes() for path in sorted(CORPUS.glob(f"{name}.*"))]


def fuzz(name: str, target: Callable[[bytes], None], inputs: list[bytes], seconds: float, seed: int) -> int:
    """Throw damaged inputs at a target; how many there were.

    Raises
    ------
    Exception
        Whatever is neither a `ProtocolError` nor a `ValueError`; the input is kept in the corpus.
    """
    chance, thrown, end = random.Random(f"{name} {seed}"), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(chance.choice(inputs), chance)
        try:
            target(data)
        except (ProtocolError, ValueError):
            pass
        except Exception:
            CORPUS.mkdir(exist_ok=True)
            (CORPUS / f"{name}.surprise-{seed}-{thrown}").write_bytes(data)
            raise
        thrown += 1
    return thrown


def made() -> dict[str, bytes]:
    """Valid inputs that are small enough to be kept; those of engines are made when they are needed."""
    configuration, folded = executed("fastquery", TABLE), executed("folded", TABLE)
    table = load_table(configuration, "300x24", 0)
    inputs = {
        "parameters.valid": encode_parameters(configuration, table.public),
        "parameters.folded": encode_parameters(folded, load_table(folded, "300x24", 0).public),
        "frame.hello": encode_frame(Kind.HELLO, 0, bytes(84)),
        "frame.error": encode_frame(Kind.ERROR, 3, b"server is full"),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.safetensors")
        table.save(path)
        inputs["table.valid"] = path.read_bytes()
    return inputs


def messages(protocol: str) -> dict[str, bytes]:
    """A valid message of each kind of an engine, by target."""
    parties = Parties(protocol)
    client, session = parties.client(), parties.server.session(1, Meter("server"))
    (keys,) = client.keys()
    session.accept_keys([keys])
    (query,) = client.encrypt([7])
    (answer,) = session.answer([query], np.empty((1, parties.columns), dtype=np.int64))
    return {f"keys-{protocol}": keys, f"query-{protocol}": query, f"shares-{protocol}": answer}


def main() -> None:
    """Fuzz all targets in turn, or make the corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each target (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--make", action="store_true", help="write the valid inputs to the corpus")
    arguments = parser.parse_args()
    if arguments.make:
        CORPUS.mkdir(exist_ok=True)
        for name, data in made().items():
            (CORPUS / name).write_bytes(data)
        return
    valid = {name: data for protocol in PROTOCOLS for name, data in messages(protocol).items()}
    for name, target in targets().items():
        inputs = [*corpus(name), *([valid[name]] if name in valid else [])]
        thrown = fuzz(name, target, inputs, arguments.seconds, arguments.seed)
        print(f"{name}: {thrown} inputs", flush=True)


if __name__ == "__main__":
    main()
