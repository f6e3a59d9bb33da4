"""Models whose tables are at hand: what recipes may ask of them, and how good they are with another table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Final, Protocol

from quantize.evaluate import SentenceBenchmark
from quantize.llama import Ids
from quantize.metric import Matrix, normalised_metric
from quantize.minilm import MiniLM
from quantize.output_metric import llama_output_metric, minilm_output_metric
from quantize.perplexity import WINDOWS, PerplexityBenchmark, windows_of
from quantize.scales import Floats as Weights
from quantize.sensitivity import WINDOW as SENSITIVITY_WINDOW
from quantize.sensitivity import WINDOWS as SENSITIVITY_WINDOWS
from quantize.sensitivity import Sensitivity, sensitivity
from quantize.smollm2 import SmolLM2
from quantize.texts import read_text

RESIDUAL_WEIGHT: Final = 16.0


class TableModel(Protocol):
    """A model of which a table is part."""

    @property
    def projection(self) -> Matrix:
        """Query, key and value projections of the first layer side by side, shape (n, k)."""

    @property
    def norm_metric(self) -> Matrix:
        """`quantize.metric.normalised_metric` of the first layer."""

    @property
    def differentiable(self) -> bool:
        """Whether its gradients can be had here."""

    @property
    def sensitivity(self) -> Sensitivity | None:
        """True gradients and Hessian diagonals on a text; None where the model has no loss on one."""

    def output_metric(self, frequencies: Weights) -> Matrix:
        """`quantize.output_metric` of the model."""


@dataclass(frozen=True, eq=False)
class SentenceModel:
    """MiniLM."""

    model: MiniLM

    @property
    def projection(self) -> Matrix:
        """Query, key and value projections of the first layer side by side, shape (n, k)."""
        return self.model.qkv

    @cached_property
    def norm_metric(self) -> Matrix:
        """`quantize.metric.normalised_metric` of the first layer."""
        weight = self.model.weights["embeddings.LayerNorm.weight"]
        return normalised_metric(self.projection, weight, centred=True, residual=RESIDUAL_WEIGHT)

    @property
    def differentiable(self) -> bool:
        """Whether JAX is installed."""
        return find_spec("jax") is not None

    @property
    def sensitivity(self) -> None:
        """None: a sentence encoder has no loss on a text."""

    def output_metric(self, frequencies: Weights) -> Matrix:
        """`quantize.output_metric` of the model."""
        return minilm_output_metric(self.model, frequencies)

    @cached_property
    def benchmark(self) -> SentenceBenchmark:
        """The fixed sentences."""
        return SentenceBenchmark(self.model)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """SmolLM2 and a text.

    Attributes
    ----------
    smollm2 : SmolLM2
    text : str
        As of `quantize.texts.read_text`.
    windows : int
        Of the text, from its start.
    """

    smollm2: SmolLM2
    text: str = "wikipedia"
    windows: int = WINDOWS

    @property
    def projection(self) -> Matrix:
        """Query, key and value projections of the first layer side by side, shape (n, k)."""
        return self.smollm2.llama.qkv

    @cached_property
    def norm_metric(self) -> Matrix:
        """`quantize.metric.normalised_metric` of the first layer."""
        weight = self.smollm2.llama.weights["blk.0.attn_norm.weight"]
        return normalised_metric(self.projection, weight, centred=False, residual=RESIDUAL_WEIGHT)

    @property
    def differentiable(self) -> bool:
        """Whether JAX is installed."""
        return find_spec("jax") is not None

    @cached_property
    def ids(self) -> Ids:
        """The text's tokens."""
        return self.smollm2.tokenizer.encode(read_text(self.text))

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """True gradients and Hessian diagonals on the last windows of Wikipedia, which no benchmark reads."""
        ids = self.smollm2.tokenizer.encode(read_text("wikipedia"))[-SENSITIVITY_WINDOWS * SENSITIVITY_WINDOW :]
        return sensitivity(self.smollm2.llama, windows_of(ids, SENSITIVITY_WINDOWS, SENSITIVITY_WINDOW))

    def output_metric(self, frequencies: Weights) -> Matrix:
        """`quantize.output_metric` of the model."""
        return llama_output_metric(self.smollm2.llama, frequencies)

    @cached_property
    def benchmark(self) -> PerplexityBenchmark:
        """Windows of the text."""
        return PerplexityBenchmark(self.smollm2.llama, windows_of(self.ids, self.windows))
