"""The compressed query as an engine; its kernels are in :mod:`protocol.compressed`."""

from __future__ import annotations

from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.parameters import Configuration
from costmodel.protocols.compressed import parameters_of
from protocol.compressed.client import CompressedClient
from protocol.compressed.server import CompressedServer
from protocol.elements import middle_element
from protocol.engines.base import NOTHING, ServerSession, Shape, Shapes
from protocol.engines.expanded import ExpandedClientEngine, ExpandedSessionEngine, engine_of, halves_bytes
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray


def _shapes(parameters: CompressedParameters, tokens: int) -> Shapes:
    p = parameters
    quotients = 2 * 8 * p.degree * p.packing_rows * p.table_limbs  # Shoup's, of the packing keys
    return Shapes(
        keys=Shape(1, p.key_bytes),
        announcement=NOTHING,
        first_halves=NOTHING,
        query=Shape(tokens, p.query_bytes),
        answer=Shape(tokens, p.answer_bytes),
        kept_bytes=halves_bytes(p) + quotients,
    )


class CompressedServerEngine:
    """The server's kernels; the table lives here, and no secret key ever does."""

    def __init__(self, configuration: Configuration, coefficients: UnsignedArray, meter: Meter) -> None:
        self.parameters = parameters_of(configuration)
        middle = middle_element(configuration.packing.field_moduli)
        self.server = CompressedServer(self.parameters, coefficients, middle, meter)

    def session(self, tokens: int, meter: Meter) -> ServerSession:
        """Kernels for one client that looks so many rows up together."""
        return ExpandedSessionEngine(self.server, _shapes(self.parameters, tokens), meter)


def _client(configuration: Configuration, tokens: int, meter: Meter, seeds: SeedRecord) -> ExpandedClientEngine:
    parameters = parameters_of(configuration)
    return ExpandedClientEngine(CompressedClient(parameters, seeds, meter), _shapes(parameters, tokens))


ENGINE = engine_of(CompressedServerEngine, _client, lambda configuration: configuration.ring.degree + 1)
