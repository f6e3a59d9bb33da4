"""One private one-hot row times a private table under SPU's CHEETAH, by two processes over the loopback.

For the interpreter of SPU's own environment (`make bench-peers` builds it); nothing of this project is imported:

    .venv-spu/bin/python benchmarks/spu_product.py --field FM64 --rows 30522 --channels 384

prints one JSON document with two queries in one session:

* ``first``: as SPU does it. The server encodes its table while it waits, and keys are exchanged since there are none;
* ``table first``: with the same keys; the client starts when the server, which has begun before it, comes to rest. What
  the server computed until then is its table's encoding, what follows is a query whose table was encoded before.

CPU seconds are those of a party's whole process, all threads, until it rests again; wall seconds are the client's.
Bytes are those of SPU's own link statistics (its messages), and of the kernel's account of the party's sockets
(`tcp_info`, with the transport's framing and acknowledgements).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import socket
import struct
import sys
import tempfile
import time
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jax
import numpy as np
import spu
from spu import libspu
from spu.utils import frontend

CLIENT, SERVER = 0, 1
QUERIES = ("first", "table first")
OWNERS = {"token": CLIENT, "table": SERVER, "server's part": SERVER, "client's part": CLIENT}
"""Of the inputs; the parts are what the other party has of either operand where they are held as shares."""

REST_S, POLLS = 0.3, 6
"""A process rests that spends less than a hundredth of so many seconds, looked at so often."""


def main() -> None:
    """Run the queries and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", choices=("FM32", "FM64"), default="FM64", help="SPU's ring (default FM64)")
    parser.add_argument("--rows", type=int, default=30522, help="of the table (default 30522)")
    parser.add_argument("--channels", type=int, default=384, help="of the table (default 384)")
    parser.add_argument("--threads", type=int, default=1, help="of a party (default 1; 0: SPU's own choice)")
    parser.add_argument("--shares", action="store_true", help="both operands held as additive shares")
    options = parser.parse_args()
    print(json.dumps(measure(options.field, options.rows, options.channels, options.threads, options.shares)))


def measure(field: str, rows: int, channels: int, threads: int, shares: bool) -> dict[str, Any]:
    """Execute the queries, check every result, and return the measurements."""
    context = multiprocessing.get_context("spawn")
    ports = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="spu-") as folder:
        pipes, parties = [], []
        for rank in (CLIENT, SERVER):
            here, there = context.Pipe()
            log = str(Path(folder, f"{rank}.log"))
            arguments = (rank, ports, field, rows, channels, threads, shares, log, there)
            pipes.append(here)
            parties.append(context.Process(target=party, args=arguments, daemon=True))
            parties[-1].start()
            there.close()
        for pipe in pipes:
            pipe.recv()
        tokens = np.random.default_rng(1).integers(0, rows, len(QUERIES)).tolist()
        queries, results = [], []
        for kind, token in zip(QUERIES, tokens, strict=True):
            print(f"SPU {field} {rows}x{channels}: {kind}", file=sys.stderr, flush=True)
            measured, answer = query(kind, token, pipes, [one.pid for one in parties])
            queries.append(measured)
            results.append(open_shares(field, answer))
        for pipe in pipes:
            pipe.send(None)
        for one in parties:
            one.join()
        for rank, name in ((CLIENT, "up_bytes"), (SERVER, "down_bytes")):
            for measured, sent in zip(queries, sent_bytes(Path(folder, f"{rank}.log").read_text("utf-8")), strict=True):
                measured[name] = sent
    table = operand("table", rows, channels, 0, shares)
    for measured, token, result in zip(queries, tokens, results, strict=True):
        expected = operand("token", rows, channels, token, shares) @ table
        measured["worst_difference"] = int(np.abs((result - expected).astype(np.int64)).max())
    return {
        "field": field,
        "rows": rows,
        "channels": channels,
        "threads": threads,
        "shares": shares,
        "queries": queries,
        "versions": {"spu": metadata.version("spu"), "python": platform.python_version(), "numpy": np.__version__},
    }


def query(kind: str, token: int, pipes: list[Connection], pids: list[int]) -> tuple[dict[str, Any], list[Any]]:
    """One query: its measurements, and both parties' shares of the row."""
    for pipe in pipes:
        pipe.send(token)
    for pipe in pipes:
        pipe.recv()
    until_at_rest(pids)
    before = [cpu_seconds(pid) for pid in pids]
    measured: dict[str, Any] = {"query": kind}
    pipes[SERVER].send("go")
    if kind == "table first":
        until_at_rest([pids[SERVER]])
        measured["table_s"] = cpu_seconds(pids[SERVER]) - before[SERVER]
    pipes[CLIENT].send("go")
    wall = [pipe.recv() for pipe in pipes]
    until_at_rest(pids)
    spent = [cpu_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
    answers = []
    for pipe in pipes:
        pipe.send("report")
        answers.append(pipe.recv())
    measured |= {"wall_s": wall[CLIENT], "client_s": spent[CLIENT], "server_s": spent[SERVER]}
    measured |= {"up_socket_bytes": answers[CLIENT][0], "down_socket_bytes": answers[SERVER][0]}
    return measured, [share for _, share in answers]


def party(
    rank: int,
    ports: list[int],
    field: str,
    rows: int,
    channels: int,
    threads: int,
    shares: bool,
    log: str,
    pipe: Connection,
) -> None:
    """One party: its inputs are set before a query, which it runs when it is told to go."""
    options = libspu.logging.LogOptions()
    options.enable_console_logger, options.system_log_path = False, log
    libspu.logging.setup_logging(options)
    chosen = configuration(field, threads)
    io = spu.Io(2, chosen)
    description = libspu.link.Desc()
    description.recv_timeout_ms = description.http_timeout_ms = 600_000
    for other, port in enumerate(ports):
        description.add_party(f"party {other}", f"127.0.0.1:{port}")
    link = libspu.link.create_brpc(description, rank)
    runtime = spu.Runtime(link, chosen)
    shapes = {"token": (1, rows), "table": (rows, channels)}
    shapes |= {"server's part": shapes["token"], "client's part": shapes["table"]} if shares else {}

    def set_input(name: str, token: int) -> None:
        # The other party's share of a private value is zeros.
        own = rank == OWNERS[name]
        value = values(name, shapes[name], token) if own else np.zeros(shapes[name], np.int32)
        runtime.set_var(name, io.make_shares(value, libspu.Visibility.VIS_SECRET, OWNERS[name])[rank])

    for name in shapes:
        set_input(name, 0)
    program = compiled(shapes)
    pipe.send("ready")
    while (token := pipe.recv()) is not None:
        set_input("token", token)
        pipe.send("set")
        pipe.recv()
        before = socket_bytes()
        start = time.monotonic()
        runtime.run(program)
        pipe.send(time.monotonic() - start)
        pipe.recv()
        share = runtime.get_var("row")
        pipe.send((socket_bytes() - before, (share.meta, list(share.share_chunks))))
    link.stop_link()


def configuration(field: str, threads: int) -> Any:
    """CHEETAH without splitting large operands, for inputs that are private to their owners."""
    chosen = libspu.RuntimeConfig(protocol=libspu.ProtocolKind.CHEETAH, field=getattr(libspu.FieldType, field))
    chosen.experimental_disable_mmul_split = True
    chosen.experimental_enable_colocated_optimization = True  # else private inputs are shared first
    chosen.max_concurrency = threads
    chosen.enable_hal_profile = True  # prints the link's statistics
    return chosen


def compiled(shapes: dict[str, tuple[int, int]]) -> Any:
    """The product; what is private to either party is added first where operands are shares."""
    names = list(shapes)
    arguments = tuple(jax.ShapeDtypeStruct(shape, np.int32) for shape in shapes.values())
    secret = [libspu.Visibility.VIS_SECRET] * len(names)
    function = product if len(names) == 2 else product_of_sums
    program, _ = frontend.compile(frontend.Kind.JAX, function, arguments, {}, names, secret, lambda _: ["row"])
    return program


def product(token: Any, table: Any) -> Any:
    """The one-hot row times the table."""
    return token @ table


def product_of_sums(token: Any, table: Any, servers_part: Any, clients_part: Any) -> Any:
    """The same of what neither party knows alone."""
    return (token + servers_part) @ (table + clients_part)


def values(name: str, shape: tuple[int, int], token: int) -> np.ndarray:
    """An input by name: the one-hot row, a table of 4-bit levels, or random shares."""
    if name == "token":
        row = np.zeros(shape, np.int32)
        row[0, token] = 1
        return row
    rng = np.random.default_rng(list(OWNERS).index(name))
    low, high = (-8, 8) if name == "table" else (-(2**31), 2**31)
    return rng.integers(low, high, shape, dtype=np.int32)


def operand(name: str, rows: int, channels: int, token: int, shares: bool) -> np.ndarray:
    """The token's row or the table, the sum of both parties' parts where they are shares, modulo 2^32."""
    shape, part = ((1, rows), "server's part") if name == "token" else ((rows, channels), "client's part")
    own = values(name, shape, token)
    return own + values(part, shape, token) if shares else own


def open_shares(field: str, shares: list[Any]) -> np.ndarray:
    """The row from both parties' shares."""
    both = []
    for meta, chunks in shares:
        share = libspu.Share()
        share.meta, share.share_chunks = meta, chunks
        both.append(share)
    return np.asarray(spu.Io(2, configuration(field, 1)).reconstruct(both))


def sent_bytes(log: str) -> list[int]:
    """Bytes of the messages that a party sent, query by query, from its log."""
    return [int(found) for found in re.findall(r"Link details: total send bytes (\d+)", log)]


def socket_bytes() -> int:
    """Bytes that the other ends of this process's TCP connections have acknowledged."""
    total = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.family == socket.AF_INET and one.type == socket.SOCK_STREAM:
                    one.getpeername()  # fails for a listening socket
                    total += struct.unpack_from("Q", one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128), 120)[0]
        except OSError:
            continue
    return total


def until_at_rest(pids: list[int]) -> None:
    """Wait until the processes spend no more CPU time."""
    spent: list[float] = []
    while len(spent) <= POLLS or spent[-1] - spent[-1 - POLLS] > REST_S / 100:
        time.sleep(REST_S / POLLS)
        spent.append(sum(map(cpu_seconds, pids)))


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process's threads, by the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    main()
