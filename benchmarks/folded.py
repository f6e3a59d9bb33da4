"""The folded query on a random table: bytes, seconds, memory and noise, every output checked.

`python -m benchmarks.folded [--rows M] [--channels N] [--widths 4,3] [--flooding-bits 0,40] [--batch T]` prints one
line of JSON a flooding width; with `--distance -26 --planned 1048576` one for the flooding that leaves a distance after
so many rows. Server seconds are CPU seconds of one thread, medians over the queries.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.design import FoldedDesign
from costmodel.expanded.folded.noise import failure, folded_noise
from costmodel.expanded.folded.parameters import FoldedColumns, FoldedParameters
from costmodel.expanded.folded.search import choose_parameters
from costmodel.expanded.search import least_security_bits
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.folded.server import FoldedServer
from protocol.expanded.server import ServerAnswer
from protocol.meter import Meter


def timed(job: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = job()
    return result, time.process_time() - start


def warm_up(parameters: FoldedParameters) -> None:
    """Compile every kernel for the parameters' sizes on a table of one column more than one."""
    rows = parameters.slots * (parameters.selectors + 1)
    small = choose_parameters(rows, parameters.row_coefficients, (1,), 40 * parameters.flooded)
    client = FoldedClient(small)
    server = FoldedServer(small, np.zeros((rows, parameters.row_coefficients), dtype=np.int16))
    session = server.open(client.keys())
    session.answer(client.query(0))
    session.prepare(1)
    client.decrypt(session.answer(client.query(1)).body)


def run(
    rows: int,
    channels: int,
    widths: tuple[int, ...],
    flooding_bits: int,
    queries: int,
    batch: int,
    asked: dict[str, Any],
) -> dict[str, Any]:
    p, search_s = timed(lambda: choose_parameters(rows, channels, widths, flooding_bits, **asked))
    warm_up(p)
    rng = np.random.default_rng(0)
    bound = p.element_bound
    table: NDArray[np.int16] = rng.integers(-bound, bound, (rows, p.row_coefficients), dtype=np.int16, endpoint=True)
    server, table_s = timed(lambda: FoldedServer(p, table))
    client, client_keys_s = timed(lambda: FoldedClient(p))
    keys = client.keys()
    session, keys_s = timed(lambda: server.open(keys, Meter("server")))
    errors: list[NDArray[np.float64]] = []
    wrong = 0

    def check(answer: ServerAnswer, token: int) -> None:
        nonlocal wrong
        opened = (client.decrypt(answer.body) + answer.share) % np.uint64(p.plaintext_modulus)
        wrong += int(
            np.count_nonzero(opened != np.mod(table[token].astype(np.int64), p.plaintext_modulus).astype(np.uint64))
        )
        errors.append(client.relative_errors(answer.body))

    seconds: dict[str, list[float]] = {"one_shot": [], "prepare": [], "online": []}
    up = down = 0
    for index, token in enumerate(rng.integers(0, rows, 2 * queries).tolist()):
        query = client.query(token)
        if index >= queries:
            kept, spent = timed(lambda index=index: session.prepare(index))
            seconds["prepare"].append(spent)
        answer, spent = timed(lambda query=query: session.answer(query))
        seconds["online" if index >= queries else "one_shot"].append(spent)
        up, down = len(query), len(answer.body)
        check(answer, token)
    tokens = rng.integers(0, rows, batch).tolist()
    bodies = [client.query(token) for token in tokens]
    together, batch_s = timed(lambda: list(session.answer_many(bodies)))
    for answer, token in zip(together, tokens, strict=True):
        check(answer, token)
    variance = folded_noise(p, float(np.mean(np.square(table[:: max(1, rows // 1000)].astype(np.float64))))).total
    return {
        "rows": rows,
        "channels": channels,
        "widths": widths,
        "N": p.degree,
        "answer_N": p.answer_degree,
        "limb_bits": p.limb_bits,
        "selectors_x_columns": [p.selectors, p.columns],
        "correct": wrong == 0,
        "mismatches": wrong,
        "queries": 2 * queries + batch,
        "up_bytes": up + 16,
        "down_bytes": down + 16,
        "predicted_up_bytes": p.up_bytes,
        "predicted_down_bytes": p.down_bytes,
        "key_bytes": len(keys),
        "server_s": round(statistics.median(seconds["one_shot"]), 4),
        "offline_s": round(statistics.median(seconds["prepare"]), 4),
        "online_s": round(statistics.median(seconds["online"]), 4),
        "prepared_bytes": kept.size_bytes,
        "batch": batch,
        "batch_server_s_per_token": round(batch_s / batch, 4) if batch else None,
        "work_ms": {k[2]: round(v[1] / v[0] * 1e3, 4) for k, v in session.meter.operations.items()},
        "table_s": round(table_s, 3),
        "table_bytes": server.table.size_bytes,
        "read_keys_s": round(keys_s, 3),
        "make_client_s": round(client_keys_s, 3),
        "search_s": round(search_s, 2),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "noise_bits": round(float(np.log2(np.sqrt(np.mean(np.square(np.concatenate(errors)))))), 3),
        "predicted_noise_bits": round(float(0.5 * np.log2(variance) + np.log2(p.plaintext_modulus)), 3),
        "log2_failure": round(failure(p), 1),
        "flooding_bits": flooding_bits,
        "log2_statistical_distance": round(float(FoldedDesign().answers_distance(FoldedColumns.of(p), 1)), 1),
        "log2_planned_distance": round(float(FoldedDesign().answers_distance(FoldedColumns.of(p), p.queries)), 1),
        "security_bits": least_security_bits(p),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=32000)
    parser.add_argument("--channels", type=int, default=4096)
    parser.add_argument("--widths", default="4,3")
    parser.add_argument("--flooding-bits", default="0,40")
    parser.add_argument("--queries", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--distance", type=float, default=0.0, help="log2, in the place of --flooding-bits")
    parser.add_argument("--planned", type=int, default=1, help="rows that the distance is meant after")
    parser.add_argument("--plaintext-bits", type=int, help="log2 of the plaintext modulus (default as the widths need)")
    options = parser.parse_args()
    widths = tuple(int(width) for width in options.widths.split(","))
    asked: dict[str, Any] = {"log2_distance": options.distance, "queries": options.planned}
    if options.plaintext_bits:
        asked["plaintext_modulus"] = 1 << options.plaintext_bits
    for flooding_bits in (0,) if options.distance else map(int, options.flooding_bits.split(",")):
        found = run(options.rows, options.channels, widths, flooding_bits, options.queries, options.batch, asked)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
