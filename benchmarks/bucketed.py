"""A prompt in buckets beside single folded queries, on a random table, in turns: seconds, bytes and memory.

`python -m benchmarks.bucketed [--rows M] [--channels N] [--tokens 128] [--flooding-bits 0] [--rounds 5]` prints a line
of JSON a round: CPU seconds of the server on one thread a token, of all and of its operations, and every row checked.
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
from protocol.expanded.bucketed.server import BucketedServer, BucketedSession
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.folded.server import FoldedServer
from protocol.meter import Meter

WIDTHS = (4, 3)


def timed(meter: Meter, tokens: int, job: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a job gives, and CPU seconds a token of all of it and of its operations."""
    before, start = dict(meter.operations), time.process_time()
    result = job()
    seconds = {"all": time.process_time() - start}
    for place, done in meter.operations.items():
        spent = done.seconds - (before[place].seconds if place in before else 0.0)
        seconds[place[-1]] = spent
    return result, {name: round(spent / tokens, 6) for name, spent in seconds.items() if spent > 0}


def answer_all(session: BucketedSession, body: bytes, shares: NDArray[np.int64]) -> list[bytes]:
    """All answers to a prompt."""
    return list(session.answer(body, shares))


def main() -> None:
    """Print what rounds took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 32000), ("channels", 4096), ("tokens", 128), ("flooding-bits", 0), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    rows, count, flooding_bits = asked.rows, asked.tokens, asked.flooding_bits
    share = -40 - (count - 1).bit_length()
    p = bucketed.choose_parameters(rows, asked.channels, WIDTHS, flooding_bits, share, tokens=count)
    one = folded.choose_parameters(rows, asked.channels, WIDTHS, flooding_bits)
    rng, meters = np.random.default_rng(0), (Meter("server"), Meter("server"))
    table = rng.integers(-one.element_bound, one.element_bound, (rows, p.row_coefficients), dtype=np.int16)
    client, server = BucketedClient(p), BucketedServer(p, table, meter=meters[0])
    session = server.open(client.keys(), meters[0])
    single = FoldedClient(one)
    singles = FoldedServer(one, table, meter=meters[1]).open(single.keys(), meters[1])
    for _ in range(asked.rounds + 1):  # the first compiles
        tokens = rng.integers(0, rows, count).tolist()
        prompt, shares = client.ask(tokens), np.empty((count, p.row_coefficients), dtype=np.int64)
        answers, together = timed(meters[0], count, partial(answer_all, session, prompt.body, shares))
        opened = client.shares(prompt, answers).astype(np.int64) + shares
        right = np.array_equal(opened % p.plaintext_modulus, table[tokens].astype(np.int64) % p.plaintext_modulus)
        _, alone = timed(meters[1], 1, partial(singles.answer, single.query(tokens[0])))
        sizes = {"up": len(prompt.body) / count, "down": sum(map(len, answers)) / count}
        print(
            json.dumps(
                {"right": right, **sizes, "ratio": together["all"] / alone["all"], "prompt": together, "one": alone}
            )
        )


if __name__ == "__main__":
    main()
