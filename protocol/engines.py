"""Which engine executes a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from costmodel.parameters import Configuration
from protocol.engine import ClientEngine, Engine, Progress, ServerEngine
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

if TYPE_CHECKING:
    from protocol.delphi import TableServer, VectorClient

# An engine is loaded when it is asked for: the compiled ones bring their compiler with them.


def server_engine(
    configuration: Configuration, coefficients: UnsignedArray, meter: Meter, progress: Progress, allow_insecure: bool
) -> ServerEngine:
    """An engine with the packed table (m, n') encoded in it.

    Raises
    ------
    ValueError
        If no engine executes the configuration.
    """
    return _engine(configuration).server(configuration, coefficients, meter, progress, allow_insecure)


def client_engine(
    configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
) -> ClientEngine:
    """An engine with a fresh secret key in it.

    Raises
    ------
    ValueError
        If no engine executes the configuration.
    """
    return _engine(configuration).client(configuration, tokens, meter, allow_insecure, seeds)


def _engine(configuration: Configuration) -> Engine[ServerEngine, ClientEngine]:
    if "delphi" in configuration.options:
        from protocol import delphi

        delphi.check_split(configuration)
        return delphi.around(_product_engine(configuration))
    if configuration.protocol == "folded":
        from protocol.expanded.folded import engine as folded

        return folded.ENGINE
    if configuration.protocol == "compressed":
        from protocol.expanded.compressed import engine as compressed

        return compressed.ENGINE
    return _product_engine(configuration)


def _product_engine(configuration: Configuration) -> Engine[TableServer, VectorClient]:
    """Engines that multiply an encrypted vector by the table."""
    if configuration.engine == "residue":
        from protocol.compact import engine as compact

        return compact.ENGINE
    if configuration.engine != "openfhe":
        raise ValueError(
            f"engine is {configuration.engine!r}, which is priced but not executed; take openfhe or residue"
        )
    if configuration.protocol == "cryptflow2":
        from protocol.openfhe import slots

        return slots.ENGINE
    if configuration.packing.output == "packlwes":
        from protocol.openfhe import packed

        return packed.ENGINE
    from protocol.openfhe import products

    return products.ENGINE
