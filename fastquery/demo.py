"""The main job in one command: a sentence's tokens looked up privately in a real table, predicted beside measured."""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

from costmodel.systems import configuration
from fastquery.cli.run import text
from fastquery.figures import bandwidth_frame
from fastquery.runs import run
from fastquery.tables import table_of
from plots.bandwidth import bandwidth
from plots.style import save
from quantize.minilm import MiniLM

SENTENCE = "a private question"
FIGURE = Path("results/demo-bandwidth.png")


def main() -> int:
    """Look the sentence up, compare, draw; 0 only if every channel is right and the ledgers agree."""
    tokens = MiniLM.load().tokenize([SENTENCE]).ids.tolist()
    print(f"Looking up the {len(tokens)} tokens of {SENTENCE!r} privately in MiniLM's 30522 x 384 table\n")
    asked = configuration("fastquery", table_of("minilm", len(tokens)), engine="residue")
    with tqdm(file=sys.stderr, delay=1.0, leave=False) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.total, bar.desc = total, what
            bar.update(done - bar.n)

        result = run(asked, "minilm", tokens, progress=progress)
    print(text(result))
    print(f"\nworst difference from the plaintext rows: {result.worst_difference} levels")
    table = table_of("llama-7b", 1)
    drawn = bandwidth(
        bandwidth_frame(table), title=f"One private lookup in {table.rows} x {table.channels}", source="the cost model"
    )
    print(f"figure: {save(drawn, FIGURE)}")
    return 0 if result.correct and result.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
