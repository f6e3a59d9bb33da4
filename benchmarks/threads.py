"""A lookup on several threads beside the same on one, on a random table, in turns: wall and CPU seconds of the server.

`python -m benchmarks.threads [--protocol folded] [--rows M] [--channels N] [--tokens 1] [--flooding-bits 40]
[--threads 2] [--rounds 9] [--realtime]` prints a line of JSON a round and one of the medians over the rounds: wall
seconds on several threads over those on one, CPU seconds likewise, and the load average, since threads that find no
free processor gain nothing. With `--realtime`, which takes root, what is timed goes before all other work of the
machine. Every row is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import Table
from costmodel.systems import executed
from protocol.engine import ServerSession
from protocol.engines import engine_of
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from protocol.server import load_table
from protocol.threads import Threads

PROTOCOLS = ("folded", "compressed", "bucketed", "fastquery")


def timed(job: Callable[[], Any], realtime: bool) -> tuple[Any, float, float]:
    """What a job gives, and its wall and CPU seconds; threads that it makes keep its priority."""
    if realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    wall, spent = time.perf_counter(), time.process_time()
    result = job()
    seconds = time.perf_counter() - wall, time.process_time() - spent
    if realtime:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return result, *seconds


def answer_all(session: ServerSession, query: list[bytes], shares: NDArray[np.int64]) -> list[bytes]:
    """All frames of an answer."""
    return list(session.answer(query, shares))


def operations(meter: Meter) -> dict[str, float]:
    """CPU seconds by operation, from nothing on."""
    found = {place[-1]: round(done.seconds, 5) for place, done in meter.operations.items()}
    meter.operations.clear()
    return found


def main() -> None:
    """Print what rounds took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="folded")
    for name, default in (("rows", 32000), ("channels", 4096), ("tokens", 1), ("flooding-bits", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--realtime", action="store_true")
    asked = parser.parse_args()
    count = asked.tokens
    planned = count if asked.protocol == "bucketed" else 1
    shape = Table(asked.rows, asked.channels, planned)
    configuration = executed(asked.protocol, shape, flooding_bits=asked.flooding_bits)
    table = load_table(configuration, f"{shape.rows}x{shape.channels}", 0).coefficients
    engine, modulus = engine_of(configuration), configuration.ring.plaintext_modulus
    server = engine.server(configuration, table, Meter("server"), lambda *_: None, False)
    sides: list[tuple[Meter, ServerSession, Any]] = []
    for threads in (1, asked.threads):
        client = engine.client(configuration, count, Meter("client"), False, SeedRecord())
        meter = Meter("server", threads=Threads(threads))
        session = server.session(count, meter)
        keys = list(client.keys())
        if keys:
            session.accept_keys(keys)
        sides.append((meter, session, client))
    rng = np.random.default_rng(0)
    ratios: dict[str, list[float]] = {"wall": [], "cpu": []}
    for number in range(asked.rounds + 1):  # the first touches fresh memory
        tokens = rng.integers(0, asked.rows, count).tolist()
        found = []
        for meter, session, client in sides[:: 1 if number % 2 else -1]:
            lookup, asking = session.lookup(count, False), client.lookup(count, False)
            query = list(asking.encrypt(tokens))
            shares: NDArray[np.int64] = np.empty((count, table.shape[1]), dtype=np.int64)
            meter.operations.clear()
            job = partial(answer_all, lookup, query, shares)
            answer, wall_s, cpu_s = timed(job, asked.realtime)
            opened = (asking.decrypt(answer) + shares) % modulus
            right = np.array_equal(opened, table[tokens].astype(np.int64) % modulus)
            found.append((meter.threads.count, wall_s, cpu_s, right, operations(meter)))
        found.sort(key=lambda one: one[0])
        alone, shared = found
        line = {
            "right": alone[3] and shared[3],
            "wall": round(shared[1] / alone[1], 3),
            "cpu": round(shared[2] / alone[2], 3),
            "wall_s": [round(one[1], 4) for one in found],
            "cpu_s": [round(one[2], 4) for one in found],
            "load": os.getloadavg()[0],
            "work": [one[4] for one in found],
        }
        print(json.dumps(line), flush=True)
        if number:
            for name, values in ratios.items():
                values.append(line[name])
    print(json.dumps({**vars(asked), **{name: round(statistics.median(values), 3) for name, values in ratios.items()}}))


if __name__ == "__main__":
    main()
