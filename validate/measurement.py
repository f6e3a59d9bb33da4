"""Measure configurations: two processes that stay, a link between them, and several sessions of each configuration.

Other work on the machine makes a cost larger, and comes and goes. Sessions that it disturbed are set aside, by the
kernel's accounts and by the pace of the processor; the idealised cost of an entry is the median of the others. All of
them are kept beside it.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from costmodel.ledger import COLUMNS, KEY_COLUMNS, Party
from costmodel.link import PRESETS, Link
from costmodel.openfhe.contexts import check_limbs
from costmodel.parameters import Configuration
from costmodel.workload import Workload
from protocol.client import Batch
from protocol.errors import ProtocolError
from protocol.execute import Execution, execution_of, hear_reason, session_batches
from protocol.jobs import party_environment
from protocol.relay import shaped
from validate.accounts import Accounts
from validate.pace import at_pace, usual
from validate.wire import self_signed

PARTIES: tuple[Party, ...] = ("client", "server")
CALM_SESSIONS = 2
"""Sessions that :func:`enough` asks for."""
CALM_S = 0.5e-3
CALM_SHARE = 0.02
"""Seconds, or the share of a latency, that the parties of an undisturbed session may have waited for a processor."""


def idealised(seconds: ArrayLike) -> float:
    """Cost without contention from repeated measurements that were not disturbed: their median."""
    return float(np.median(np.asarray(seconds, dtype=np.float64)))


class Session(NamedTuple):
    """One session of a configuration.

    Attributes
    ----------
    lookups
        The prompt's, or the only one, and then every generated token's. The ledger of the first has the set-up.
    first_share_s
        Wall seconds from the connection until both parties had their shares of the first lookup.
    accounts
        Of both parties, while the first lookup was online.
    paces_s
        By party, the slowest of all lookups; see :mod:`validate.pace`.
    handshake_bytes
        Of TLS, both directions; none in the clear.
    """

    lookups: tuple[Execution, ...]
    first_share_s: float
    accounts: Accounts
    paces_s: dict[str, float]
    handshake_bytes: int | None

    @property
    def latency_s(self) -> float:
        """Wall seconds of the first lookup."""
        return self.lookups[0].latency_s

    @property
    def ledger(self) -> pd.DataFrame:
        """Entries of the set-up and of all lookups."""
        return pd.concat([one.ledger for one in self.lookups], ignore_index=True)


def calm(session: Session) -> bool:
    """Whether the parties of a session had a processor whenever they could run, but for a trifle."""
    return calm_latency(session.latency_s, session.accounts.lost_s)


def calm_latency(latency_s: float, lost_s: float) -> bool:
    """Whether a latency is the protocol's and not that of waiting for a processor."""
    return lost_s <= max(CALM_S, CALM_SHARE * latency_s)


def enough(sessions: Sequence[Session], usual_s: float) -> bool:
    """Whether sessions suffice: some are calm, and in some each party had its processor at its usual pace."""
    counts = [sum(at_pace(one.paces_s[party], usual_s) for one in sessions) for party in PARTIES]
    return min(sum(map(calm, sessions)), *counts) >= CALM_SESSIONS


def marked(measured: pd.DataFrame, usual_s: float) -> pd.DataFrame:
    """Entries with the column ``aside``: their party had its processor at its usual pace, and in other sessions alone.

    Parameters
    ----------
    measured
        As :func:`entries` gives them.
    usual_s
        The usual pace of the sessions on this machine.
    """
    usually = measured["pace_s"].map(partial(at_pace, usual_s=usual_s))
    return measured.assign(aside=usually.groupby(measured["party"]).transform("any") & ~usually)


def idealised_latency(latency_s: Sequence[float], lost_s: Sequence[float], off_pace: Sequence[bool]) -> float:
    """Latency without contention: of calm sessions at the usual pace, else of calm ones, else of all sessions."""
    waited = [not calm_latency(one, lost) for one, lost in zip(latency_s, lost_s, strict=True)]
    worth = [2 * first + second for first, second in zip(waited, off_pace, strict=True)]
    return idealised([one for one, grade in zip(latency_s, worth, strict=True) if grade == min(worth)])


class Parties:
    """A server and a client process that execute configurations one after the other.

    A context manager. Where a configuration fails, both processes are ended and started anew for the next one.

    Attributes
    ----------
    certificate
        The server's and its key, made when TLS is first asked for.
    usual_s
        The usual pace of the sessions so far.
    """

    def __init__(self) -> None:
        self._paces_s: list[float] = []
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="fastquery-")

    @property
    def usual_s(self) -> float:
        """See the class."""
        return usual(self._paces_s)

    @cached_property
    def certificate(self) -> tuple[Path, Path]:
        """See the class."""
        return self_signed(Path(self._folder.name))

    def __enter__(self) -> Parties:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._folder.cleanup()

    def measure(
        self,
        configuration: Configuration,
        table: str,
        tokens: Sequence[int],
        workload: Workload | None = None,
        *,
        sessions: int,
        encodings: int = 1,
        link: Link = PRESETS["loopback"],
        seed: int = 0,
        allow_insecure: bool = False,
        threads: int = 1,
        tls: bool = False,
    ) -> list[Session]:
        """Look tokens up in several sessions; what each of them gave.

        Parameters
        ----------
        configuration, table, tokens, seed, allow_insecure, threads
            See :func:`protocol.execute.execute`.
        workload
            A prompt's tokens and generated ones in the place of tokens that are looked up together.
        sessions
            How often; every session has fresh keys and a connection of its own.
        encodings
            How often the table is encoded; the sessions' ledgers take turns with them.
        link
            Shaped by a relay unless it is the loopback.
        tls
            Whether the parties speak TLS.

        Raises
        ------
        ValueError
            If the engine cannot make the ring.
        ProtocolError
            If a party fails; the message says which and why.
        """
        check_limbs(configuration.ring)
        batches = [Batch(list(tokens))] if workload is None else session_batches(configuration, workload, list(tokens))
        with tempfile.TemporaryDirectory(prefix="fastquery-") as folder:
            folders = [tempfile.mkdtemp(dir=folder) for _ in range(sessions)]
            certificate = [str(path) for path in self.certificate] if tls else None
            job = {"sessions": sessions, "folders": folders, "allow_insecure": allow_insecure, "tls": certificate}
            table_job = {
                "configuration": configuration.to_toml(), "table": table, "seed": seed, "encodings": encodings,
                "threads": threads, "lookups": len(batches),
            }  # fmt: skip
            try:
                self._start("client")  # whose libraries load beside the server's
                self._send("server", {**job, **table_job})
                port = self._next("server", "listening")["port"]
                with shaped(None if link == PRESETS["loopback"] else link, port) as reached:
                    self._send("client", {**job, "port": reached, "batches": batches})
                    return [self._session(each, len(batches)) for each in folders]
            except BaseException:
                self._end()
                raise

    def _session(self, folder: str, lookups: int) -> Session:
        told, executions = [], []
        for number in range(lookups):
            told.append(self._both())
            executions.append(execution_of(*told[-1], folder, number))
        client, server = told[0]
        handshakes = client["handshake_bytes"], server["handshake_bytes"]
        paces_s = {
            party: [one["pace_s"] for one in own] for party, own in zip(PARTIES, zip(*told, strict=True), strict=True)
        }
        slowest_s: dict[str, float] = {party: max(own) for party, own in paces_s.items()}
        self._paces_s += slowest_s.values()
        return Session(
            tuple(executions),
            max(client["finished_s"], server["finished_s"]) - client["connected_s"],
            Accounts(*client["accounts"]).beside(Accounts(*server["accounts"])),
            slowest_s,
            None if None in handshakes else sum(handshakes),
        )

    def _both(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What both parties report of their next lookup."""
        try:
            client = self._next("client", "result")
        except ProtocolError as error:
            hear_reason(self._processes["server"], partial(self._next, "server", "result", f"{error}; server"))
            raise
        return client, self._next("server", "result")

    def _start(self, party: str) -> None:
        if party not in self._processes:
            self._processes[party] = subprocess.Popen(
                [sys.executable, "-m", "validate.party", party],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=party_environment(),
            )

    def _send(self, party: str, job: dict[str, Any]) -> None:
        self._start(party)
        stream = self._processes[party].stdin
        assert stream is not None
        try:
            stream.write(json.dumps(job) + "\n")
            stream.flush()
        except OSError as error:
            raise ProtocolError(f"{party} has ended: {error}") from None

    def _next(self, party: str, event: str, named: str = "") -> dict[str, Any]:
        process = self._processes[party]
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise ProtocolError(f"{named or party} ended without a result, exit code {process.wait()}")
        message: dict[str, Any] = json.loads(line)
        if message["event"] != event:
            raise ProtocolError(f"{named or party}: {message.get('reason', message['event'])}")
        return message

    def _end(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self._processes.clear()


def entries(sessions: Sequence[Session]) -> pd.DataFrame:
    """Every entry of every session's ledger, with the columns ``session``, and ``pace_s`` of the entry's party."""
    frames = [
        one.ledger.assign(session=number, pace_s=one.ledger["party"].map(one.paces_s))
        for number, one in enumerate(sessions)
    ]
    return pd.concat(frames, ignore_index=True).drop(columns=["formula", "source"])


def idealised_ledger(measured: pd.DataFrame) -> pd.DataFrame:
    """One ledger from those of several sessions, with the idealised seconds of every entry, as :func:`marked` has them.

    Counts, messages and bytes are the largest of any session: they are the same in all, and where they
    are not, ``varies`` says so.
    """
    rows = []
    for key, entry in measured.groupby(KEY_COLUMNS, sort=False):
        rows.append(
            dict(zip(KEY_COLUMNS, key, strict=True))
            | {
                "count": entry["count"].max(),
                "unit": entry["unit"].iloc[0],
                "messages": entry["messages"].max(),
                "bytes": entry["bytes"].max(),
                "seconds": idealised(entry.loc[~entry["aside"], "seconds"]) if key[0] == "work" else np.nan,
                "varies": any(entry[name].nunique() > 1 for name in ("count", "unit", "messages", "bytes")),
            }
        )
    return pd.DataFrame(rows).reindex(columns=[*COLUMNS, "varies"])


def pooled_noise_bits(noise_bits: Sequence[float]) -> float:
    """log2 of the root mean square error over sessions that each measured as many coefficients."""
    return float(0.5 * np.log2(np.mean(np.exp2(2.0 * np.asarray(noise_bits)))))


def sampling_bits(coefficients: int) -> float:
    """Standard error in bits of a root mean square over so many independent normal errors: 1/(ln 2 sqrt(2 n))."""
    return 1.0 / (math.log(2.0) * math.sqrt(2.0 * coefficients))
