"""A server whose shares a program takes, and a client in a process of its own.

python examples/embed_in_a_program.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastquery as fq
from protocol.share import Share

TOKENS = ((7,), (299, 3))
CLIENT = """
import sys
import fastquery as fq
with fq.connect(sys.argv[1], tokens=4) as session:
    for number, ids in enumerate({tokens}):
        session.lookup(ids).save(f"{{sys.argv[2]}}/{{number}}.npz")
"""


def main() -> int:
    """Look rows up, open them with both parties' shares, and say how large they are."""
    taken: list[Share] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        fq.Server("300x24", protocol="folded", on_share=taken.append) as server,
    ):
        client = [sys.executable, "-c", CLIENT.format(tokens=TOKENS), server.address, folder]
        subprocess.run(client, check=True)
        for number, theirs in enumerate(taken):
            rows = fq.open(Share.load(Path(folder, f"{number}.npz")), theirs)
            print(f"lookup {theirs.lookup}: {rows.shape[0]} row(s), norms {np.linalg.norm(rows, axis=1).round(3)}")
    return 0 if len(taken) == len(TOKENS) else 1


if __name__ == "__main__":
    sys.exit(main())
