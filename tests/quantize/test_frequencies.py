from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantize.frequencies import (
    clipped_frequencies,
    normalised_frequencies,
    read_frequencies,
    table_frequencies,
    zipf_frequencies,
)


def test_zipf() -> None:
    frequencies = zipf_frequencies(1000)
    assert frequencies.sum() == pytest.approx(1)
    assert frequencies[0] / frequencies[9] == pytest.approx(12.7 / 3.7)
    shifted = zipf_frequencies(1000, first=100)
    assert shifted.argmax() == 100
    assert (shifted[:100] == shifted[-1]).all()
    with pytest.raises(ValueError, match="first: 1000 is outside"):
        zipf_frequencies(1000, first=1000)


def test_the_commonest_word_of_minilm_is_the() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from quantize.tables import minilm_file

    tokenizer = tokenizers.Tokenizer.from_file(str(minilm_file("tokenizer.json")))
    assert tokenizer.id_to_token(int(table_frequencies("minilm", 30522).argmax())) == "the"
    assert table_frequencies("gpt2", 50257).argmax() == 0


def test_clipping() -> None:
    assert clipped_frequencies(np.array([0.5, 0.3, 0.2]), 0.25).tolist() == [0.25, 0.25, 0.2]
    with pytest.raises(ValueError, match="not positive"):
        clipped_frequencies(np.array([1.0]), 0)


def test_a_file_of_counts(tmp_path: Path) -> None:
    path = tmp_path / "counts.txt"
    path.write_text("3\n1\n0\n4\n")
    assert read_frequencies(path, 4).tolist() == [3 / 8, 1 / 8, 0, 1 / 2]
    with pytest.raises(ValueError, match="4 counts for 5 tokens"):
        read_frequencies(path, 5)
    path.write_text("3\nmany\n")
    with pytest.raises(ValueError, match="not one count a line"):
        read_frequencies(path, 2)
    with pytest.raises(ValueError, match="there is no file"):
        read_frequencies(tmp_path / "none", 2)


@pytest.mark.parametrize("counts", [[1, -1, 2], [0, 0, 0], [1, np.nan, 2], [1, np.inf, 2]])
def test_counts_that_are_none(counts: list[float]) -> None:
    with pytest.raises(ValueError, match="finite, 0 or more"):
        normalised_frequencies(np.array(counts), 3)
