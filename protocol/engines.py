"""Which engine executes a configuration, the same for both parties."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from costmodel.delphi import Delphi
from costmodel.grid import Grid
from costmodel.parameters import Configuration
from costmodel.systems import design_of, require_executed
from protocol.engine import ClientEngine, Engine, ServerEngine

# A module is loaded when its engine is asked for: compiled engines bring their compiler with them.
MODULES = {
    "compact": "protocol.compact.engine",
    "folded": "protocol.expanded.folded.engine",
    "bucketed": "protocol.expanded.bucketed.engine",
    "compressed": "protocol.expanded.compressed.engine",
    "openfhe products": "protocol.openfhe.products",
    "openfhe packed": "protocol.openfhe.packed",
    "openfhe slots": "protocol.openfhe.slots",
}
"""The module of every engine by the name of its design; ``ENGINE`` is the engine."""


def engine_of(configuration: Configuration) -> Engine[ServerEngine, ClientEngine]:
    """Return the engine that executes a configuration, by the name of its design.

    Raises
    ------
    ValueError
        If none does.
    """
    require_executed(configuration)
    design = design_of(Grid.of(configuration))
    if not isinstance(design, Delphi):
        engine: Engine[ServerEngine, ClientEngine] = _engine(design.name)
        return engine
    from protocol import delphi

    return delphi.around(_engine(design.product.name))


def _engine(name: str) -> Any:
    return import_module(MODULES[name]).ENGINE  # of the type that the caller needs
