"""The folded query as an engine; its kernels are in :mod:`protocol.folded`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.parameters import Configuration
from costmodel.protocols.folded import parameters_of
from protocol.elements import middle_element
from protocol.engines.base import NOTHING, ServerSession, Shape, Shapes
from protocol.engines.expanded import ExpandedClientEngine, ExpandedSessionEngine, engine_of, halves_bytes
from protocol.expanded.server import ServerAnswer
from protocol.folded.client import FoldedClient
from protocol.folded.server import FoldedServer, FoldedSession
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import UnsignedArray


def _shapes(parameters: FoldedParameters, tokens: int, prepared: bool) -> Shapes:
    return Shapes(
        keys=Shape(1, parameters.key_bytes),
        announcement=NOTHING,
        first_halves=Shape(1, 0) if prepared else NOTHING,
        query=Shape(tokens, parameters.query_bytes),
        answer=Shape(tokens, parameters.answer_bytes),
        kept_bytes=halves_bytes(parameters) + (tokens * _prepared_bytes(parameters) if prepared else 0),
    )


def _prepared_bytes(parameters: FoldedParameters) -> int:
    """Memory of a prepared query."""
    p = parameters
    return 2 * 8 * p.limbs * p.degree * (p.blocks * p.columns + 2 * p.fold_levels * p.fold.digits)


class PreparedSessionEngine(ExpandedSessionEngine[FoldedSession]):
    """One client's keys and queries, all that needs no token done before it is known."""

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """Everything on the a of the queries to come; an empty frame says that it is done."""
        self._opened().prepare_many(range(self.shapes.query.frames))
        yield b""

    def _answers(self, frames: Sequence[bytes]) -> Iterable[ServerAnswer]:
        session = self._opened()
        return [session.answer(frame) for frame in frames]


class FoldedServerEngine:
    """The server's kernels; the table lives here, and no secret key ever does."""

    def __init__(self, configuration: Configuration, coefficients: UnsignedArray, meter: Meter) -> None:
        self.parameters = parameters_of(configuration)
        self.prepared = configuration.prepared
        middle = middle_element(configuration.packing.field_moduli)
        self.server = FoldedServer(self.parameters, coefficients, middle, meter)

    def session(self, tokens: int, meter: Meter) -> ServerSession:
        """Kernels for one client that looks so many rows up together."""
        made = PreparedSessionEngine if self.prepared else ExpandedSessionEngine[FoldedSession]
        return made(self.server, _shapes(self.parameters, tokens, self.prepared), meter)


def _client(configuration: Configuration, tokens: int, meter: Meter, seeds: SeedRecord) -> ExpandedClientEngine:
    parameters = parameters_of(configuration)
    shapes = _shapes(parameters, tokens, configuration.prepared)
    return ExpandedClientEngine(FoldedClient(parameters, seeds, meter), shapes)


ENGINE = engine_of(FoldedServerEngine, _client, lambda configuration: 64)
