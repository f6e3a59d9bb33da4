"""The main job in one command: a sentence's tokens looked up privately in a real table, predicted beside measured.

The same sentence is looked up twice: by the residue kernels on OpenFHE's ring and keys, and by OpenFHE's operations
alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from costmodel.systems import configuration
from fastquery.cli import guarded
from fastquery.cli.run import text
from fastquery.figures import bandwidth_frame
from fastquery.runs import Run, run
from fastquery.tables import table_of
from plots.bandwidth import bandwidth
from plots.style import save
from quantize.minilm import MiniLM

SENTENCE = "a private question"
FIGURE = Path("results/demo-bandwidth.png")
ENGINES = {
    "residue": "the residue kernels; OpenFHE makes ring and keys and checks their security",
    "openfhe": "OpenFHE's operations alone, the paper's whole protocol with PackLWEs",
}


def looked_up(tokens: list[int], engine: str) -> Run:
    """A run of the tokens on an engine, with its progress on standard error."""
    asked = configuration("fastquery", table_of("minilm", len(tokens)), engine=engine)
    with tqdm(file=sys.stderr, delay=1.0, leave=False) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.total, bar.desc = total, what
            bar.update(done - bar.n)

        return run(asked, "minilm", tokens, progress=progress)


def main() -> int:
    """Look the sentence up on both engines, compare, draw; 0 only if every channel is right and the ledgers agree."""
    tokens = MiniLM.load().tokenize([SENTENCE]).ids.tolist()
    print(f"Looking up the {len(tokens)} tokens of {SENTENCE!r} privately in MiniLM's 30522 x 384 table")
    runs = []
    for engine, description in ENGINES.items():
        print(f"\n== {engine}: {description}\n")
        runs.append(looked_up(tokens, engine))
        print(text(runs[-1]))
    same = np.array_equal(runs[0].rows, runs[1].rows)
    print(f"\nrows of both engines: {'the same' if same else 'DIFFERENT'}")
    table = table_of("llama-7b", 1)
    drawn = bandwidth(
        bandwidth_frame(table), title=f"One private lookup in {table.rows} x {table.channels}", source="the cost model"
    )
    print(f"figure: {save(drawn, FIGURE)}")
    return 0 if same and all(one.correct and one.agrees for one in runs) else 1


if __name__ == "__main__":
    sys.exit(guarded("fastquery demo", main))
