"""Every system that the model prices, by the name that commands and results use."""

from __future__ import annotations

from types import ModuleType

from costmodel.protocols import cheetah, fastquery

PROTOCOLS: dict[str, ModuleType] = {"cheetah": cheetah, "fastquery": fastquery}
"""Each module has ``terms(grid)``, the predicted ledger, and ``noise(grid)``, an answer's error variance over (q/t)^2.
"""
