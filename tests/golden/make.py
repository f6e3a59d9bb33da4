"""Write the ledgers of every system and option, as the golden file holds them.

Run once before a change of structure; a change of the file is a change of meaning, to be reviewed line by line.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastquery as fq

FILE = Path(__file__).with_name("ledgers.jsonl")
MACHINE = Path(__file__).with_name("machine.toml")
TABLES = ("llama-7b", "minilm", "4096x96", "1000x4096")
SYSTEMS = ("cheetah", "iron", "bumblebee", "cham", "cryptflow2", "ciphergpt", "spu-fm32", "spu-fm64")
ABLATIONS = ("baseline", "quant", "accumulation", "packing", "packlwes")
FIGURES = (
    "up_bytes", "down_bytes", "setup_bytes", "table_bytes", "security_bits_2018", "security_bits_2024", "noise_bits",
    "log2_failure", "flooding_bits", "log2_statistical_distance", "client_s", "server_s", "table_s", "offline_s",
)  # fmt: skip


def cases() -> Iterator[dict[str, Any]]:
    """Keywords of every estimate that the file holds, if it is not refused."""
    for table, protocol in itertools.product(TABLES, SYSTEMS):
        for tokens in (1, 7):
            yield {"table": table, "protocol": protocol, "tokens": tokens}
        for size in ("ideal", "wire", "openfhe"):
            yield {"table": table, "protocol": protocol, "size": size}
        for align_bits in (8, 37):
            yield {"table": table, "protocol": protocol, "align_bits": align_bits}
        for option in ("delphi", "shares", "split", "sirnn-iknp", "sirnn-ferret"):
            yield {"table": table, "protocol": protocol, "options": (option,), "align_bits": 37}
        for engine in ("residue", "openfhe"):
            for more in ({}, {"prepared": True}, {"flooding_bits": 0}, {"tokens": 5}, {"options": ("delphi",)}):
                yield {"table": table, "protocol": protocol, "engine": engine, **more}
    for table, ablation in itertools.product(TABLES, ABLATIONS):
        yield {"table": table, "ablation": ablation}
        yield {"table": table, "ablation": ablation, "align_bits": 37, "tokens": 3}
        yield {"table": table, "ablation": ablation, "options": ("delphi",)}
        for size in ("ideal", "wire", "openfhe"):
            yield {"table": table, "ablation": ablation, "size": size}
        for engine in ("residue", "openfhe"):
            yield {"table": table, "ablation": ablation, "engine": engine}
    own = ({}, {"engine": "openfhe"}, {"prepared": True}, {"flooding_bits": 0}, {"flooding_bits": 24}, {"tokens": 7},
           {"align_bits": 37}, {"align_bits": 64, "prepared": True}, {"size": "ideal"}, {"widths": (4,)},
           {"widths": (3, 3)}, {"levels": (10, 10, 10)}, {"options": ("delphi",)}, {"log2_failure": -50},
           {"log2_failure": -30}, {"ring": {"degree": 4096}}, {"ring": {"degree": 8192, "limb_bits": (60, 60)}},
           {"ring": {"degree": 2048, "limb_bits": (53,)}, "flooding_bits": 0},
           {"widths": (4,), "ring": {"plaintext_modulus": 2**20}})  # fmt: skip
    for table, protocol, more in itertools.product(TABLES, ("fastquery", "folded", "compressed"), own):
        yield {"table": table, "protocol": protocol, **more}


def record(case: dict[str, Any]) -> dict[str, Any] | None:
    """What the file says of a case; nothing if it is refused."""
    try:
        found = fq.estimate(**case, machine=MACHINE)
    except ValueError:
        return None
    rows = found.ledger.to_dict("records")
    return {
        "case": case,
        "figures": {name: getattr(found, name) for name in FIGURES},
        "ring": [found.configuration.ring.degree, *found.configuration.ring.limb_bits],
        "ledger": [
            [
                r["phase"],
                r["party"],
                r["kind"],
                r["item"],
                int(r["count"]),
                r["bytes"] if r["kind"] == "transfer" else 0,
            ]
            for r in rows
        ],
    }


def main() -> None:
    """Write the file."""
    lines = [json.dumps(entry, separators=(",", ":")) for case in cases() if (entry := record(case)) is not None]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
