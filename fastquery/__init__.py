"""What a private embedding lookup costs: predicted, executed, compared.

>>> import fastquery as fq
>>> fq.estimate(table="llama-7b", protocol="cheetah", link="44Mbit/s,40ms").up_ciphertexts
180.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costmodel.estimate import Estimate
    from costmodel.link import Link
    from costmodel.machine import Machine
    from costmodel.parameters import Configuration, Packing, Ring, Table
    from costmodel.workload import Workload, WorkloadEstimate
    from fastquery import plot
    from fastquery.api import estimate, run
    from fastquery.optima import Optima, optimize_each
    from fastquery.optimizer import Optimum, optimize
    from fastquery.page import explore
    from fastquery.quantization import quantize, recipes
    from fastquery.runs import Run
    from fastquery.sessions import Server, Session, connect
    from fastquery.sweeps import sweep
    from fastquery.workload_runs import WorkloadRun
    from protocol.share import Share
    from protocol.share import open_shares as open
    from validate.published import check_claims as claims

__all__ = [
    "Configuration", "Estimate", "Link", "Machine", "Optima", "Optimum", "Packing", "Ring", "Run", "Server", "Session",
    "Share", "Table", "Workload", "WorkloadEstimate", "WorkloadRun", "claims", "connect", "estimate", "explore", "open",
    "optimize", "optimize_each", "plot", "quantize", "recipes", "run", "sweep",
]  # fmt: skip

_HOMES = {
    **dict.fromkeys(("Configuration", "Packing", "Ring", "Table"), "costmodel.parameters"),
    "Estimate": "costmodel.estimate",
    **dict.fromkeys(("Workload", "WorkloadEstimate"), "costmodel.workload"),
    "Link": "costmodel.link",
    "Machine": "costmodel.machine",
    **dict.fromkeys(("estimate", "run"), "fastquery.api"),
    **dict.fromkeys(("Optima", "optimize_each"), "fastquery.optima"),
    **dict.fromkeys(("Optimum", "optimize"), "fastquery.optimizer"),
    **dict.fromkeys(("quantize", "recipes"), "fastquery.quantization"),
    "explore": "fastquery.page",
    "Run": "fastquery.runs",
    "WorkloadRun": "fastquery.workload_runs",
    "sweep": "fastquery.sweeps",
    **dict.fromkeys(("Server", "Session", "connect"), "fastquery.sessions"),
    "Share": "protocol.share",
}
"""Modules of the names above, loaded when a name is first asked for."""


def __getattr__(name: str) -> Any:
    if name == "plot":
        return import_module("fastquery.plot")
    if name == "claims":
        return import_module("validate.published").check_claims
    if name == "__version__":
        return import_module("importlib.metadata").version("fastquery")
    if name == "open":
        return import_module("protocol.share").open_shares
    if name not in _HOMES:
        raise AttributeError(f"module 'fastquery' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
