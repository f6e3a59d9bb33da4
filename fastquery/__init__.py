"""What a private embedding lookup costs: predicted, executed, compared.

>>> import fastquery as fq
>>> fq.estimate(table="llama-7b", protocol="cheetah", link="44Mbit/s,40ms").up_ciphertexts
180.0
"""

from __future__ import annotations

from costmodel.estimate import Estimate
from costmodel.link import Link
from costmodel.machine import Machine
from costmodel.parameters import Configuration, Packing, Ring, Table
from fastquery import plot
from fastquery.api import estimate, run
from fastquery.optimizer import Optimum, optimize
from fastquery.quantization import quantize, recipes
from fastquery.runs import Run
from fastquery.sweeps import sweep
from validate.published import check_claims as claims

__all__ = [
    "Configuration", "Estimate", "Link", "Machine", "Optimum", "Packing", "Ring", "Run", "Table", "claims", "estimate",
    "optimize", "plot", "quantize", "recipes", "run", "sweep",
]  # fmt: skip
