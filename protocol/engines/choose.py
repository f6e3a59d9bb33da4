"""Which engine executes a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from costmodel.parameters import Configuration
from protocol.engines.base import ClientEngine, Progress, ServerEngine
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray

if TYPE_CHECKING:
    from protocol.engines import delphi

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
    if "delphi" in configuration.options:
        from protocol.engines import delphi

        delphi.check_split(configuration)
        engine = _product_server(configuration, coefficients, meter, progress, allow_insecure)
        return delphi.DelphiServer(engine, configuration, coefficients)
    if configuration.protocol == "folded":
        from protocol.engines import folded

        folded.warm_up(configuration)
        return folded.FoldedServerEngine(configuration, coefficients, meter)
    return _product_server(configuration, coefficients, meter, progress, allow_insecure)


def _product_server(
    configuration: Configuration, coefficients: UnsignedArray, meter: Meter, progress: Progress, allow_insecure: bool
) -> delphi.TableServer:
    if configuration.engine == "residue":
        from protocol.engines import residue

        residue.warm_up(configuration, allow_insecure)
        return residue.ResidueServer(configuration, coefficients, meter, progress, allow_insecure)
    if configuration.engine == "openfhe":
        server: delphi.TableServer = _openfhe(configuration)[0](
            configuration, coefficients, meter, progress, allow_insecure
        )
        return server
    raise ValueError(f"engine is {configuration.engine!r}, which is priced but not executed; take openfhe or residue")


def client_engine(
    configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
) -> ClientEngine:
    """An engine with a fresh secret key in it.

    Raises
    ------
    ValueError
        If no engine executes the configuration.
    """
    if "delphi" in configuration.options:
        from protocol.engines import delphi

        delphi.check_split(configuration)
        engine = _product_client(configuration, tokens, meter, allow_insecure, seeds)
        return delphi.DelphiClient(engine, configuration, tokens, meter)
    if configuration.protocol == "folded":
        from protocol.engines import folded

        folded.warm_up(configuration)
        return folded.FoldedClientEngine(configuration, tokens, meter)
    return _product_client(configuration, tokens, meter, allow_insecure, seeds)


def _product_client(
    configuration: Configuration, tokens: int, meter: Meter, allow_insecure: bool, seeds: SeedRecord
) -> delphi.VectorClient:
    if configuration.engine == "residue":
        from protocol.engines import residue

        residue.warm_up(configuration, allow_insecure)
        return residue.ResidueClient(configuration, tokens, meter, allow_insecure, seeds)
    if configuration.engine == "openfhe":
        client: delphi.VectorClient = _openfhe(configuration)[1](configuration, tokens, meter, allow_insecure)
        return client
    raise ValueError(f"engine is {configuration.engine!r}, which is priced but not executed; take openfhe or residue")


def _openfhe(configuration: Configuration) -> tuple[type[Any], type[Any]]:
    """Server and client on OpenFHE."""
    if configuration.protocol == "cryptflow2":
        from protocol.engines import simd

        return simd.SlotServer, simd.SlotClient
    if configuration.packing.output == "packlwes":
        from protocol.engines import openfhe_packed

        return openfhe_packed.PackedServer, openfhe_packed.PackedClient
    from protocol.engines import openfhe

    return openfhe.OpenFHEServer, openfhe.OpenFHEClient
