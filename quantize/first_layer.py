"""A table of the first layer: every token's embedding with its queries, keys and values beside it.

In a model with rotary positions everything before the rotation depends on the token alone. A lookup of such a row takes
the place of the private normalisation and projection of the first layer; the rest of the model is as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantize.llama import Llama
from quantize.sources import TableSource


@dataclass(frozen=True)
class FirstLayerTable(TableSource):
    """Rows (embedding, q, k, v) of an embedding table and its model.

    Attributes
    ----------
    embedding : TableSource
    model : Llama
    """

    embedding: TableSource = field(repr=False)
    model: Llama = field(compare=False, repr=False)

    @classmethod
    def of(cls, embedding: TableSource, model: Llama) -> FirstLayerTable:
        """The table of a model and its embedding.

        Raises
        ------
        ValueError
            If the embedding is not of the model's channels.
        """
        channels, projected = model.shape.channels, model.shape.projected
        if embedding.channels != channels:
            raise ValueError(
                f"table {embedding.name!r}: it has {embedding.channels} channels; the model has {channels}"
            )
        provenance = {**embedding.provenance, "layer": "qkv"}
        return cls(embedding.name, embedding.rows, channels + sum(projected), provenance, embedding, model)

    @property
    def notes(self) -> tuple[str, ...]:
        """The embedding's, and the parts of a row."""
        parts = zip(("q", "k", "v"), self.model.shape.projected, strict=True)
        said = ", ".join(f"{name} {count}" for name, count in [("embedding", self.model.shape.channels), *parts])
        return (*self.embedding.notes, f"channels of a row: {said}")

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        rows = self.embedding.read(start, stop)
        return np.concatenate([rows, self.model.first_projections(rows)], axis=1)
