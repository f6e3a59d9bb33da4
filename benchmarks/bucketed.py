"""A prompt in buckets beside single folded queries, on a random table, in turns: seconds, bytes and memory.

`python -m benchmarks.bucketed [--rows M] [--channels N] [--tokens 128] [--flooding-bits 0] [--rounds 5]` prints a line
of JSON a round: CPU seconds of the server on one thread a token, of all and of its operations, and every row checked.
With `--threads 2` every round answers the prompt on two threads as well, before or after it is answered on one, and
states wall and CPU seconds of the prompt on several threads over those on one, beside the load average of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.bucketed import search as bucketed
from costmodel.expanded.folded import search as folded
from protocol.expanded.bucketed.client import BucketedClient
from protocol.expanded.bucketed.server import BucketedServer
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.folded.server import FoldedServer
from protocol.meter import Meter
from protocol.threads import Threads

WIDTHS = (4, 3)
WARM_UP_ROWS = 300


def timed(meter: Meter, tokens: int, job: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a job gives, and CPU seconds a token of all of it and of its operations."""
    meter.operations.clear()
    start = time.process_time()
    result = job()
    seconds = {"all": time.process_time() - start}
    seconds.update((operation, done.seconds) for (_, _, operation), done in meter.operations.items())
    return result, {name: round(spent / tokens, 6) for name, spent in seconds.items() if spent > 0}


class Side:
    """A client of a server, whose prompts are answered by so many threads."""

    def __init__(self, server: BucketedServer, threads: int) -> None:
        self.threads, self.meter = threads, Meter("server", threads=Threads(threads))
        self.client = BucketedClient(server.parameters)
        self.session = server.open(self.client.keys(), self.meter)

    def look_up(self, tokens: list[int], table: NDArray[np.int16]) -> dict[str, Any]:
        """Look a prompt up, hold its rows to the table's, and return bytes and seconds."""
        count, modulus = len(tokens), self.client.parameters.plaintext_modulus
        prompt, shares = self.client.ask(tokens), np.empty((count, table.shape[1]), dtype=np.int64)
        start = time.perf_counter()
        answers, work = timed(self.meter, count, lambda: list(self.session.answer(prompt.body, shares)))
        wall_s = time.perf_counter() - start
        opened = self.client.shares(prompt, answers).astype(np.int64) + shares
        return {
            "right": np.array_equal(opened % modulus, table[tokens].astype(np.int64) % modulus),
            "up": len(prompt.body) / count,
            "down": sum(map(len, answers)) / count,
            "wall_s": wall_s,
            "work": work,
        }


def warm_up(channels: int, flooding_bits: int) -> None:
    """Compile what prompts and single rows of a table are answered with, on a small table."""
    p = bucketed.choose_parameters(WARM_UP_ROWS, channels, WIDTHS, flooding_bits, tokens=5)
    table = np.zeros((WARM_UP_ROWS, p.row_coefficients), dtype=np.int16)
    Side(BucketedServer(p, table), 1).look_up([0], table)


def main() -> None:
    """Print what rounds took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 32000), ("channels", 4096), ("tokens", 128), ("flooding-bits", 0), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=1, help="that answer every prompt as well (default: one alone)")
    asked = parser.parse_args()
    rows, count, flooding_bits = asked.rows, asked.tokens, asked.flooding_bits
    warm_up(asked.channels, flooding_bits)
    share = -40 - (count - 1).bit_length()
    p = bucketed.choose_parameters(rows, asked.channels, WIDTHS, flooding_bits, share, tokens=count)
    one = folded.choose_parameters(rows, asked.channels, WIDTHS, flooding_bits)
    rng, meter = np.random.default_rng(0), Meter("server")
    table = rng.integers(-one.element_bound, one.element_bound, (rows, p.row_coefficients), dtype=np.int16)
    server = BucketedServer(p, table)
    sides = [Side(server, threads) for threads in dict.fromkeys((1, asked.threads))]
    single = FoldedClient(one)
    singles = FoldedServer(one, table).open(single.keys(), meter)
    for number in range(asked.rounds):
        tokens = rng.integers(0, rows, count).tolist()
        found = {side.threads: side.look_up(tokens, table) for side in sides[:: -1 if number % 2 else 1]}
        _, alone = timed(meter, 1, partial(singles.answer, single.query(tokens[0])))
        prompt, several = found[1], found[asked.threads]
        line = {
            **{name: prompt[name] for name in ("right", "up", "down")},
            "ratio": prompt["work"]["all"] / alone["all"],
            "prompt": prompt["work"],
            "one": alone,
        }
        if asked.threads > 1:
            line["threads"] = {
                "count": asked.threads,
                "right": several["right"],
                "wall": round(several["wall_s"] / prompt["wall_s"], 3),
                "cpu": round(several["work"]["all"] / prompt["work"]["all"], 3),
                "wall_s": [round(prompt["wall_s"], 3), round(several["wall_s"], 3)],
                "load": os.getloadavg()[0],
            }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
