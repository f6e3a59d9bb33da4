"""Configurations a second of a sweep, on one core.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/sweep.py

For sweeps whose long axis is the link, the tokens, the ring or the table: CPU seconds (one thread) of evaluating
and of laying out every column, without writing; the best and the median of five. Last, 100,000 configurations of every
system, with the searched parameters of folded, bucketed and compressed queries, and the plan of all: once.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from costmodel.machine import default_machine
from fastquery.frames import ROW_GROUP
from fastquery.sweeps import Columns, blocks, sweep, sweep_spaces

REPEATS = 5
SWEEPS: dict[str, dict[str, Any]] = {
    "links": {
        "ring": "N=2048:4096,p=5:20,q=30:60",
        "link": "1:1000Mbit/s",
        "table": ["llama-7b", "gpt2"],
        "protocol": ["cheetah", "fastquery"],
        "ablation": [None, "packing"],
        "flooding_bits": None,
    },
    "own design over links": {
        "ring": "N=2048:4096,p=5:20,q=30:60",
        "link": "1:1000Mbit/s",
        "table": ["llama-7b", "gpt2"],
        "flooding_bits": 0,
        "engine": "residue",
    },
    "tokens": {
        "ring": "N=2048:8192,p=13:20,q=30:60",
        "tokens": "1:2000",
        "ablation": "packlwes",
        "packing": (4, 3, 3),
    },
    "rings": {
        "ring": "N=1024:32768,p=13:40,q=41:60+30:60",
        "table": ["llama-7b", "gpt2", "minilm"],
        "ablation": "packing",
        "packing": (4, 3, 3),
        "link": "1:5Mbit/s",
    },
    "tables": {
        "ring": "N=2048:8192,p=13:16,q=40:52",
        "table": "1000:60000:1000x384:4096:128",
        "ablation": "packlwes",
        "packing": (4, 3, 3),
        "link": "1:4Mbit/s",
    },
}


EVERY: dict[str, Any] = {
    "protocol": "all",
    "table": "2000:130000:16000x768:4096:832",
    "ring": "N=2048:8192,q=44:60:4",
    "tokens": [1, 8],
    "link": [f"{rate}Mbit/s,{delay}ms" for rate in (10, 44, 100, 1000) for delay in (1, 40)],
}
"""Every system that can be had, in a hundred thousand configurations."""


def main() -> None:
    machine = default_machine()
    for name, axes in SWEEPS.items():
        spent = []
        for _ in range(REPEATS):
            start = time.process_time()
            found, _ = sweep_spaces(**axes)
            built = time.process_time()
            columns, count = Columns(found, ROW_GROUP), 0
            for space in found:
                for block in blocks(space, machine):
                    if block.count() > columns.room():
                        columns.clear()
                    count += columns.append(block)
            spent.append(time.process_time() - built)
        best, median = count / min(spent) / 1e6, count / statistics.median(spent) / 1e6
        print(f"{name:24} {count:>12,} configurations  {best:6.1f} million/s best, {median:6.1f} median "
              f"(spaces: {built - start:.2f} s)")  # fmt: skip

    start = time.process_time()
    frame = sweep(machine=machine, limit=100_000, **EVERY)
    spent_s = time.process_time() - start
    print(f"{len(frame):,} configurations of every system: {spent_s:.1f} s, {len(frame) / spent_s:,.0f} a second")


if __name__ == "__main__":
    main()
