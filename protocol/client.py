"""The client as a process: a job on standard input, events as JSON lines on standard output.

The job names the server's address, the table's public shape and the tokens; nothing else reaches the client but the
server's messages.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from protocol.channel import Channel
from protocol.errors import ProtocolError
from protocol.jobs import emit, peak_memory_bytes, read_job
from protocol.lookup import ClientSession
from protocol.meter import Meter
from protocol.seeds import SeedRecord


def query_once(job: dict[str, Any]) -> None:
    """Look the job's tokens up, write the client's shares, and emit the measured ledger."""
    meter = Meter("client")
    tokens = [int(token) for token in job["tokens"]]
    try:
        connection = socket.create_connection((job["host"], job["port"]), timeout=10.0)
    except OSError as error:
        raise ProtocolError(f"no server at {job['host']}:{job['port']}: {error}") from None
    channel = Channel(connection, meter)
    try:
        seeds = SeedRecord(Path(job["seed_record"]))
        session = ClientSession.open(channel, meter, job["channels"], len(tokens), job["allow_insecure"], seeds)
        start = time.perf_counter()
        shares = session.lookup(tokens)
        latency_s = time.perf_counter() - start
    except ProtocolError as error:
        channel.fail(str(error))
        raise
    finally:
        channel.close()
    np.save(Path(job["reveal_shares_to"]), shares)
    emit(
        "result",
        ledger=meter.rows(),
        latency_s=latency_s,
        noise_bits=session.engine.noise_bits(),
        peak_memory_bytes=peak_memory_bytes(),
    )


def main() -> int:
    """Run the job on standard input; exit code 0 if the shares are there."""
    try:
        query_once(read_job())
    except (ProtocolError, ValueError) as error:
        emit("failed", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
