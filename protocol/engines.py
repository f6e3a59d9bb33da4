"""Which engine executes a configuration, the same for both parties."""

from __future__ import annotations

from importlib import import_module

from costmodel.parameters import Configuration
from protocol.engine import ClientEngine, Engine, ServerEngine

# A module is loaded when its engine is asked for: compiled engines bring their compiler with them.
MODULES = {
    "compact": "protocol.compact.engine",
    "folded": "protocol.expanded.folded.engine",
    "compressed": "protocol.expanded.compressed.engine",
    "openfhe products": "protocol.openfhe.products",
    "openfhe packed": "protocol.openfhe.packed",
    "openfhe slots": "protocol.openfhe.slots",
}
"""The module of every engine, whose ``ENGINE`` is the engine."""


def engine_of(configuration: Configuration) -> Engine[ServerEngine, ClientEngine]:
    """Return the engine that executes a configuration.

    Raises
    ------
    ValueError
        If none does.
    """
    name = engine_name(configuration)
    if "delphi" not in configuration.options:
        engine: Engine[ServerEngine, ClientEngine] = import_module(MODULES[name]).ENGINE
        return engine
    from protocol import delphi

    delphi.check_split(configuration)
    return delphi.around(import_module(MODULES[name]).ENGINE)


def engine_name(configuration: Configuration) -> str:
    """Return the key of a configuration's engine in :data:`MODULES`.

    Raises
    ------
    ValueError
        If no engine executes the configuration.
    """
    if configuration.protocol in MODULES:
        return configuration.protocol
    if configuration.engine == "residue":
        return "compact"
    if configuration.engine != "openfhe":
        raise ValueError(
            f"engine is {configuration.engine!r}, which is priced but not executed; take openfhe or residue"
        )
    if configuration.protocol == "cryptflow2":
        return "openfhe slots"
    return "openfhe packed" if configuration.packing.output == "packlwes" else "openfhe products"
