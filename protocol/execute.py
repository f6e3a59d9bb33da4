"""Execute a configuration: start the two parties as processes, wait for their shares, open them.

Nothing of the table is loaded here before both shares exist, and nothing of the shares is known to the parties but
their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.ledger import frame
from costmodel.parameters import Configuration
from protocol.engines.openfhe import check_ring
from protocol.errors import ProtocolError
from protocol.lookup import middle_element
from protocol.openfhe_library import load_openfhe
from quantize.packed import PackedTable
from quantize.packing import UnsignedArray, place_values

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Execution:
    """What a run of both parties gave."""

    ledger: pd.DataFrame
    latency_s: float
    noise_bits: float
    client_shares: NDArray[np.int64]
    server_shares: NDArray[np.int64]
    peak_memory_bytes: int


def execute(
    configuration: Configuration,
    table: str,
    tokens: Sequence[int],
    seed: int = 0,
    allow_insecure: bool = False,
    progress: Progress | None = None,
) -> Execution:
    """Look tokens up for real, two processes and a socket between them.

    Parameters
    ----------
    configuration
        What to execute.
    table
        Name of the table, as :func:`quantize.tables.open_table` takes it; the server loads it.
    tokens
        The rows to look up.
    seed
        Of a random table.
    allow_insecure
        Let OpenFHE make a ring below its security table.
    progress
        Called with what is being done, how much is done, and of how much.

    Raises
    ------
    ValueError
        If the engine cannot make the ring.
    OpenFHEUnavailable
        If OpenFHE does not load.
    ProtocolError
        If a party fails; the message says which and why.
    """
    check_ring(configuration.ring)
    load_openfhe()
    with tempfile.TemporaryDirectory(prefix="fastquery-") as folder:
        paths = {party: Path(folder, f"{party}.npy") for party in ("client", "server")}
        job = {"configuration": configuration.to_toml(), "table": table, "seed": seed}
        common = {"allow_insecure": allow_insecure}
        with _party("server", {**job, **common, "reveal_shares_to": str(paths["server"])}) as server:
            port = _until(server, "listening", "server", progress)["port"]
            request = {"host": "127.0.0.1", "port": port, "channels": configuration.table.channels}
            request |= {"tokens": list(tokens), "reveal_shares_to": str(paths["client"]), **common}
            with _party("client", request) as client:
                of_client = _until(client, "result", "client", progress)
            of_server = _until(server, "result", "server", progress)
        shares = {party: np.load(path, allow_pickle=False) for party, path in paths.items()}
    return Execution(
        ledger=frame([*of_client["ledger"], *of_server["ledger"]]),
        latency_s=of_client["latency_s"],
        noise_bits=of_client["noise_bits"],
        client_shares=shares["client"],
        server_shares=shares["server"],
        peak_memory_bytes=of_client["peak_memory_bytes"] + of_server["peak_memory_bytes"],
    )


def channel_differences(
    execution: Execution, plain: PackedTable, plaintext_modulus: int, tokens: Sequence[int]
) -> NDArray[np.int64]:
    """Opened minus plaintext levels of every channel, packed order, shape (tokens, n); zero everywhere if all is right.

    The plaintext table is loaded apart. A coefficient that opens to something no row holds differs by a field's whole
    modulus in every channel that it carries.
    """
    opened = (execution.client_shares + execution.server_shares) % plaintext_modulus
    expected = np.asarray(plain.coefficients[list(tokens)], dtype=np.int64)
    moduli = plain.public.field_moduli
    impossible = opened >= plain.public.plaintext_modulus
    differences = np.empty((*opened.shape, len(moduli)), dtype=np.int64)
    for k, (modulus, place) in enumerate(zip(moduli, place_values(moduli), strict=True)):
        found = opened // place % modulus - expected // place % modulus
        differences[..., k] = np.where(impossible, modulus, found)
    return differences.reshape(len(tokens), -1)[:, : plain.public.channels]


def element_spread(coefficients: UnsignedArray, field_moduli: Sequence[int]) -> float:
    """Root mean square of a table's centred packed elements over that of uniform levels, from up to 4096 rows.

    Uniform levels of a field of L have the mean square (L^2 + 2)/12 about their middle.
    """
    step = max(1, coefficients.shape[0] // 4096)
    centred = coefficients[::step].astype(np.float64) - middle_element(field_moduli)
    places = place_values(field_moduli)
    uniform = sum(p * p * ((modulus / 2) ** 2 + 2) / 12 for p, modulus in zip(places, field_moduli, strict=True))
    return float(np.sqrt(np.mean(np.square(centred)) / uniform))


@contextmanager
def _party(party: str, job: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"protocol.{party}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        yield process
        process.wait(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _until(process: subprocess.Popen[str], event: str, party: str, progress: Progress | None) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        message: dict[str, Any] = json.loads(line)
        if message["event"] == event:
            return message
        if message["event"] == "failed":
            raise ProtocolError(f"{party}: {message['reason']}")
        if message["event"] == "progress" and progress is not None:
            progress(message["what"], message["done"], message["total"])
    raise ProtocolError(f"{party} ended without a result, exit code {process.wait()}")
