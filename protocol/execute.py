"""Execute a configuration: start the two parties as processes, wait for their shares, open them.

Nothing of the table is loaded here before both shares exist, and nothing of the shares is known to the parties but
their own.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from costmodel.ledger import frame
from costmodel.link import Link
from costmodel.openfhe.contexts import check_limbs
from costmodel.parameters import Configuration
from costmodel.workload import Workload, generated_of, prompt_of
from protocol.alignment.session import ChannelShares
from protocol.client import Batch
from protocol.engine import Shares
from protocol.errors import ProtocolError
from protocol.jobs import party_environment, shares_path
from protocol.openfhe_library import load_openfhe
from protocol.relay import shaped
from protocol.seeds import default_record
from quantize.packed import PackedTable
from quantize.packing import place_values, unpack

Progress = Callable[[str, int, int], None]

REASON_S = 10.0
"""In which a server whose client has failed says why, if it knows."""
MAX_LEVEL = 2**32
"""Beyond every level of a table."""


@dataclass(frozen=True, eq=False)
class Execution:
    """What a run of both parties gave; ``latency_s`` is from the token until both had their shares."""

    ledger: pd.DataFrame
    latency_s: float
    noise_bits: float
    client_shares: Shares | ChannelShares
    server_shares: Shares | ChannelShares
    peak_memory_bytes: int


@dataclass(frozen=True, eq=False)
class ExecutedSession:
    """What a session of both parties gave.

    Attributes
    ----------
    lookups
        In their order; the ledger of the first has the entries of the set-up as well.
    loading_s, setup_s
        Wall seconds in which the client loaded what it computes with, and the others from the connection until it might
        look up.
    preparations_s
        Wall seconds of the preparation before every lookup.
    """

    lookups: tuple[Execution, ...]
    loading_s: float
    setup_s: float
    preparations_s: tuple[float, ...]

    @property
    def first_share_s(self) -> float:
        """Wall seconds from the connection until both parties had their shares of the first lookup, but for loading."""
        return self.setup_s + self.preparations_s[0] + self.lookups[0].latency_s


def session_batches(configuration: Configuration, workload: Workload, tokens: Sequence[int]) -> list[Batch]:
    """The lookups of a workload's session: the prompt's tokens together, and each generated token by itself.

    Parameters
    ----------
    configuration
        Of the session; generated tokens are prepared where it is.
    workload
        What the session does.
    tokens
        Ids of the prompt's tokens and of the generated ones.

    Examples
    --------
    >>> from costmodel.parameters import Table
    >>> from costmodel.systems import executed
    >>> one = executed("fastquery", Table(300, 24, 2), flooding_bits=0, prepared=True)
    >>> session_batches(one, Workload(2, 1), [7, 3, 5])
    [Batch(tokens=[7, 3], prepared=False), Batch(tokens=[5], prepared=True)]
    """
    whole, single = prompt_of(configuration, workload), generated_of(configuration)
    first = Batch(tokens[: workload.prompt], whole.has_offline_phase)
    return [first, *(Batch([token], single.has_offline_phase) for token in tokens[workload.prompt :])]


def execute(
    configuration: Configuration,
    table: str,
    tokens: Sequence[int],
    seed: int = 0,
    allow_insecure: bool = False,
    progress: Progress | None = None,
    link: Link | None = None,
    threads: int = 1,
) -> Execution:
    """Look tokens up for real, the only ones of a session; see :func:`execute_session`."""
    session = execute_session(configuration, table, [Batch(tokens)], seed, allow_insecure, progress, link, threads)
    return session.lookups[0]


def execute_session(
    configuration: Configuration,
    table: str,
    batches: Sequence[Batch],
    seed: int = 0,
    allow_insecure: bool = False,
    progress: Progress | None = None,
    link: Link | None = None,
    threads: int = 1,
) -> ExecutedSession:
    """Look tokens up for real in one session, two processes and a socket between them.

    Parameters
    ----------
    configuration
        What to execute.
    table
        Name of the table, as :func:`quantize.tables.open_table` takes it; the server loads it.
    batches
        The rows of every lookup.
    seed
        Of a random table.
    allow_insecure
        Let OpenFHE make a ring below its security table.
    progress
        Called with what is being done, how much is done, and of how much.
    link
        What a relay between the parties shows them; the bare loopback interface if left out.
    threads
        Threads of the server that share the work of the lookup.

    Raises
    ------
    ValueError
        If the engine cannot make the ring.
    OpenFHEUnavailable
        If OpenFHE does not load.
    ProtocolError
        If a party fails; the message says which and why.
    """
    check_limbs(configuration.ring)
    load_openfhe()
    with tempfile.TemporaryDirectory(prefix="fastquery-") as folder:
        common = {"allow_insecure": allow_insecure, "reveal_shares_to": folder}
        job = {"configuration": configuration.to_toml(), "table": table, "seed": seed, "threads": threads, **common}
        request = {"host": "127.0.0.1", "batches": list(batches), "seed_record": str(default_record()), **common}
        lookups, of_clients = [], []
        with _party("server", job) as server:
            port = _until(server, "listening", "server", progress)["port"]
            with shaped(link, port) as reached, _party("client", {**request, "port": reached}) as client:
                for number in range(len(batches)):
                    of_client, of_server = _both(client, server, progress)
                    of_clients.append(of_client)
                    lookups.append(execution_of(of_client, of_server, folder, number))
                    if progress is not None:
                        progress("looking up", number + 1, len(batches))
    first = of_clients[0]
    return ExecutedSession(
        tuple(lookups),
        loading_s=first["loading_s"],
        setup_s=first["ordered_s"] - first["connected_s"] - first["loading_s"],
        preparations_s=tuple(each["started_s"] - each["ordered_s"] for each in of_clients),
    )


def _both(
    client: subprocess.Popen[str], server: subprocess.Popen[str], progress: Progress | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both parties report of their next lookup."""
    try:
        of_client = _until(client, "result", "client", progress)
    except ProtocolError as error:
        hear_reason(server, partial(_until, server, "result", f"{error}; server", progress))
        raise
    return of_client, _until(server, "result", "server", progress)


def hear_reason(server: subprocess.Popen[str], listen: Callable[[], object]) -> None:
    """Let a server say why the session failed whose client has failed; a server that says nothing is ended.

    Where one party fails the other loses the connection, and the server's reason says more. A server that no client has
    reached has none, and waits.

    Raises
    ------
    ProtocolError
        Of ``listen``, which reads what the server says.
    """
    patience = threading.Timer(REASON_S, server.terminate)
    patience.start()
    try:
        listen()
    except ProtocolError:
        if server.poll() != -signal.SIGTERM:
            raise
    finally:
        patience.cancel()


def execution_of(of_client: Mapping[str, Any], of_server: Mapping[str, Any], folder: str, number: int) -> Execution:
    """A lookup from what both parties report of it, and from the shares that they wrote."""
    client, server = (np.load(shares_path(folder, party, number), allow_pickle=False) for party in ("client", "server"))
    ledger = [*of_client["ledger"], *of_server["ledger"]]
    return Execution(
        ledger=frame(row for row in ledger if row["lookup"] or number == 0),
        latency_s=latency_s(of_client, of_server),
        noise_bits=of_client["noise_bits"],
        client_shares=client,
        server_shares=server,
        peak_memory_bytes=of_client["peak_memory_bytes"] + of_server["peak_memory_bytes"],
    )


def latency_s(of_client: Mapping[str, Any], of_server: Mapping[str, Any]) -> float:
    """Seconds until both parties of a run on one machine had their shares, by the clock that they share."""
    finished: float = max(of_client["finished_s"], of_server["finished_s"])
    return finished - float(of_client["started_s"])


def channel_differences(
    execution: Execution, configuration: Configuration, plain: PackedTable, tokens: Sequence[int]
) -> NDArray[np.int64]:
    """Opened minus plaintext levels of every channel, packed order, shape (tokens, n); zero everywhere if all is right.

    The plaintext table is loaded apart. Channels that open to what no row holds differ by ``MAX_LEVEL``.
    """
    expected = unpack(plain.coefficients[list(tokens)], plain.public.field_moduli, plain.public.channels)
    if configuration.align_bits:
        modulus = np.uint64((1 << configuration.align_bits) - 1)
        aligned = (execution.client_shares + execution.server_shares) & modulus
        return np.where(aligned > MAX_LEVEL, MAX_LEVEL, aligned).astype(np.int64) - expected.astype(np.int64)
    opened = (execution.client_shares + execution.server_shares) % configuration.ring.plaintext_modulus
    impossible = opened >= plain.public.plaintext_modulus
    levels = _levels(np.where(impossible, 0, opened), plain.public.field_moduli)
    differences = levels[:, : plain.public.channels] - expected.astype(np.int64)
    carried = np.repeat(impossible, len(plain.public.field_moduli), axis=1)[:, : plain.public.channels]
    return np.where(carried, MAX_LEVEL, differences)


def _levels(opened: NDArray[np.int64], field_moduli: Sequence[int]) -> NDArray[np.int64]:
    places = zip(field_moduli, place_values(field_moduli), strict=True)
    fields = np.stack([opened // place % modulus for modulus, place in places], axis=-1)
    return fields.reshape(len(opened), -1)


@contextmanager
def _party(party: str, job: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"protocol.{party}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=party_environment(),
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
