"""The residue engine on the paper's table, (32000, 4096): bytes, server seconds, and what a batch of tokens saves.

Everything runs in one process and one thread, every row is checked, and CPU seconds are the process's own.

    python -m benchmarks.lookup [--tokens 128] [--repeats 3]
"""

from __future__ import annotations

import argparse
import resource
import statistics

import numpy as np

from costmodel.parameters import Configuration, Table
from costmodel.systems import executed
from protocol.compact.client import ResidueClient
from protocol.compact.engine import warm_up
from protocol.compact.server import ResidueServer
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.quantizers import quantize_table
from quantize.tables import open_table

ROWS, CHANNELS = 32000, 4096


def measure(configuration: Configuration, coefficients: np.ndarray, repeats: int) -> dict[str, float]:
    """Medians over repeated queries of fresh tokens."""
    tokens, modulus = configuration.table.tokens, configuration.ring.plaintext_modulus
    warm_up(configuration, allow_insecure=False)
    table = Meter("server")
    server = ResidueServer(configuration, coefficients, table, lambda *_: None, allow_insecure=False)
    client = ResidueClient(configuration, tokens, Meter("client"), allow_insecure=False, seeds=SeedRecord())
    keys, rng = list(client.keys()), np.random.default_rng(0)
    offline, online, sent = [], [], 0
    for _ in range(repeats):
        meter = Meter("server")
        session = server.session(tokens, meter)
        session.accept_keys(keys)
        if configuration.prepared:
            with meter.phase_of("offline"):
                halves = list(session.prepare(list(client.announce())))
            client.accept_first_halves(halves)
        chosen = rng.integers(0, ROWS, tokens).tolist()
        query = list(client.encrypt(chosen))
        shares = np.empty((tokens, coefficients.shape[1]), dtype=np.int64)
        with meter.phase_of("online"):
            answer = list(session.answer(query, shares))
        if not np.array_equal((client.decrypt(answer) + shares) % modulus, coefficients[chosen]):
            raise SystemExit("a row came out wrong")
        seconds = {
            phase: sum(s for (_, at, _), (_, s) in meter.operations.items() if at == phase)
            for phase in ("offline", "online")
        }
        offline.append(seconds["offline"])
        online.append(seconds["online"])
        sent = sum(map(len, query)) + sum(map(len, answer))
    return {
        "bytes": sent / tokens,
        "keys_bytes": sum(map(len, keys)),
        "offline_s": statistics.median(offline) / tokens,
        "online_s": statistics.median(online) / tokens,
        "table_s": sum(s for _, s in table.operations.values()),
        "table_bytes": server.table.transformed.nbytes,
        "noise_bits": client.noise_bits(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=128, help="tokens of the batch (default 128)")
    parser.add_argument("--repeats", type=int, default=3, help="queries a design, of which the median is taken")
    arguments = parser.parse_args()
    coefficients = quantize_table(open_table(f"{ROWS}x{CHANNELS}")).coefficients
    designs = {
        "one query": executed("fastquery", Table(ROWS, CHANNELS), flooding_bits=0),
        "prepared": executed("fastquery", Table(ROWS, CHANNELS), flooding_bits=0, prepared=True),
        f"{arguments.tokens} tokens": executed("fastquery", Table(ROWS, CHANNELS, arguments.tokens), flooding_bits=0),
        "one query, 40 bits of flooding": executed("fastquery", Table(ROWS, CHANNELS)),
        "prepared, 40 bits of flooding": executed("fastquery", Table(ROWS, CHANNELS), prepared=True),
    }
    print(f"{'design':32} {'bytes':>9} {'keys':>9} {'offline s':>9} {'online s':>9} {'table s':>8} {'table MB':>8}")
    for name, configuration in designs.items():
        repeats = 1 if configuration.table.tokens > 1 else arguments.repeats
        r = measure(configuration, coefficients, repeats)
        print(
            f"{name:32} {r['bytes']:9.0f} {r['keys_bytes']:9.0f} {r['offline_s']:9.4f} {r['online_s']:9.4f} "
            f"{r['table_s']:8.2f} {r['table_bytes'] / 1e6:8.0f}"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB; bytes and seconds a token")


if __name__ == "__main__":
    main()
