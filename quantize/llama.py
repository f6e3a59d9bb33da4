"""Language models of Llama's architecture: weights from a GGUF file, and a forward pass in JAX.

The rows that stand at the input are handed over, so that any table takes the place of the model's own; its output
head keeps the float table where the two are tied, as in [1]_.

References
----------
.. [1] FastQuery (DAC 2024), section 2.5: the embedding table alone is quantised.
.. [2] Touvron et al., "LLaMA" (2023): pre-normalisation, rotary positions, gated units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantize._optional import require
from quantize.gguf_file import GGUFFile

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

EMBEDDING: Final = "token_embd.weight"
_LAYER: Final = ("attn_norm", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")
_PROJECTIONS: Final = ("attn_q", "attn_k", "attn_v")


@dataclass(frozen=True)
class LlamaShape:
    """Dimensions of a model.

    Attributes
    ----------
    layers, channels, heads, key_heads : int
        ``key_heads`` of keys and values, each of them for ``heads / key_heads`` of the queries'.
    epsilon : float
        Of the root mean square normalisation.
    rope_base : float
        Base of the rotary positions, which turn interleaved pairs of channels.
    """

    layers: int
    channels: int
    heads: int
    key_heads: int
    epsilon: float
    rope_base: float

    @classmethod
    def of(cls, file: GGUFFile) -> LlamaShape:
        """The dimensions that a file states.

        Raises
        ------
        ValueError
            If the file's architecture is another, or a dimension is missing.
        """
        architecture = str(file.metadata("general.architecture"))
        if architecture != "llama":
            raise ValueError(f"{str(file.path)!r}: its architecture is {architecture!r}; 'llama' is expected")
        keys = (
            "block_count",
            "embedding_length",
            "attention.head_count",
            "attention.head_count_kv",
            "attention.layer_norm_rms_epsilon",
            "rope.freq_base",
        )
        return cls(*(file.metadata(f"{architecture}.{key}") for key in keys))

    @property
    def head_channels(self) -> int:
        """Channels of a head."""
        return self.channels // self.heads

    @property
    def projected(self) -> tuple[int, int, int]:
        """Outputs of the query, key and value projections."""
        keys = self.key_heads * self.head_channels
        return self.channels, keys, keys


@dataclass(frozen=True, eq=False)
class Llama:
    """A model's weights, by their names in its file.

    Attributes
    ----------
    shape : LlamaShape
    weights : mapping
    """

    shape: LlamaShape
    weights: Mapping[str, Floats]

    @classmethod
    def of(cls, file: GGUFFile) -> Llama:
        """Read a file's weights, dequantised to float32.

        Raises
        ------
        ValueError
            If the file holds no model of this architecture.
        """
        return cls(LlamaShape.of(file), {name: file.tensor(name) for name in file.tensors})

    @property
    def word_embeddings(self) -> Floats:
        """The model's own table, shape (m, n)."""
        return self.weights[EMBEDDING]

    @property
    def qkv(self) -> Floats:
        """Query, key and value projections of the first layer side by side, shape (n, q + k + v)."""
        return np.concatenate([self.weights[f"blk.0.{part}.weight"].T for part in _PROJECTIONS], axis=1)

    def first_projections(self, rows: Floats) -> Floats:
        """Queries, keys and values of the first layer before the rotation, which depend on the token alone.

        Parameters
        ----------
        rows : array, shape (tokens, n)

        Returns
        -------
        array, shape (tokens, q + k + v)
        """
        mean = (rows * rows).mean(axis=1, keepdims=True) + np.float32(self.shape.epsilon)
        return np.asarray((rows / np.sqrt(mean) * self.weights["blk.0.attn_norm.weight"]) @ self.qkv)

    def token_losses(self, ids: Ids, rows: Floats) -> Floats:
        """Negative log-likelihood of every token but the first, in nats, shape (tokens - 1,).

        Parameters
        ----------
        ids : array of int, shape (tokens,)
        rows : array, shape (tokens, n) or (tokens, n + q + k + v)
            What was looked up for them: embeddings, or these with the first layer's projections beside them.

        Raises
        ------
        ValueError
            If the rows are of another width.
        """
        width, split = rows.shape[1], self.shape.channels
        if width == split:
            return np.asarray(self._losses(self.parameters, ids[1:], rows[:-1]))
        if width != split + sum(self.shape.projected):
            raise ValueError(
                f"rows: they have {width} channels; {split} of the embedding are expected, or these and "
                f"{sum(self.shape.projected)} of the first layer's projections"
            )
        return np.asarray(self._losses(self.parameters, ids[1:], rows[:-1, :split], rows[:-1, split:]))

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Weights as JAX has them, those of all layers but the first stacked.

        Raises
        ------
        ValueError
            If JAX is not installed.
        """
        jax = require("jax", "a language model's forward pass", "lm")

        def stacked(part: str) -> Floats:
            return np.stack([self.weights[f"blk.{layer}.{part}.weight"] for layer in range(self.shape.layers)])

        layers = {part: stacked(part) for part in _LAYER}
        layers["qkv"] = np.concatenate([stacked(part) for part in _PROJECTIONS], axis=1)
        head = self.weights.get("output.weight", self.word_embeddings)
        parameters = {
            "first": {part: weights[0] for part, weights in layers.items()},
            "others": {part: weights[1:] for part, weights in layers.items()},
            "norm": self.weights["output_norm.weight"],
            "head": head,
        }
        return dict(jax.tree.map(jax.numpy.asarray, parameters))

    @cached_property
    def _losses(self) -> Callable[..., Any]:
        compiled: Callable[..., Any] = require("jax", "a language model's forward pass", "lm").jit(
            partial(losses, shape=self.shape)
        )
        return compiled


def losses(parameters: Any, targets: Any, rows: Any, projected: Any = None, *, shape: LlamaShape) -> Any:
    """Negative log-likelihood of the targets, in JAX, which can differentiate it; shape (tokens,).

    Parameters
    ----------
    parameters : dict
        `Llama.parameters`.
    targets : array of int, shape (tokens,)
        The token after each row.
    rows : array, shape (tokens, n)
        Embeddings that were looked up.
    projected : array, shape (tokens, q + k + v), optional
        Projections of the first layer, where they were looked up too.
    shape : LlamaShape
    """
    import jax
    import jax.numpy as jnp

    scores = logits(parameters, rows, projected, shape=shape)
    chosen = jnp.take_along_axis(scores, targets[None, :], axis=0)[0]
    return jax.nn.logsumexp(scores, axis=0) - chosen


def logits(parameters: Any, rows: Any, projected: Any = None, *, shape: LlamaShape) -> Any:
    """Scores of the next token, in JAX, shape (m, tokens); parameters as of `losses`.

    Tokens are the columns of everything inside: products of a weight matrix with columns take two fifths of the time of
    products of rows with its transpose in XLA on a CPU.
    """
    import jax

    first = parameters["first"]
    hidden = rows.T
    looked_up = _projected(hidden, first, shape) if projected is None else projected.T
    hidden = _layer(hidden, looked_up, first, shape)

    def step(hidden: Any, layer: Any) -> tuple[Any, None]:
        return _layer(hidden, _projected(hidden, layer, shape), layer, shape), None

    hidden = jax.lax.scan(step, hidden, parameters["others"])[0]
    return parameters["head"] @ _normalised(hidden, parameters["norm"], shape)


def _projected(hidden: Any, layer: Any, shape: LlamaShape) -> Any:
    return layer["qkv"] @ _normalised(hidden, layer["attn_norm"], shape)


def _layer(hidden: Any, projected: Any, layer: Any, shape: LlamaShape) -> Any:
    import jax
    import jax.numpy as jnp

    tokens, width = hidden.shape[1], shape.head_channels
    queries, keys, values = jnp.split(projected, np.cumsum(shape.projected)[:-1], axis=0)
    queries = _rotated(queries.reshape(shape.key_heads, -1, width, tokens), shape)
    keys = _rotated(keys.reshape(shape.key_heads, 1, width, tokens), shape)[:, 0]
    scores = jnp.einsum("kgdt,kds->kgts", queries, keys) * width**-0.5
    scores = jnp.where(jnp.tril(jnp.ones((tokens, tokens), bool)), scores, -jnp.inf)
    values = values.reshape(shape.key_heads, width, tokens)
    attended = jnp.einsum("kgts,kds->kgdt", jax.nn.softmax(scores, axis=-1), values).reshape(-1, tokens)
    hidden = hidden + layer["attn_output"] @ attended
    inner = _normalised(hidden, layer["ffn_norm"], shape)
    return hidden + layer["ffn_down"] @ (jax.nn.silu(layer["ffn_gate"] @ inner) * (layer["ffn_up"] @ inner))


def _rotated(heads: Any, shape: LlamaShape) -> Any:
    import jax.numpy as jnp

    width, tokens = heads.shape[2:]
    angles = shape.rope_base ** (-np.arange(0, width, 2) / width)[:, None] * np.arange(tokens)
    cosine, sine = (f(angles).astype(np.float32) for f in (np.cos, np.sin))
    even, odd = heads[:, :, 0::2], heads[:, :, 1::2]
    return jnp.stack([even * cosine - odd * sine, even * sine + odd * cosine], axis=3).reshape(heads.shape)


def _normalised(hidden: Any, weight: Any, shape: LlamaShape) -> Any:
    import jax
    import jax.numpy as jnp

    mean = jnp.mean(hidden * hidden, axis=0, keepdims=True)
    return hidden * jax.lax.rsqrt(mean + shape.epsilon) * weight[:, None]
