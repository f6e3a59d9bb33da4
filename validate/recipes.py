"""Quantisation recipes measured on real tables, so that orderings can be checked without running a model.

The frames are what ``fastquery quantize --table TABLE --recipe all --evaluate`` gives; tests make them again.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import pandas as pd

FLOAT: Final = "float"
"""Name of the table that is not quantised, among those whose losses were measured."""


@cache
def measured_recipes(table: str = "minilm") -> pd.DataFrame:
    """Every recipe on a real table.

    Parameters
    ----------
    table
        ``minilm``, ``smollm2``, or ``smollm2-qkv`` for the rows of its first layer (some recipes).

    Returns
    -------
    DataFrame
        By ``name``: ``bits``, ``channels_per_coefficient``, ``coefficients``, ``plaintext_modulus``, ``rows``,
        ``query_decodable``, ``weighted_error``, and ``cosine``, or ``perplexity`` with its bounds and ``over_float``.
    """
    return _read(f"recipes_{table.replace('-', '_')}.csv").set_index("name")


@cache
def measured_losses(text: str = "wikipedia") -> pd.DataFrame:
    """Mean loss of SmolLM2 on each window of a text, in nats.

    Parameters
    ----------
    text
        ``wikipedia`` or ``news``.

    Returns
    -------
    DataFrame
        A row a window, a column a recipe; ``float`` is the table that is not quantised.
    """
    frame = _read("losses_smollm2.csv")
    return frame[frame["text"] == text].pivot_table(index="window", columns="recipe", values="loss", sort=False)


def _read(name: str) -> pd.DataFrame:
    with resources.files("validate").joinpath(f"data/{name}").open("r", encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")
