"""What recipes take and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from quantize.frequencies import table_frequencies
from quantize.metric import Matrix, projection_metric, with_identity
from quantize.models import TableModel
from quantize.packing import AnyIntegers
from quantize.proxies import Criterion, proxy_scores
from quantize.public import PublicTable
from quantize.quantizers import Progress, silent
from quantize.scales import Floats
from quantize.sources import TableSource

Need = Literal["table", "projection", "model", "gradients"]
_NEEDS = {
    "projection": "the query, key and value projections of the first layer",
    "model": "a model that the table is part of (minilm, smollm2)",
    "gradients": "a model that the table is part of (minilm, smollm2) and fastquery's 'lm' extra",
}
OUTPUT_IDENTITY = 1.0


class QuantizedTable(Protocol):
    """A quantised table that can be read in the clear."""

    @property
    def public(self) -> PublicTable:
        """Description of the packed coefficients."""

    def embeddings(self, tokens: AnyIntegers | None = None) -> Matrix:
        """Dequantised embeddings of tokens (all by default), shape (tokens, n)."""


@dataclass(frozen=True, eq=False)
class Workbench:
    """What recipes work on.

    Attributes
    ----------
    source : TableSource
    frequencies : array, shape (rows,)
    projection : array, shape (n, k), optional
        Query, key and value projections of the first layer side by side; some recipes need them.
    model : TableModel, optional
        The model that the table is part of; some recipes need it.
    threshold : float, optional
        That frequencies are clipped to in the paper's fine-tuning.
    progress : callable
    """

    source: TableSource
    frequencies: Floats
    projection: Matrix | None = None
    model: TableModel | None = None
    threshold: float | None = None
    progress: Progress = silent

    @classmethod
    def of(
        cls,
        source: TableSource,
        frequencies: Floats | None = None,
        projection: Matrix | None = None,
        progress: Progress = silent,
        model: TableModel | None = None,
        threshold: float | None = None,
    ) -> Workbench:
        """With the frequencies that go with the source's name where none are given, and the model's projections."""
        known = table_frequencies(source.name, source.rows) if frequencies is None else frequencies
        own = model.projection if projection is None and model is not None else projection
        return cls(source, known, own, model, threshold, progress)

    def has(self, need: Need) -> bool:
        """Whether recipes of that need can be built."""
        if need == "projection":
            return self.projection is not None
        if need == "gradients":
            return self.model is not None and self.model.differentiable
        return need == "table" or self.model is not None

    def metric(self, recipe: str) -> Matrix:
        """The projections' metric.

        Raises
        ------
        ValueError
            If there are no projections, naming the recipe that needs them, or they are of another table.
        """
        if self.projection is None:
            raise ValueError(f"recipe {recipe!r} needs {_NEEDS['projection']}")
        if len(self.projection) != self.source.channels:
            raise ValueError(
                f"projection: it takes {len(self.projection)} channels, the table has {self.source.channels}"
            )
        return projection_metric(self.projection)

    def norm_metric(self, recipe: str) -> Matrix:
        """The first layer's metric behind its normalisation.

        Raises
        ------
        ValueError
            If there is no model, naming the recipe that needs it.
        """
        return self._model(recipe, "model").norm_metric

    def output_metric(self, recipe: str) -> Matrix:
        """The metric of the model's output, with the identity added for directions that few tokens have shown.

        Raises
        ------
        ValueError
            If there is no model or no JAX, naming the recipe that needs it.
        """
        self._model(recipe, "gradients")
        return self._output_metric

    def criterion(self, criterion: Criterion, recipe: str, levels: int) -> Floats:
        """Saliency by channel: measured on a text where the model has a loss on one, by proxy where it has none.

        Parameters
        ----------
        criterion : {"gradient", "hessian", "gradient-magnitude"}
        recipe : str
        levels : int
            Of the narrowest field, for proxies.
        """
        if self.model is not None and self.model.differentiable and self.model.sensitivity is not None:
            scores: Floats = getattr(self.model.sensitivity, criterion.replace("-", "_"))
            return scores
        return proxy_scores(criterion, self.source, self.metric(recipe), levels)

    @cached_property
    def _output_metric(self) -> Matrix:
        model = self._model("", "gradients")
        self.progress("gradients", 0.0)
        return with_identity(model.output_metric(self.frequencies), OUTPUT_IDENTITY)

    def _model(self, recipe: str, need: Need) -> TableModel:
        if self.model is None or not self.has(need):
            raise ValueError(f"recipe {recipe!r} needs {_NEEDS[need]}")
        return self.model
