"""Examples run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from quantize.tables import MINILM_PACKAGE

pytest.importorskip("openfhe")
EXAMPLES = Path(__file__).parents[2] / "examples"


def printed(name: str, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, EXAMPLES / f"{name}.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "words"), [("embed_in_a_program", "lookup 2: 2 row(s)"), ("next_layer", "W x of 2 rows")]
)
def test_an_example_runs(name: str, words: str) -> None:
    assert words in printed(name)


@pytest.mark.slow
def test_sentences_embed_as_by_the_float_model() -> None:
    try:
        distribution(MINILM_PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"{MINILM_PACKAGE} is not installed")
    shown = printed("sentence", "A private question.", "The ferry leaves at seven.")
    assert "lookup 1: 6 tokens, cosine 0.9" in shown
    assert "lookup 2: 8 tokens, cosine 0.9" in shown
