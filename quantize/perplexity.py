"""Perplexity of a language model over windows of a text, with intervals by the bootstrap over windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantize.llama import Floats, Ids, Llama

WINDOW: Final = 256
WINDOWS: Final = 12
LEVEL: Final = 0.95
_DRAWS: Final = 10_000

Lookup = Callable[[Ids], Floats]


class Interval(NamedTuple):
    """A figure and the bounds between which it lies with the probability `LEVEL`."""

    value: float
    low: float
    high: float


def perplexity(losses: ArrayLike) -> Interval:
    """``exp`` of the mean loss, with the interval of means of windows drawn with replacement.

    Parameters
    ----------
    losses : array, shape (windows,)
        Mean negative log-likelihood of each window, in nats; windows are of one length.

    Examples
    --------
    >>> bool(perplexity([1.0, 1.0]).value == np.exp(1.0))
    True

    References
    ----------
    .. [1] Efron, "Bootstrap methods: another look at the jackknife" (1979): the percentile interval.
    """
    known = np.asarray(losses, np.float64)
    if known.ndim != 1 or not known.size:
        raise ValueError(f"losses: shape {known.shape}; one loss a window is needed, of at least one window")
    drawn = np.random.default_rng(0).integers(known.size, size=(_DRAWS, known.size))
    low, high = np.quantile(known[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(np.exp(known.mean())), float(np.exp(low)), float(np.exp(high)))


def perplexity_ratio(losses: ArrayLike, over: ArrayLike) -> Interval:
    """One perplexity over another, on the same windows.

    The windows are drawn for both together: how hard a window is drops out, so that the interval is far narrower than
    those of the two perplexities.

    Examples
    --------
    >>> ratio = perplexity_ratio([2.0, 5.0], [1.0, 4.0])
    >>> bool(ratio.low == ratio.high == ratio.value == np.exp(1.0))
    True
    """
    first, second = np.asarray(losses, np.float64), np.asarray(over, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"losses: {first.size} windows over {second.size}; both have to be of the same windows")
    return perplexity(first - second)


def windows_of(ids: Ids, count: int, length: int = WINDOW, skip: int = 0) -> Ids:
    """Consecutive windows of a text, shape (count, length), after ``skip`` of them.

    Raises
    ------
    ValueError
        If the text is too short.
    """
    if count < 1 or length < 2:
        raise ValueError(f"windows: {count} of {length} tokens; at least one of two is needed")
    wanted = (skip + count) * length
    if len(ids) < wanted:
        raise ValueError(f"text: it has {len(ids)} tokens; {skip + count} windows of {length} take {wanted}")
    return ids[skip * length : wanted].reshape(count, length)


@dataclass(frozen=True, eq=False)
class PerplexityBenchmark:
    """Windows of a text, whose tokens are looked up in a quantised table and read on by the float model.

    Attributes
    ----------
    model : Llama
    windows : array of int, shape (windows, tokens)
    """

    model: Llama
    windows: Ids

    @cached_property
    def float_losses(self) -> NDArray[np.float64]:
        """Mean loss of each window by the float table, shape (windows,)."""
        return self.losses(lambda ids: self.model.word_embeddings[ids])

    def losses(self, lookup: Lookup, progress: Callable[[float], None] | None = None) -> NDArray[np.float64]:
        """Mean loss of each window, in nats, shape (windows,).

        Parameters
        ----------
        lookup : callable
            Rows of token ids: embeddings, or these with the first layer's projections beside them.
        progress : callable, optional
            Told the fraction of windows that are done.
        """
        found = np.empty(len(self.windows))
        for k, window in enumerate(self.windows):
            found[k] = self.model.token_losses(window, lookup(window)).mean(dtype=np.float64)
            if progress:
                progress((k + 1) / len(self.windows))
        return found
