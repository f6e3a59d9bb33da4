"""Forward pass of MiniLM in NumPy: sentences to embeddings, with any word embedding table in place of its
own.

The model is ``all-MiniLM-L6-v2``: six post-normalised transformer layers of 384 channels and 12 heads, the
mean of the tokens, normalised to length 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from quantize._optional import require
from quantize.tables import MINILM_EMBEDDING, minilm_file, read_tensors

Floats = NDArray[np.float32]

HEADS: Final = 12
LAYERS: Final = 6
MAX_TOKENS: Final = 256
_EPSILON: Final = 1e-12


@dataclass(frozen=True)
class TokenBatch:
    """Token ids of several sentences, one after the other.

    Attributes
    ----------
    ids : array of int, shape (tokens,)
    lengths : array of int, shape (sentences,)
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Which places of a (sentences, longest) array hold a token."""
        mask: NDArray[np.bool_] = np.arange(self.lengths.max())[None, :] < self.lengths[:, None]
        return mask


@dataclass(frozen=True, eq=False)
class MiniLM:
    """Weights of the model by their names in its file, and its tokeniser."""

    weights: Mapping[str, Floats]
    tokenizer: Any

    @classmethod
    def load(cls) -> MiniLM:
        """Read the installed package's weights and vocabulary.

        Raises
        ------
        ValueError
            If the model's package, safetensors or tokenizers is missing.
        """
        tokenizers = require("tokenizers", "the MiniLM model")
        tokenizer = tokenizers.Tokenizer.from_file(str(minilm_file("tokenizer.json")))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return cls(read_tensors(minilm_file("model.safetensors")), tokenizer)

    @property
    def word_embeddings(self) -> Floats:
        """The model's own table, shape (30522, 384)."""
        return self.weights[MINILM_EMBEDDING]

    @property
    def qkv(self) -> Floats:
        """Query, key and value projections of the first layer side by side, shape (384, 3 * 384)."""
        names = (f"encoder.layer.0.attention.self.{part}.weight" for part in ("query", "key", "value"))
        return np.concatenate([self.weights[name].T for name in names], axis=1)

    def tokenize(self, sentences: Sequence[str]) -> TokenBatch:
        """Token ids with the special tokens at both ends, at most 256 a sentence.

        Raises
        ------
        ValueError
            If there are no sentences.
        """
        if not sentences:
            raise ValueError("sentences: there are none")
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(list(sentences))]
        return TokenBatch(np.concatenate(encoded).astype(np.int64), np.array([len(ids) for ids in encoded]))

    def embed(self, batch: TokenBatch, word_embeddings: Floats) -> Floats:
        """Sentence embeddings, shape (sentences, 384), of rows that were looked up.

        Parameters
        ----------
        batch : TokenBatch
        word_embeddings : array of float32, shape (tokens, 384)
            The row of every token of the batch, in its order.

        References
        ----------
        .. [1] Devlin et al., "BERT" (2019); Wang et al., "MiniLM" (2020).
        """
        weights = self.weights
        positions = np.concatenate([np.arange(length) for length in batch.lengths])
        hidden: Floats = (
            word_embeddings
            + weights["embeddings.position_embeddings.weight"][positions]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._normalise(hidden, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            hidden = self._layer(hidden, batch.mask, f"encoder.layer.{layer}")
        padded = np.zeros((*batch.mask.shape, hidden.shape[1]), np.float32)
        padded[batch.mask] = hidden
        mean = padded.sum(axis=1) / batch.lengths[:, None].astype(np.float32)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))

    def _layer(self, hidden: Floats, mask: NDArray[np.bool_], name: str) -> Floats:
        attended = self._linear(self._attention(hidden, mask, name), f"{name}.attention.output.dense")
        hidden = self._normalise(hidden + attended, f"{name}.attention.output.LayerNorm")
        inner = self._linear(hidden, f"{name}.intermediate.dense")
        inner *= np.float32(0.5) * (1 + erf(inner * np.float32(2**-0.5)))
        return self._normalise(hidden + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _attention(self, hidden: Floats, mask: NDArray[np.bool_], name: str) -> Floats:
        width = hidden.shape[1] // HEADS
        padded = np.zeros((3, *mask.shape, HEADS, width), np.float32)
        for i, part in enumerate(("query", "key", "value")):
            padded[i][mask] = self._linear(hidden, f"{name}.attention.self.{part}").reshape(-1, HEADS, width)
        query, key, value = padded.transpose(0, 1, 3, 2, 4)
        scores = query @ key.swapaxes(2, 3) * np.float32(width**-0.5)
        scores[~np.broadcast_to(mask[:, None, None, :], scores.shape)] = -np.inf
        scores = np.exp(scores - scores.max(axis=3, keepdims=True))
        scores /= scores.sum(axis=3, keepdims=True)
        return np.asarray((scores @ value).transpose(0, 2, 1, 3)[mask].reshape(len(hidden), -1))

    def _linear(self, hidden: Floats, name: str) -> Floats:
        return np.asarray(hidden @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def _normalise(self, hidden: Floats, name: str) -> Floats:
        centred = hidden - hidden.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(_EPSILON))
        return np.asarray(centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])
