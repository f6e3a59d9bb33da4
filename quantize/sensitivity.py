"""How a language model's loss on a text reacts to its table: true gradients and Hessian diagonals, by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from quantize._optional import require
from quantize.llama import Ids, Llama, losses
from quantize.scales import Floats

WINDOWS, WINDOW = 3, 256
PROBES: Final = 2


@dataclass(frozen=True)
class Sensitivity:
    """Means over the rows of the table that the text uses, each of shape (n,).

    Attributes
    ----------
    gradient : array
        ``|dL/dw_rj|``.
    hessian : array
        ``d^2 L / dw_rj^2``.
    gradient_magnitude : array
        ``|dL/dw_rj| |w_rj|``.
    """

    gradient: Floats
    hessian: Floats
    gradient_magnitude: Floats


def sensitivity(model: Llama, windows: Ids, seed: int = 0) -> Sensitivity:
    """Measure it on windows of a text.

    L is the mean loss of a window's tokens; a row's derivative sums over the places where its token stands. The
    Hessian's diagonal is estimated by ``z * (H z)`` with random signs z, whose expectation it is.

    Parameters
    ----------
    model : Llama
    windows : array of int, shape (windows, tokens)
    seed : int
        Of the signs.

    References
    ----------
    .. [1] FastQuery (DAC 2024), tables 4 and 5, which name the criteria and give no formula.
    .. [2] Bekas, Kokiopoulou, Saad, "An estimator for the diagonal of a matrix" (2007).
    """
    jax = require("jax", "the gradients of a language model", "lm")
    generator = np.random.default_rng(seed)

    def loss(table: Any, places: Any, targets: Any, parameters: Any) -> Any:
        return losses(parameters, targets, table[places], shape=model.shape).mean()

    @jax.jit  # type: ignore[untyped-decorator]
    def derivatives(table: Any, signs: Any, places: Any, targets: Any, parameters: Any) -> Any:
        return jax.jvp(lambda own: jax.grad(loss)(own, places, targets, parameters), (table,), (signs,))

    totals = np.zeros((3, model.shape.channels))
    count = 0
    for window in windows:
        used, places = np.unique(window[:-1], return_inverse=True)
        # As many rows as places, so that every window is compiled alike; those beyond the used ones stand nowhere.
        table = np.zeros((len(window) - 1, model.shape.channels), np.float32)
        table[: len(used)] = model.word_embeddings[used]
        for _ in range(PROBES):
            signs = generator.choice(np.array([-1, 1], np.float32), table.shape)
            gradient, product = derivatives(table, signs, places, window[1:], model.parameters)
            magnitudes = np.abs(np.asarray(gradient, np.float64))
            totals += [part.sum(axis=0) for part in (magnitudes, signs * np.asarray(product), magnitudes * abs(table))]
            count += len(used)
    return Sensitivity(*(totals / count))
