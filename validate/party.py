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
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.ledger import Phase
from costmodel.parameters import Configuration
from protocol.channel import Channel
from protocol.client import connect, look_up
from protocol.errors import ProtocolError
from protocol.jobs import emit, peak_memory_bytes
from protocol.lookup import LookupServer
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.server import load_table
from validate.accounts import NOTHING, Accounts, accounts


class AccountingMeter(Meter):
    """A meter that also tells what other work took from its party, by the kernel's accounts."""

    online: Accounts = NOTHING

    @contextmanager
    def phase_of(self, phase: Phase, lookup: int = 0) -> Iterator[None]:
        """As :class:`protocol.meter.Meter`."""
        before = accounts()
        with super().phase_of(phase, lookup):
            yield
        if phase == "online":
            self.online = self.online.plus(accounts().since(before))


def serve(job: dict[str, Any]) -> None:
    """Encode the job's table as often as it says, then serve so many sessions, one after the other."""
    configuration = Configuration.from_toml(job["configuration"])
    table = load_table(configuration, job["table"], job["seed"])
    server, encodings = None, []
    for _ in range(job["encodings"]):
        del server
        meter = Meter("server")
        server = LookupServer(configuration, table, meter, lambda *_: None, job["allow_insecure"])
        encodings.append(meter.rows())
    assert server is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        emit("listening", port=listener.getsockname()[1])
        for session in range(job["sessions"]):
            connection, _ = listener.accept()
            meter = AccountingMeter("server")
            channel = Channel(connection, meter)
            try:
                shares = server.session(channel, meter)
                finished_s = time.monotonic()
            except ProtocolError as error:
                channel.fail(str(error))
                raise
            finally:
                channel.close()
            np.save(Path(job["folder"], f"server-{session}.npy"), shares)
            emit(
                "result",
                ledger=[*meter.rows(), *encodings[session % len(encodings)]],
                finished_s=finished_s,
                accounts=meter.online,
                peak_memory_bytes=peak_memory_bytes(),
            )


def ask(job: dict[str, Any]) -> None:
    """Look the job's tokens up in so many sessions, one after the other."""
    seeds = SeedRecord()
    for session in range(job["sessions"]):
        meter = AccountingMeter("client")
        channel = Channel(connect("127.0.0.1", job["port"]), meter)
        try:
            found = look_up(channel, meter, job["tokens"], job["allow_insecure"], seeds)
        finally:
            channel.close()
        np.save(Path(job["folder"], f"client-{session}.npy"), found.shares)
        emit(
            "result",
            ledger=found.ledger,
            started_s=found.started_s,
            finished_s=found.finished_s,
            noise_bits=found.noise_bits,
            accounts=meter.online,
            peak_memory_bytes=peak_memory_bytes(),
        )


def main() -> int:
    """Do the jobs on standard input until it ends; one that fails is reported and ends none of the others."""
    work = {"server": serve, "client": ask}[sys.argv[1]]
    for line in sys.stdin:
        try:
            work(json.loads(line))
        except (ProtocolError, ValueError, RuntimeError, MemoryError) as error:
            emit("failed", reason=str(error) or type(error).__name__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
