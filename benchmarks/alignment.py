"""Bytes and CPU seconds of the bit-width alignment, by extension: `python benchmarks/alignment.py`.

Both parties run in one process over a local channel; CPU seconds are each thread's own. Every run opens the
shares and compares. Prints one line of JSON an extension.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.alignment import AlignmentClient, AlignmentServer, Fields, local_pair, message_lengths


def cpu_seconds(*jobs: Callable[[], Any]) -> list[float]:
    """CPU seconds of each job's own thread, all run at once."""
    seconds = [0.0] * len(jobs)

    def measure(index: int, job: Callable[[], Any]) -> None:
        start = time.thread_time()
        job()
        seconds[index] = time.thread_time() - start

    threads = [threading.Thread(target=measure, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


def measure(fields: Fields, coefficients: int, target_bits: int, block_bits: int, repeats: int) -> dict[str, Any]:
    """One extension: bytes of the messages and median CPU seconds of each step and party."""
    client_end, server_end = local_pair()
    session = secrets.token_bytes(16)
    client = AlignmentClient(client_end, fields, target_bits, block_bits, session)
    server = AlignmentServer(server_end, fields, target_bits, block_bits, session)
    setup = cpu_seconds(server.setup, client.setup)
    rng = np.random.default_rng(0)
    masks = rng.integers(0, fields.plaintext_modulus, coefficients, np.uint64)
    values = [rng.integers(0, modulus // 2, coefficients, np.uint64) for modulus in fields.moduli]
    packed, weight = np.zeros(coefficients, np.uint64), 1
    for value, modulus in zip(values, fields.moduli, strict=True):
        packed += value * np.uint64(weight)
        weight *= modulus
    t = np.uint64(fields.plaintext_modulus)
    shares: NDArray[np.uint64] = np.mod(packed + (t - masks), t, dtype=np.uint64)
    steps: dict[str, list[float]] = {"server_prepare_s": [], "client_prepare_s": [], "finish_s": []}
    for _ in range(repeats):
        steps["server_prepare_s"] += cpu_seconds(lambda: server.prepare(masks))
        steps["client_prepare_s"] += cpu_seconds(lambda: client.prepare(coefficients))
        start = time.thread_time()
        opened = client.finish(shares) + server.finish()
        steps["finish_s"].append(time.thread_time() - start)
        if not np.array_equal(opened & np.uint64(2**target_bits - 1), np.stack(values, axis=1)):
            raise RuntimeError("the opened shares are not the channels")
    medians = {name: statistics.median(seconds) for name, seconds in steps.items()}
    messages = message_lengths(coefficients, fields, target_bits, block_bits)
    sent = sum(size for _, size in client_end.sent + server_end.sent)
    setup_bytes = sum(message.bytes for message in messages if message.phase == "setup")
    return {
        "extension": "IKNP" if block_bits == 1 else f"SoftSpokenOT, {block_bits} bits",
        "channels": coefficients * len(fields.moduli),
        "target_bits": target_bits,
        "setup_bytes": setup_bytes,
        "bytes": (sent - setup_bytes) // repeats,
        "predicted_bytes": sum(message.bytes for message in messages) - setup_bytes,
        "setup_s": sum(setup),
        **medians,
        "cpu_s": sum(medians.values()),
    }


def main() -> None:
    """Measure all extensions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moduli", default="32,16,16", help="fields of a coefficient (default: 32,16,16)")
    parser.add_argument("--channels", type=int, default=4096, help="channels (default: 4096)")
    parser.add_argument("--target-bits", type=int, default=37, help="bits of the shares (default: 37)")
    parser.add_argument("--block-bits", default="1,2,4,8", help="1 is IKNP (default: 1,2,4,8)")
    parser.add_argument("--repeats", type=int, default=9, help="alignments after one setup (default: 9)")
    options = parser.parse_args()
    fields = Fields(tuple(int(modulus) for modulus in options.moduli.split(",")))
    coefficients = -(-options.channels // len(fields.moduli))
    for block_bits in options.block_bits.split(","):
        print(json.dumps(measure(fields, coefficients, options.target_bits, int(block_bits), options.repeats)))


if __name__ == "__main__":
    main()
