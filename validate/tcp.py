"""The model of TCP against the kernel's own, over a link between two network namespaces."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from costmodel.estimate import estimate
from costmodel.link import PRESETS, Link, fresh_exchange_s, warm_exchange_s
from costmodel.parameters import Table
from costmodel.systems import executed
from validate.exchange import HEADER
from validate.kernel_link import ADDRESSES, kernel_link

LINKS = ("paper-44", "paper-9", "wan")
REPETITIONS = 3
SIZES = ((1_000, 1_000), (20_000, 20_000), (200_000, 20_000), (20_000, 200_000), (1_000_000, 100_000))
"""Bytes up and down, beside those of the executed designs."""
BOUNDS = {"median": 0.05, "max": 0.15}
"""Of the relative error."""

Progress = Callable[[str, int, int], None]


def sizes() -> list[tuple[int, int]]:
    """Bytes up and down of every exchange: round numbers, and one lookup in LLaMA-7B's table by each compact design."""
    designs = (executed(protocol, Table(32000, 4096)) for protocol in ("fastquery", "folded", "compressed"))
    found = (estimate(one) for one in designs)
    return [*SIZES, *((int(one.up_bytes), int(one.down_bytes)) for one in found)]


def measured_exchanges(
    links: Sequence[Link] | None = None,
    exchanges: Sequence[tuple[int, int]] | None = None,
    repetitions: int = REPETITIONS,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Exchanges on new connections and on warm ones, beside the model of both.

    Parameters
    ----------
    links
        Between the namespaces, one after the other; those of ``LINKS`` if left out.
    exchanges
        Bytes up and down; those of :func:`sizes` if left out.
    repetitions
        Of every exchange, of which the quickest counts: what else the machine does only ever adds.
    progress
        Called with what is being measured, how much is done, and of how much.

    Returns
    -------
    DataFrame
        ``link``, ``shaper``, ``connection`` (``fresh`` or ``warm``), ``up_bytes``, ``down_bytes``, ``measured_s``,
        ``predicted_s`` and ``error``, predicted over measured less 1.

    Raises
    ------
    validate.kernel_link.NotPossible
        If the system does not allow such links.
    """
    links = [PRESETS[name] for name in LINKS] if links is None else links
    chosen = sizes() if exchanges is None else list(exchanges)
    rows: list[dict[str, Any]] = []
    for number, link in enumerate(links):
        with kernel_link(link) as made:
            program = [sys.executable, "-m", "validate.exchange"]
            server = _started(made.command("server", [*program, "serve", ADDRESSES["server"]]))
            try:
                assert server.stdout is not None
                port = server.stdout.readline().strip()
                client = _started(made.command("client", [*program, "ask", ADDRESSES["server"], port]))
                try:
                    for done, (up, down) in enumerate(chosen):
                        if progress is not None:
                            progress(link.name, number * len(chosen) + done, len(links) * len(chosen))
                        seconds = np.array([_asked(client, up, down) for _ in range(repetitions)])
                        rows += _rows(link, made.shaper, up, down, seconds)
                finally:
                    _end(client)
            finally:
                _end(server)
    if progress is not None:
        progress("done", len(links) * len(chosen), len(links) * len(chosen))
    return pd.DataFrame(rows)


def summary(exchanges: pd.DataFrame) -> dict[str, float]:
    """Median and worst error of the fresh connections, of the warm ones, and of all.

    Examples
    --------
    >>> summary(pd.DataFrame({"connection": ["fresh", "warm"], "error": [-0.2, 0.1]}))["tcp_error_max"]
    0.2
    """
    figures: dict[str, float] = {}
    for name, part in (("", exchanges), *exchanges.groupby("connection")):
        errors = part["error"].abs()
        stem = f"tcp_{name}_error" if name else "tcp_error"
        figures |= {f"{stem}_median": float(errors.median()), f"{stem}_max": float(errors.max())}
    return figures


def _rows(link: Link, shaper: str, up: int, down: int, seconds: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    quickest = {"fresh": seconds[:, 0].min(), "warm": seconds[:, 1:].min()}
    model = {"fresh": fresh_exchange_s, "warm": warm_exchange_s}
    return [
        {
            "link": link.name,
            "shaper": shaper,
            "connection": connection,
            "up_bytes": up,
            "down_bytes": down,
            "measured_s": float(measured),
            "predicted_s": (
                predicted := float(model[connection](up + HEADER.size, down, link.rate_bit_per_s, link.round_trip_s))
            ),
            "error": predicted / float(measured) - 1,
        }
        for connection, measured in quickest.items()
    ]


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _asked(client: subprocess.Popen[str], up: int, down: int) -> list[float]:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(f"{up} {down}\n")
    client.stdin.flush()
    line = client.stdout.readline()
    if not line:
        raise RuntimeError(f"the exchange of {up} and {down} bytes ended without a result, exit code {client.wait()}")
    return [float(word) for word in line.strip("[]\n").split(",")]


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
