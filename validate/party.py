"""A party of a campaign as a process: it serves, or asks, one configuration after the other.

Jobs come as JSON lines on standard input and events leave as JSON lines on standard output, as in
:mod:`protocol.server` and :mod:`protocol.client`, whose objects do all the work. What differs is that interpreter,
libraries and compiled kernels are there once for all configurations, and that a table is looked up several times.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.ledger import Phase
from costmodel.parameters import Configuration
from costmodel.tls import RECORDS
from protocol.channel import Channel
from protocol.client import Batch, connect, look_up_each
from protocol.errors import ProtocolError
from protocol.jobs import emit, peak_memory_bytes, shares_path
from protocol.lookup import Answered, LookupServer
from protocol.meter import Meter
from protocol.secured import SecuredSocket
from protocol.seeds import SeedRecord
from protocol.server import load_table
from protocol.threads import Threads
from protocol.tls import Tls, client_context, secured
from validate.accounts import NOTHING, Accounts, accounts
from validate.pace import Pace, at_pace, usual
from validate.wire import written_bytes

HANDSHAKE_S = 10.0
ENCODING_S = 0.3
ENCODINGS = 5
"""A table is encoded again for so long, or until so many encodings had the processor at its usual pace."""


class AccountingMeter(Meter):
    """A meter that also tells what other work took from its party, and what TLS added to its frames.

    Both come from the kernel: from its accounts of the process, and from the bytes that the party has written to its
    socket. What is written besides a frame is of the records around it.
    """

    online: Accounts = NOTHING
    connection: SecuredSocket | None = None
    written: int = 0

    def follow(self, connection: socket.socket) -> int | None:
        """Count records of a connection from now on, if it speaks TLS; bytes of its handshake that the party wrote."""
        if not isinstance(connection, SecuredSocket):
            return None
        self.connection, self.written = connection, written_bytes(connection)
        return self.written

    def sent(self, item: str, size_bytes: int) -> None:
        """As :class:`protocol.meter.Meter`, with the records around the frame as an item of their own."""
        super().sent(item, size_bytes)
        if self.connection is not None:
            before, self.written = self.written, written_bytes(self.connection)
            super().sent(RECORDS, self.written - before - size_bytes)

    @contextmanager
    def phase_of(self, phase: Phase, lookup: int = 0) -> Iterator[None]:
        """As :class:`protocol.meter.Meter`."""
        before = accounts()
        with super().phase_of(phase, lookup):
            yield
        if phase == "online":
            self.online = self.online.plus(accounts().since(before))


def serve(pace: Pace, job: dict[str, Any]) -> None:
    """Encode the job's table as often as it says at least, then serve so many sessions, one after the other.

    Encodings count that had the processor at its usual pace, if there are any.
    """
    configuration = Configuration.from_toml(job["configuration"])
    table = load_table(configuration, job["table"], job["seed"])
    threads, tls = Threads(job["threads"]), None
    if job["tls"]:
        certificate, key = map(Path, job["tls"])
        tls = Tls.server(certificate, key)
    encoded: list[tuple[float, list[dict[str, Any]]]] = []
    encodings: list[list[dict[str, Any]]] = []
    server, start = None, time.monotonic()
    pace.begin()
    while len(encoded) < job["encodings"] or (len(encodings) < ENCODINGS and time.monotonic() - start < ENCODING_S):
        meter, server = Meter("server", threads=threads), None  # one table at a time
        server = LookupServer(configuration, table, meter, lambda *_: None, job["allow_insecure"])
        encoded.append((pace.end(), meter.rows()))
        usual_s = usual(pace.seen_s)
        encodings = [rows for slower_s, rows in encoded if at_pace(slower_s, usual_s)]
    encodings = encodings or [rows for _, rows in encoded]
    assert server is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        emit("listening", port=listener.getsockname()[1])
        for session in range(job["sessions"]):
            connection: socket.socket = listener.accept()[0]
            if tls is not None:
                connection.settimeout(HANDSHAKE_S)
                connection = secured(connection, tls.context)
            meter = AccountingMeter("server", threads=threads)
            handshake_bytes, channel = meter.follow(connection), Channel(connection, meter)
            lookups = 0
            try:
                answered = (event for event in server.open(channel, meter).events() if isinstance(event, Answered))
                for found in islice(answered, job["lookups"]):
                    finished_s = time.monotonic()
                    np.save(shares_path(job["folders"][session], "server", lookups), found.shares)
                    emit(
                        "result",
                        ledger=[*meter.rows(), *encodings[session % len(encodings)]],
                        finished_s=finished_s,
                        accounts=meter.online,
                        pace_s=pace.end(),
                        handshake_bytes=handshake_bytes,
                        peak_memory_bytes=peak_memory_bytes(),
                    )
                    meter.forget(found.number + 1)
                    lookups += 1
                if lookups < job["lookups"]:
                    raise ProtocolError(f"client ended the session after {lookups} of {job['lookups']} lookups")
            except ProtocolError as error:
                channel.fail(str(error))
                raise
            finally:
                channel.close()


def ask(pace: Pace, job: dict[str, Any]) -> None:
    """Look the job's batches up in so many sessions, one after the other."""
    seeds, batches = SeedRecord(), [Batch(tokens, prepared) for tokens, prepared in job["batches"]]
    most, insecure = max(len(batch.tokens) for batch in batches), job["allow_insecure"]
    tls = client_context(Path(job["tls"][0])) if job["tls"] else None
    pace.begin()
    for session in range(job["sessions"]):
        meter, connected_s = AccountingMeter("client"), time.monotonic()
        connection = connect("127.0.0.1", job["port"], tls)
        handshake_bytes, channel = meter.follow(connection), Channel(connection, meter)
        try:
            for number, found in enumerate(look_up_each(channel, meter, batches, most, insecure, seeds)):
                np.save(shares_path(job["folders"][session], "client", number), found.shares)
                emit(
                    "result",
                    ledger=found.ledger,
                    connected_s=connected_s,
                    started_s=found.started_s,
                    finished_s=found.finished_s,
                    noise_bits=found.noise_bits,
                    accounts=meter.online,
                    pace_s=pace.end(),
                    handshake_bytes=handshake_bytes,
                    peak_memory_bytes=peak_memory_bytes(),
                )
                pace.begin()  # the server, which looks once, is ready by then
        finally:
            channel.close()


def main() -> int:
    """Do the jobs on standard input until it ends; one that fails is reported and ends none of the others."""
    work = partial({"server": serve, "client": ask}[sys.argv[1]], Pace())
    for line in sys.stdin:
        try:
            work(json.loads(line))
        except (ProtocolError, ValueError, RuntimeError, MemoryError) as error:
            emit("failed", reason=str(error) or type(error).__name__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
