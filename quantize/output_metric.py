"""What an error in the embedding costs at a model's output: a metric from the model's weights alone, without a text.

``M = E[J^T J]`` over tokens drawn by their frequencies, with J the derivative of the output by the row that stands at a
place: the Gauss-Newton matrix of the output's loss. For a language model the loss is the divergence between the
output distributions, for a sentence encoder the squared distance of the sentences' embeddings. ``e M e^T`` stands for
all that a model does with an error ``e``, the residual stream and the normalisations included, where the projections of
the first layer see a part of it. Both are scaled to a mean diagonal of 1.

References
----------
.. [1] Martens, "New insights and perspectives on the natural gradient method" (2014): the Fisher information of a
   softmax is its Gauss-Newton matrix, sampled by gradients of labels that the model itself draws.
.. [2] Frantar et al., "GPTQ" (2022), which has the inputs' second moments in the place of this metric.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantize._optional import require
from quantize.llama import Llama, logits, losses
from quantize.metric import Matrix, scaled
from quantize.minilm import HEADS, LAYERS, MiniLM
from quantize.scales import Floats

LLAMA_SEQUENCES, LLAMA_TOKENS = 8, 192
MINILM_SEQUENCES, MINILM_TOKENS = 512, 24
_BATCH: Final = 32
_CLS, _SEP = 101, 102
_PURPOSE: Final = "the metric of a model's output"


def llama_output_metric(model: Llama, frequencies: Floats, seed: int = 0) -> Matrix:
    """The metric of a language model, shape (n, n).

    Parameters
    ----------
    model : Llama
    frequencies : array, shape (m,)
        By which tokens are drawn.
    seed : int
    """
    jax = require("jax", _PURPOSE, "lm")
    generator = np.random.default_rng(seed)

    @jax.jit  # type: ignore[untyped-decorator]
    def gradient(parameters: Any, rows: Any, key: Any) -> Any:
        drawn = jax.random.categorical(key, logits(parameters, rows, shape=model.shape), axis=0)
        return jax.grad(lambda own: losses(parameters, drawn, own, shape=model.shape).sum())(rows)

    total = np.zeros((model.shape.channels,) * 2)
    for sequence in range(LLAMA_SEQUENCES):
        tokens = generator.choice(len(frequencies), LLAMA_TOKENS, p=frequencies)
        found = np.asarray(gradient(model.parameters, model.word_embeddings[tokens], jax.random.key(sequence)))
        total += found.T.astype(np.float64) @ found
    return scaled(total)


def minilm_output_metric(model: MiniLM, frequencies: Floats, seed: int = 0) -> Matrix:
    """The metric of the sentence encoder, shape (n, n); parameters as of `llama_output_metric`."""
    jax = require("jax", _PURPOSE, "lm")
    generator = np.random.default_rng(seed)
    weights = {name: value for name, value in model.weights.items() if value is not model.word_embeddings}
    # The gradient of a random projection of the output: its second moment is J^T J.
    project = jax.grad(lambda rows, direction: sentence_embedding(weights, rows) @ direction)
    gradient = jax.jit(jax.vmap(project))
    channels = model.word_embeddings.shape[1]
    total = np.zeros((channels, channels))
    for _ in range(MINILM_SEQUENCES // _BATCH):
        tokens = generator.choice(len(frequencies), (_BATCH, MINILM_TOKENS), p=frequencies)
        tokens[:, 0], tokens[:, -1] = _CLS, _SEP
        directions = generator.standard_normal((_BATCH, channels), np.float32)
        found = np.asarray(gradient(model.word_embeddings[tokens], directions))[:, 1:-1].reshape(-1, channels)
        total += found.T.astype(np.float64) @ found
    return scaled(total)


def sentence_embedding(weights: dict[str, NDArray[np.float32]], rows: Any) -> Any:
    """MiniLM's embedding of one sentence, in JAX, which can differentiate it; `MiniLM.embed` of a batch of one.

    Parameters
    ----------
    weights : dict
        As of `MiniLM`.
    rows : array, shape (tokens, n)
    """
    import jax
    import jax.numpy as jnp

    tokens, channels = rows.shape

    def linear(hidden: Any, name: str) -> Any:
        return hidden @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalise(hidden: Any, name: str) -> Any:
        centred = hidden - hidden.mean(axis=1, keepdims=True)
        deviation = jnp.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
        return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    positions = weights["embeddings.position_embeddings.weight"][:tokens]
    hidden = normalise(rows + positions + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        parts = (linear(hidden, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        query, key, value = (part.reshape(tokens, HEADS, -1) for part in parts)
        scores = jnp.einsum("thd,shd->hts", query, key) * query.shape[-1] ** -0.5
        attended = jnp.einsum("hts,shd->thd", jax.nn.softmax(scores, axis=-1), value).reshape(tokens, channels)
        output = linear(attended, f"{name}.attention.output.dense")
        hidden = normalise(hidden + output, f"{name}.attention.output.LayerNorm")
        activate = partial(jax.nn.gelu, approximate=False)
        inner = activate(linear(hidden, f"{name}.intermediate.dense"))
        hidden = normalise(hidden + linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    mean = hidden.mean(axis=0)
    return mean / jnp.linalg.norm(mean)
