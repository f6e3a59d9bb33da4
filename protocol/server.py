"""The server as a process: a job on standard input, events as JSON lines on standard output.

The job names the table; the process loads, quantises and encodes it itself. ``reveal_shares_to`` exists for runs
that check both shares against the table afterwards: the server's share of every lookup is written in that folder.
"""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from costmodel.estimate import estimate
from costmodel.parameters import Configuration
from protocol.budget import DistanceBudget, default_budgets, table_digest
from protocol.channel import Channel
from protocol.errors import ProtocolError
from protocol.jobs import emit, peak_memory_bytes, read_job, shares_path
from protocol.lookup import Answered, LookupServer
from protocol.meter import Meter
from protocol.threads import Threads
from quantize.packed import PackedTable
from quantize.quantizers import Quantizer, quantize, quantize_table
from quantize.tables import open_table


def load_table(configuration: Configuration, name: str, seed: int) -> PackedTable:
    """The named table, quantised and packed as the configuration says, or a file of one that already is.

    Raises
    ------
    ValueError
        If the table is unknown, or its shape or packing is not the configuration's.
    """
    packing = configuration.packing
    if name.endswith(".safetensors"):
        table = PackedTable.load(Path(name))
        _check_shape(configuration, name, table.public.rows, table.public.channels)
        if table.public.field_moduli != packing.field_moduli:
            raise ValueError(
                f"table {name!r} is packed in fields of {table.public.field_moduli}; "
                f"the configuration says {packing.field_moduli}"
            )
        return table
    source = open_table(name, seed)
    _check_shape(configuration, name, source.rows, source.channels)
    if packing.levels:
        return quantize(source, Quantizer(packing.levels), "rtn-levels-" + "-".join(map(str, packing.levels)))
    return quantize_table(source, packing.widths)


def budget_of(configuration: Configuration, table: PackedTable, log2_most: float) -> DistanceBudget | None:
    """The durable budget of a table's statistical distance; none without flooding, where an answer tells everything.

    Parameters
    ----------
    configuration
        Served.
    table
        Packed; its digest is what the budget is kept under.
    log2_most
        log2 of the distance of all answers together.

    Raises
    ------
    ValueError
        If the budget is not even that of one row.
    RecordUnusable
        If the user's record of distances cannot be used.
    """
    if not configuration.flooding_bits:
        return None
    one = configuration.updated(table=replace(configuration.table, tokens=1))
    log2_row = float(estimate(one).log2_statistical_distance)
    power = 1 if configuration.expanded is None else 2
    return DistanceBudget(table_digest(table), log2_row, log2_most, default_budgets(), power=power)


def _check_shape(configuration: Configuration, name: str, rows: int, channels: int) -> None:
    expected = configuration.table
    if (rows, channels) != (expected.rows, expected.channels):
        raise ValueError(
            f"table {name!r} is {rows}x{channels}; the configuration says {expected.rows}x{expected.channels}"
        )


def serve_one(job: dict[str, Any], listener: socket.socket) -> None:
    """Encode the job's table, serve one client, and emit the measured ledger of each of its lookups."""
    configuration = Configuration.from_toml(job["configuration"])
    table = load_table(configuration, job["table"], job["seed"])
    meter = Meter("server", threads=Threads(job["threads"]))

    def progress(what: str, done: int, total: int) -> None:
        emit("progress", what=what, done=done, total=total)

    server = LookupServer(configuration, table, meter, progress, job["allow_insecure"])
    del table
    listener.listen(1)
    emit("listening", port=listener.getsockname()[1])
    connection, _ = listener.accept()
    channel = Channel(connection, meter)
    try:
        answered = (event for event in server.open(channel, meter).events() if isinstance(event, Answered))
        for number, found in enumerate(answered):
            finished_s = time.monotonic()
            np.save(shares_path(job["reveal_shares_to"], "server", number), found.shares)
            emit("result", ledger=meter.rows(), finished_s=finished_s, peak_memory_bytes=peak_memory_bytes())
            meter.forget(found.number + 1)
    except ProtocolError as error:
        channel.fail(str(error))
        raise
    finally:
        channel.close()


def main() -> int:
    """Run the job on standard input; exit code 0 if the session was served."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serve_one(read_job(), listener)
    except (ProtocolError, ValueError) as error:
        emit("failed", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
