"""An honest client of one address beside a crowd of another: how long its one-token query takes, and how memory goes.

Starts `fastquery serve` on the loopback interface, crowds it from 127.0.0.2, and asks from 127.0.0.1. The crowd's
messages are recorded once and sent with other seeds, so that it costs next to nothing to make them.

    python benchmarks/attacks.py [batches greetings700 greetings200 reserving stop ...] [--table 4096x96]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from protocol.channel import Channel
from protocol.client import look_up
from protocol.errors import ProtocolError
from protocol.frames import Kind, encode_frame
from protocol.hello import Greeter
from protocol.meter import Meter
from protocol.seeds import SeedRecord

CROWD, HONEST = "127.0.0.2", "127.0.0.1"
PATIENCE_S = 200.0


class Recorded(Exception):
    """The query was made, and all that a session sends before it."""


class Recorder(Channel):
    """A client's channel that keeps what is sent, and ends with its query, which does not leave."""

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        """Send one frame and keep it."""
        self.__dict__.setdefault("frames", []).append((kind, bytes(body)))
        if kind is Kind.QUERY:
            raise Recorded
        super().send(kind, body)


@contextmanager
def serving(table: str, protocol: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server's port and process."""
    program = "import sys; from fastquery.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "serve", "--table", table, "--listen", "127.0.0.1:0", "--json"]
    process = subprocess.Popen(
        [*command, "--protocol", protocol], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("}"):
                break
        yield json.loads("".join(lines))["port"], process
    finally:
        process.kill()
        process.wait()


def connect(port: int, source: str) -> socket.socket:
    """A connection from an address."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S, source_address=(source, 0))


def ask(port: int, source: str, tokens: list[int]) -> None:
    """Look rows up."""
    meter = Meter("client")
    with closing(Channel(connect(port, source), meter, PATIENCE_S)) as channel:
        look_up(channel, meter, tokens, False, SeedRecord())


def record(port: int, tokens: list[int]) -> list[tuple[Kind, bytes]]:
    """What a lookup sends, of designs whose query is one frame."""
    meter = Meter("client")
    with closing(Recorder(connect(port, CROWD), meter, PATIENCE_S)) as channel:
        with suppress(Recorded):
            look_up(channel, meter, tokens, False, SeedRecord())
        return list(channel.__dict__["frames"])


def greet(port: int, tokens: int) -> socket.socket:
    """A connection that says hello and nothing else."""
    connection = connect(port, CROWD)
    connection.sendall(encode_frame(Kind.HELLO, 0, Greeter(tokens).hello.encode()))
    return connection


def greetings(count: int, tokens: int) -> Callable[[int, ExitStack], None]:
    """So many greetings that are held."""

    def attack(port: int, held: ExitStack) -> None:
        for _ in range(count):
            held.enter_context(greet(port, tokens))

    return attack


def half_sessions(count: int) -> Callable[[int, ExitStack], None]:
    """Sessions that send their keys and no query."""

    def attack(port: int, held: ExitStack) -> None:
        frames = record(port, [1])
        for _ in range(count):
            connection = held.enter_context(connect(port, CROWD))
            replay(connection, [frame for frame in frames if frame[0] in (Kind.HELLO, Kind.KEYS)])

    return attack


def slow_readers(count: int) -> Callable[[int, ExitStack], None]:
    """Batches whose answers nobody reads."""

    def attack(port: int, held: ExitStack) -> None:
        frames = record(port, list(range(64)))
        for _ in range(count):
            connection = held.enter_context(connect(port, CROWD))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            in_background(connection, frames)
        time.sleep(3.0)

    return attack


def batches(count: int, tokens: int) -> Callable[[int, ExitStack], None]:
    """Sessions that look so many rows up together."""

    def attack(port: int, held: ExitStack) -> None:
        frames = record(port, [k % 4096 for k in range(tokens)])
        for _ in range(count):
            in_background(held.enter_context(connect(port, CROWD)), frames)
        time.sleep(3.0)

    return attack


def in_background(connection: socket.socket, frames: list[tuple[Kind, bytes]]) -> None:
    """Send a session's messages for as long as the server takes them."""

    def run() -> None:
        with suppress(OSError):
            replay(connection, frames)

    threading.Thread(target=run, daemon=True).start()


def replay(connection: socket.socket, frames: list[tuple[Kind, bytes]]) -> None:
    """Send a recorded session with fresh seeds: what is asked for is noise, and takes as long."""
    for number, (kind, body) in enumerate(frames):
        fresh = body if kind in (Kind.HELLO, Kind.LOOKUP) else secrets.token_bytes(32) + body[32:]
        connection.sendall(encode_frame(kind, number, fresh))


ATTACKS: dict[str, Callable[[int, ExitStack], None]] = {
    "nobody": lambda *_: None,
    "batches": batches(5, 1024),
    "greetings700": greetings(700, 1),
    "greetings200": greetings(200, 1),
    "reserving": greetings(28, 1024),
    "half-sessions": half_sessions(100),
    "slow-readers": slow_readers(40),
}


def resident_mib(process: subprocess.Popen[str]) -> float:
    """Largest resident set of a process so far."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def attacked(name: str, table: str, protocol: str) -> None:
    """Print how an honest query fares beside an attack."""
    with serving(table, protocol) as (port, process), ExitStack() as held:
        ask(port, HONEST, [1])
        before = resident_mib(process)
        ATTACKS[name](port, held)
        start, outcome = time.monotonic(), "answered"
        try:
            ask(port, HONEST, [7])
        except (ProtocolError, OSError) as error:
            outcome = f"failed: {error}"
        took = time.monotonic() - start
        print(
            f"{name:14} {protocol:10} {took:7.2f} s  {outcome}; server's memory {before:.0f} MiB, then "
            f"{resident_mib(process):.0f} MiB",
            flush=True,
        )


def stopped(table: str, protocol: str) -> None:
    """Print how long a server that computes a batch takes to stop."""
    with serving(table, protocol) as (port, process), ExitStack() as held:
        batches(1, 1024)(port, held)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=120)
        print(f"stop           {protocol:10} {time.monotonic() - start:7.2f} s  exit code {code}", flush=True)


def main() -> None:
    """Run the attacks that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("attacks", nargs="*", choices=[*ATTACKS, "stop", []], help="all of them if left out")
    parser.add_argument("--table", default="4096x96")
    parser.add_argument("--protocol", default="fastquery")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in arguments.attacks or [*ATTACKS, "stop"]:
        if name == "stop":
            stopped(arguments.table, arguments.protocol)
        else:
            attacked(name, arguments.table, arguments.protocol)


if __name__ == "__main__":
    main()
