"""How often tokens occur: Zipf's law, or a file of counts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MINILM_FIRST_WORD: Final = 1996  # before it: special entries, unused ones and single characters


def zipf_frequencies(tokens: int, first: int = 0, exponent: float = 1.0, shift: float = 2.7) -> NDArray[np.float64]:
    """Zipf-Mandelbrot frequencies of a vocabulary sorted from common to rare.

    ``f_k ~ (k + 1 - first + shift)^-exponent`` from id ``first`` on, scaled to the sum 1. The ids before it,
    which are no words, are as rare as the last. The vocabularies of byte-pair and word-piece tokenisers are
    roughly so sorted.

    Parameters
    ----------
    tokens : int
        Vocabulary size m.
    first : int
        Id of the commonest word.
    exponent, shift : float
        1 and 2.7 are usual for English text.

    Returns
    -------
    array, shape (m,)

    References
    ----------
    .. [1] B. Mandelbrot, "An informational theory of the statistical structure of language" (1953).
    """
    if not 0 <= first < tokens:
        raise ValueError(f"first: {first} is outside 0 to {tokens - 1}")
    words = (np.arange(1, tokens - first + 1) + shift) ** -exponent
    weights = np.concatenate([np.full(first, words[-1]), words])
    return np.asarray(weights / weights.sum())


def table_frequencies(name: str, tokens: int) -> NDArray[np.float64]:
    """Frequencies to assume of a named table where none are given: Zipf's law from its first word on."""
    return zipf_frequencies(tokens, _MINILM_FIRST_WORD if name == "minilm" else 0)


def clipped_frequencies(frequencies: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """Frequencies of at most ``threshold``, so that a few tokens do not take all the attention.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.3, "Data-free Embedding Table Fine-tuning".
    """
    if threshold <= 0:
        raise ValueError(f"threshold: {threshold} is not positive")
    return np.minimum(frequencies, threshold)


def read_frequencies(path: Path, tokens: int) -> NDArray[np.float64]:
    """Frequencies from a text file of one count a line, in token order, scaled to the sum 1.

    Raises
    ------
    ValueError
        If the file is missing, has another number of lines, or a line is no count of 0 or more.
    """
    try:
        counts = np.array([float(line) for line in path.read_text(encoding="utf-8").split()])
    except FileNotFoundError as error:
        raise ValueError(f"frequencies: there is no file {str(path)!r}") from error
    except ValueError as error:
        raise ValueError(f"frequencies: {str(path)!r} is not one count a line ({error})") from error
    return normalised_frequencies(counts, tokens)


def normalised_frequencies(counts: NDArray[np.float64], tokens: int) -> NDArray[np.float64]:
    """Counts scaled to the sum 1.

    Raises
    ------
    ValueError
        If there are not ``tokens`` of them, one is negative or not finite, or all are zero.
    """
    if counts.shape != (tokens,):
        raise ValueError(f"frequencies: {counts.size} counts for {tokens} tokens")
    if not np.isfinite(counts).all() or counts.min() < 0 or counts.sum() <= 0:
        raise ValueError("frequencies: counts have to be finite, 0 or more, and not all zero")
    return np.asarray(counts / counts.sum())
