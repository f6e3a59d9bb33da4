"""Folded queries whose pass has a limb less than Q beside the same with all limbs, by turns on one random table.

`python -m benchmarks.dropped_limb [--rows M] [--channels N] [--widths 4,3] [--flooding-bits 8] [--rounds 9]` prints one
line of JSON for either, each with the cheapest parameters of its kind, and one of the ratios; `--distance -10` floods
to a distance after one row. Server seconds are CPU seconds of one thread, medians over the rounds, and beside those of
every operation stand the predicted ones of the built-in machine. Every row is checked. `--kernel` times the dropping
alone, beside transforms of as many residues.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.folded import timed, warm_up
from costmodel.estimate import estimate
from costmodel.expanded.folded.noise import failure, folded_noise
from costmodel.expanded.folded.parameters import FoldedColumns, FoldedParameters
from costmodel.expanded.folded.search import RINGS, FoldedSearch
from costmodel.expanded.search import BYTE_S, RingChoice, Rings, Shapes, Task
from costmodel.parameters import Configuration, Packing, Ring, Table
from protocol.expanded.context import query_ring
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.folded.server import FoldedServer
from protocol.meter import Meter
from protocol.residue.rounding import drop_limbs_of_values


class Restricted(FoldedSearch):
    """The search among parameters that drop limbs, or among those that do not."""

    def __init__(self, drops: bool) -> None:
        self.drops = drops

    def shapes(self, task: Task, rings: Rings) -> Shapes[FoldedColumns]:
        """Shapes of one kind."""
        found = super().shapes(task, rings)
        return found.taken(np.flatnonzero(found.columns.drops_limbs == self.drops))


class Side:
    """A server and its client, and what their lookups took."""

    def __init__(self, p: FoldedParameters, table: NDArray[np.int16]) -> None:
        self.parameters, self.table = p, table
        self.server = FoldedServer(p, table)
        self.client = FoldedClient(p)
        self.session = self.server.open(self.client.keys(), Meter("server"))
        self.seconds: list[float] = []
        self.work: dict[str, list[float]] = {}
        self.errors: list[NDArray[np.float64]] = []
        self.wrong = 0

    def look_up(self, token: int) -> None:
        """Look a token up, and hold its row to the table's."""
        query = self.client.query(token)
        self.session.meter.operations.clear()
        answer, spent = timed(lambda: self.session.answer(query))
        self.seconds.append(spent)
        for (_, _, operation), done in self.session.meter.operations.items():
            self.work.setdefault(operation, []).append(done.seconds)
        t = self.parameters.plaintext_modulus
        opened = (self.client.decrypt(answer.body) + answer.share) % np.uint64(t)
        self.wrong += int(np.count_nonzero(opened != np.mod(self.table[token].astype(np.int64), t).astype(np.uint64)))
        self.errors.append(self.client.relative_errors(answer.body))

    def report(self, widths: tuple[int, ...], channels: int) -> dict[str, Any]:
        """What was chosen, and what it took in the median."""
        p = self.parameters
        mean_square = float(np.mean(np.square(self.table[:: max(1, p.rows // 1000)].astype(np.float64))))
        return {
            "limbs": p.limbs,
            "pass_limbs": p.pass_limbs,
            "selectors_x_columns": [p.selectors, p.columns],
            "fold": p.fold,
            "expansion": [p.expansion[0], p.expansion[-1]],
            "mismatches": self.wrong,
            "server_s": round(statistics.median(self.seconds), 4),
            "work_ms": self.work_ms(widths, channels),
            "table_bytes": self.server.table.size_bytes,
            "key_bytes": p.key_bytes,
            "up_bytes": p.up_bytes,
            "down_bytes": p.down_bytes,
            "noise_bits": round(float(np.log2(np.sqrt(np.mean(np.square(np.concatenate(self.errors)))))), 3),
            "predicted_noise_bits": round(
                float(0.5 * np.log2(folded_noise(p, mean_square).total) + np.log2(p.plaintext_modulus)), 3
            ),
            "log2_failure": round(float(failure(p)), 1),
        }

    def work_ms(self, widths: tuple[int, ...], channels: int) -> dict[str, list[float]]:
        """Measured and predicted milliseconds of every operation."""
        p = self.parameters
        priced = estimate(
            Configuration(
                "folded",
                Table(p.rows, channels),
                Ring(p.degree, p.limb_bits, p.plaintext_modulus),
                Packing(widths),
                engine="residue",
                flooding_bits=p.flooding_bits,
                log2_distance=p.log2_distance,
                expanded=p,
            )
        ).ledger
        server = priced[(priced["kind"] == "work") & (priced["party"] == "server") & (priced["phase"] == "online")]
        predicted = dict(zip(server["item"], server["seconds"], strict=True))
        return {
            operation: [round(1e3 * statistics.median(found), 3), round(1e3 * float(predicted[operation]), 3)]
            for operation, found in self.work.items()
        }


def cheapest(options: argparse.Namespace, widths: tuple[int, ...], drops: bool) -> FoldedParameters:
    """The cheapest parameters that drop limbs, or that do not."""
    task = Task.of(
        options.rows, options.channels, widths, options.flooding_bits, -40, None, 3.19, BYTE_S, options.distance
    )
    rings = [RingChoice(options.degree, tuple(options.limbs))] if options.limbs else RINGS
    return Restricted(drops).single(task, rings).one()


def time_kernel(rounds: int) -> dict[str, Any]:
    """Microseconds of a polynomial that loses one of two limbs, and of as many transforms, by turns."""
    p = cheapest(argparse.Namespace(rows=3000, channels=4096, flooding_bits=8, distance=0.0, limbs=None), (4, 3), True)
    ring, count = query_ring(p), 128
    rng = np.random.default_rng(0)
    values = np.stack([rng.integers(0, q, (count, p.degree), dtype=np.uint64) for q in ring.moduli], axis=1)
    one = np.ascontiguousarray(values[:, :1])
    first = ring.first(1)
    found: dict[str, list[float]] = {"dropped_us": [], "transforms_us": []}
    for _ in range(rounds + 1):
        found["dropped_us"].append(timed(lambda: drop_limbs_of_values(values, ring, 1))[1] / count * 1e6)
        both = timed(lambda: first.forward(one))[1] + timed(lambda: first.inverse(one))[1]
        found["transforms_us"].append(both / count * 1e6)
    return {"N": p.degree, **{name: round(statistics.median(times[1:]), 2) for name, times in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32000)
    parser.add_argument("--channels", type=int, default=4096)
    parser.add_argument("--widths", default="4,3")
    parser.add_argument("--flooding-bits", type=int, default=8)
    parser.add_argument("--distance", type=float, default=0.0, help="log2, beside --flooding-bits 0")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--kernel", action="store_true")
    parser.add_argument("--degree", type=int, default=4096, help="ring degree of --limbs")
    parser.add_argument("--limbs", type=int, nargs="+", help="bits of the limbs (default: the search's rings)")
    options = parser.parse_args()
    if options.kernel:
        print(json.dumps(time_kernel(options.rounds)), flush=True)
        return
    widths = tuple(int(width) for width in options.widths.split(","))
    chosen = [cheapest(options, widths, drops) for drops in (False, True)]
    rng, bound = np.random.default_rng(0), chosen[0].element_bound
    shape = options.rows, chosen[0].row_coefficients
    table: NDArray[np.int16] = rng.integers(-bound, bound, shape, dtype=np.int16, endpoint=True)
    for p in chosen:
        warm_up(p)
    whole, dropped = sides = [Side(p, table) for p in chosen]
    for side in sides:
        side.look_up(0)  # finds nothing in place
        side.seconds, side.work = [], {}
    for token in rng.integers(0, options.rows, options.rounds).tolist():
        for side in sides:
            side.look_up(token)
    for side in sides:
        print(json.dumps(side.report(widths, options.channels)), flush=True)
    ratios = [one / all_limbs for one, all_limbs in zip(dropped.seconds, whole.seconds, strict=True)]
    print(
        json.dumps(
            {
                "rows": options.rows,
                "channels": options.channels,
                "flooding_bits": options.flooding_bits,
                "distance": options.distance,
                "seconds_ratio": round(statistics.median(ratios), 3),
                "lowest_and_highest": [round(min(ratios), 3), round(max(ratios), 3)],
                "table_ratio": round(dropped.server.table.size_bytes / whole.server.table.size_bytes, 3),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
