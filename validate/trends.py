"""Orderings that a paper states of its models, judged by what was measured on a model that is at hand.

A number of another model is never reproduced: what can be checked is which of two tables is the better one, or whether
a table is as good as the float one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import Final

from quantize.perplexity import Interval, perplexity_ratio
from validate.recipes import measured_losses, measured_recipes

LANGUAGE_MODEL, SENTENCE_MODEL = "SmolLM2-135M", "MiniLM"
DIRECTIONS: Final = ("above", "below", "near")
_SENTENCE: Final = "sentences"


@dataclass(frozen=True)
class Trend:
    """An ordering of two recipes.

    Attributes
    ----------
    of, over : str
        Recipes whose losses are compared, or ``float``.
    direction : {"above", "below", "near"}
        Whether the first is to lose more, less, or as much as the second.
    text : str
        That perplexities were measured on, a name of `quantize.texts.TEXTS`; ``sentences`` for the sentence encoder,
        whose loss is 1 - cosine.
    within : float
        How far from 1 the quotient of what is near may be.

    Raises
    ------
    ValueError
        If the direction is unknown.
    """

    of: str
    over: str
    direction: str
    text: str = "wikipedia"
    within: float = 0.03

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"trend: direction is {self.direction!r}; it must be one of {', '.join(DIRECTIONS)}")

    @property
    def model(self) -> str:
        """The model that it is judged on."""
        return SENTENCE_MODEL if self.text == _SENTENCE else LANGUAGE_MODEL

    def ratio(self) -> Interval:
        """Loss of the first over that of the second; a sentence encoder's has no interval."""
        if self.text == _SENTENCE:
            loss = 1 - measured_recipes()["cosine"]
            return Interval(float(loss[self.of] / loss[self.over]), nan, nan)
        losses = measured_losses(self.text)
        return perplexity_ratio(losses[self.of], losses[self.over])

    def holds(self, ratio: Interval) -> bool | None:
        """Whether the ordering comes out; None where the windows do not tell."""
        low, high = (ratio.value,) * 2 if isnan(ratio.low) else ratio[1:]
        if self.direction == "near":
            if abs(low - 1) <= self.within and abs(high - 1) <= self.within:
                return True
            return None if low <= 1 + self.within and high >= 1 - self.within else False
        above = True if low > 1 else False if high < 1 else None
        return above if above is None or self.direction == "above" else not above

    def says(self, ratio: Interval) -> str:
        """Both figures and their quotient, in words."""
        if self.text == _SENTENCE:
            first, second = (1 - float(measured_recipes()["cosine"][name]) for name in (self.of, self.over))
            return f"{self.model}: 1 - cosine is {first:.4f} ({self.of}) against {second:.4f} ({self.over})."
        losses = measured_losses(self.text)
        first, second = (perplexity_ratio(losses[name], 0 * losses[name]).value for name in (self.of, self.over))
        return (
            f"{self.model} on {self.text}: perplexity {_figure(first)} ({self.of}) against {_figure(second)} "
            f"({self.over}), quotient {_figure(ratio.value)} ({_figure(ratio.low)} to {_figure(ratio.high)})."
        )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
