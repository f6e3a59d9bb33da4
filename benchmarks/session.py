"""A session of lookups against single ones: bytes, wall seconds, preparation, clients at once.

`python -m benchmarks.session [--table llama-7b] [--protocol folded] [--lookups 8]` starts `fastquery serve` twice on
one thread, with and without `--prepared`, and once on all free processors, for eight clients at once. It prints one
JSON object. Every figure is a ratio of one run, lookups of the first two servers by turns; server seconds are the CPU
seconds of the server's whole process. Wall ratios mean something on an idle machine alone: `load` says how many
others wanted a processor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import fastquery as fq

CLIENTS = 8


@dataclass(frozen=True)
class Served:
    """A server's process, and where it listens."""

    pid: int
    address: str

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, by /proc."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            words = stat.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serve(table: str, protocol: str, *options: str) -> Iterator[Served]:
    """``fastquery serve`` of a table on a free port."""
    command = [sys.executable, "-m", "fastquery", "serve", "--table", table, "--protocol", protocol, "--json"]
    command += ["--listen", "127.0.0.1:0", "--address-clients", str(CLIENTS), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            document = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
            yield Served(process.pid, f"127.0.0.1:{document['port']}")
        finally:
            process.terminate()


def timed(session: fq.Session, served: Served, token: int) -> tuple[float, float]:
    """Wall and server seconds of a lookup."""
    cpu_s, start = served.cpu_s(), time.monotonic()
    session.lookup([token])
    return time.monotonic() - start, served.cpu_s() - cpu_s


def many_clients(served: Served, lookups: int, clients: int) -> float:
    """Lookups a second of so many clients at once, each with its keys at the server before the clock starts."""
    sessions = [fq.connect(served.address, tokens=1) for _ in range(clients)]

    def look_up(session: fq.Session) -> None:
        for token in range(lookups):
            session.lookup([token])

    threads = [threading.Thread(target=look_up, args=(session,)) for session in sessions]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - start
    for session in sessions:
        session.close()
    return clients * lookups / seconds


def measure(table: str, protocol: str, lookups: int) -> dict[str, Any]:
    """Every ratio of the page on benchmarks that is about sessions."""
    one_thread = ("--threads", "1")
    times: dict[str, list[tuple[float, float]]] = {"whole": [], "prepared": []}
    with serve(table, protocol, *one_thread) as plain:
        with (
            serve(table, protocol, "--prepared", *one_thread) as ahead,
            fq.connect(plain.address, tokens=1) as whole,
            fq.connect(ahead.address, tokens=1) as prepared,
        ):
            whole.lookup([0])
            opened = whole.setup_bytes
            for token in range(lookups):
                prepared.prepare()
                prepared.wait_prepared()
                times["whole"].append(timed(whole, plain, token))
                times["prepared"].append(timed(prepared, ahead, token))
            later = whole.setup_bytes - opened
        with serve(table, protocol) as shared:
            rates = [(many_clients(shared, 2, CLIENTS), many_clients(plain, 4, 1)) for _ in range(3)]
    cpu_s = {name: sum(cpu for _, cpu in found) for name, found in times.items()}
    return {
        "table": table,
        "protocol": protocol,
        "lookups": lookups,
        "setup_bytes": opened,
        "setup_bytes_before_a_second_lookup": later,
        "wall_over_server_seconds": statistics.median(wall / cpu for wall, cpu in times["whole"]),
        "prepared_over_whole_server_seconds": cpu_s["prepared"] / cpu_s["whole"],
        "prepared_over_whole_wall": statistics.median(wall for wall, _ in times["prepared"])
        / statistics.median(wall for wall, _ in times["whole"]),
        "eight_clients_over_one_on_one_thread_lookups_a_second": statistics.median(many / one for many, one in rates),
        "load": os.getloadavg()[0],
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="llama-7b", help="as `fastquery serve` takes it (default llama-7b)")
    parser.add_argument("--protocol", default="folded", help="one that can be prepared (default folded)")
    parser.add_argument("--lookups", type=int, default=8, help="of each kind (default 8)")
    options = parser.parse_args()
    print(json.dumps(measure(options.table, options.protocol, options.lookups), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
