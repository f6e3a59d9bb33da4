"""Quantisation recipes measured on a real table, so that orderings can be checked without running the model.

The frame is what ``fastquery quantize --table minilm --recipe all --evaluate`` gives; a test makes it again.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import pandas as pd


@cache
def measured_recipes() -> pd.DataFrame:
    """Every recipe on MiniLM's word embeddings.

    Returns
    -------
    DataFrame
        By ``name``: ``bits``, ``channels_per_coefficient``, ``coefficients``, ``plaintext_modulus``, ``rows``,
        ``query_decodable``, ``weighted_error``, ``cosine``.
    """
    with resources.files("validate").joinpath("data/recipes_minilm.csv").open("r", encoding="utf-8") as file:
        return pd.read_csv(file, comment="#", index_col="name")
