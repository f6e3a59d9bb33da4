"""A second forward pass of Llama's architecture, in NumPy alone, to hold the one in JAX against.

It reads the weights by itself, takes one head and one layer at a time, and shares nothing with `quantize.llama`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def token_losses(weights: dict[str, NDArray[np.float32]], ids: NDArray[np.int64], heads: int, base: float) -> Floats:
    """Negative log-likelihoods of ``ids[1:]``; every head has 64 channels, the normalisation 1e-5."""
    hidden = weights["token_embd.weight"][ids[:-1]].astype(np.float64)
    tokens, layers = len(hidden), sum(name.endswith("attn_q.weight") for name in weights)
    for layer in range(layers):
        part = {name.split(".")[2]: value for name, value in weights.items() if name.startswith(f"blk.{layer}.")}
        normed = normalise(hidden, part["attn_norm"])
        queries, keys, values = (normed @ part[f"attn_{name}"].T for name in "qkv")
        shared = queries.shape[1] // keys.shape[1]
        attended = np.zeros_like(queries)
        for head in range(heads):
            own, other = slice(64 * head, 64 * (head + 1)), slice(64 * (head // shared), 64 * (head // shared + 1))
            query, key = turn(queries[:, own], base), turn(keys[:, other], base)
            for t in range(tokens):
                scores = key[: t + 1] @ query[t] / 8
                shares = np.exp(scores - scores.max())
                attended[t, own] = shares / shares.sum() @ values[: t + 1, other]
        hidden = hidden + attended @ part["attn_output"].T
        normed = normalise(hidden, part["ffn_norm"])
        gate = normed @ part["ffn_gate"].T
        hidden = hidden + (gate / (1 + np.exp(-gate)) * (normed @ part["ffn_up"].T)) @ part["ffn_down"].T
    head = weights.get("output.weight", weights["token_embd.weight"])
    logits = normalise(hidden, weights["output_norm.weight"]) @ head.T
    largest = logits.max(axis=1)
    total = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return np.asarray(total - logits[np.arange(tokens), ids[1:]])


def normalise(rows: Floats, weight: NDArray[np.float32]) -> Floats:
    return np.asarray(rows / np.sqrt((rows**2).mean(axis=1, keepdims=True) + 1e-5) * weight)


def turn(head: Floats, base: float) -> Floats:
    """Rotary positions: pairs of neighbouring channels as complex numbers."""
    pairs = head[:, 0::2] + 1j * head[:, 1::2]
    speed = base ** (-np.arange(pairs.shape[1]) / pairs.shape[1])
    turned = pairs * np.exp(1j * np.outer(np.arange(len(head)), speed))
    return np.stack([turned.real, turned.imag], axis=2).reshape(head.shape)
