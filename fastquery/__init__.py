"""What a private embedding lookup costs: predicted, executed, compared.

>>> import fastquery as fq
>>> fq.estimate(table="llama-7b", protocol="cheetah", link="44Mbit/s,40ms").latency_s  # doctest: +SKIP
"""

from __future__ import annotations

from fastquery import plot
from fastquery.api import estimate, run
from fastquery.runs import Run

__all__ = ["Run", "estimate", "plot", "run"]
