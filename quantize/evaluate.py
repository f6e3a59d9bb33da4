"""How good a quantised table is: its error behind the first projections, and what a model makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantize.metric import Matrix, row_losses
from quantize.minilm import MiniLM, TokenBatch
from quantize.sentences import SENTENCES
from quantize.sources import TableSource

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Lookup = Callable[[NDArray[np.int64]], Floats32]


def weighted_error(source: TableSource, lookup: Lookup, frequencies: Floats, metric: Matrix | None) -> float:
    """Frequency-weighted relative error of a table behind the first projections.

    ``sqrt(sum_r f_r e_r G e_r^T / sum_r f_r w_r G w_r^T)`` with ``e_r = Q(w_r) - w_r``: the paper's
    fine-tuning loss made relative.

    Parameters
    ----------
    source : TableSource
        The table that was quantised.
    lookup : callable
        Dequantised embeddings of token ids.
    frequencies : array, shape (m,)
    metric : array, shape (n, n), optional
        `projection_metric`; the identity where it is None.

    References
    ----------
    .. [1] FastQuery (DAC 2024), section 4.3, the loss L.
    """
    error = signal = 0.0
    for start, weights in source.blocks():
        part = slice(start, start + len(weights))
        difference = lookup(np.arange(part.start, part.stop)) - weights
        error += float(frequencies[part] @ _squares(difference, metric))
        signal += float(frequencies[part] @ _squares(weights, metric))
    return float(np.sqrt(error / signal)) if signal else 0.0


@dataclass(frozen=True, eq=False)
class SentenceBenchmark:
    """Sentences, whose embeddings by a quantised table are compared with those of the float model."""

    model: MiniLM
    sentences: Sequence[str] = SENTENCES

    @cached_property
    def batch(self) -> TokenBatch:
        """The sentences' tokens."""
        return self.model.tokenize(self.sentences)

    @cached_property
    def reference(self) -> Floats32:
        """The float model's sentence embeddings, shape (sentences, 384), each of length 1."""
        return self.model.embed(self.batch, self.model.word_embeddings[self.batch.ids])

    def cosines(self, lookup: Lookup) -> Floats32:
        """Cosine of each sentence's embedding to the float model's, shape (sentences,).

        Parameters
        ----------
        lookup : callable
            Word embeddings of token ids, shape (tokens, 384).
        """
        embedded = self.model.embed(self.batch, lookup(self.batch.ids))
        return np.asarray((embedded * self.reference).sum(axis=1))


def _squares(rows: Matrix, metric: Matrix | None) -> Floats:
    if metric is None:
        return np.asarray(np.einsum("ij,ij->i", rows, rows), np.float64)
    return row_losses(rows, metric)
