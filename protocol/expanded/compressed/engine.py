"""The compressed query as an engine."""

from __future__ import annotations

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.expanded.compressed.client import CompressedClient
from protocol.expanded.compressed.server import CompressedServer
from protocol.expanded.engine import Family, engine_of


def _quotients_bytes(parameters: CompressedParameters) -> int:
    """Memory of Shoup's quotients of the packing keys."""
    p = parameters
    return 2 * 8 * p.degree * p.packing_rows * p.table_limbs


ENGINE = engine_of(
    Family(
        CompressedParameters,
        CompressedClient,
        CompressedServer,
        kept_bytes=_quotients_bytes,
        prepared_bytes=lambda parameters: 0,
        small_rows=lambda configuration: configuration.ring.degree + 1,
    )
)
