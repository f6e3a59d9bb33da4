"""The folded query as an engine."""

from __future__ import annotations

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.expanded.engine import Family, engine_of
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.folded.server import FoldedServer


def _prepared_bytes(parameters: FoldedParameters) -> int:
    p = parameters
    return 2 * 8 * p.pass_limbs * p.degree * (p.blocks * p.columns + 2 * p.fold_levels * p.fold.digits)


ENGINE = engine_of(
    Family(
        FoldedParameters,
        FoldedClient,
        FoldedServer,
        kept_bytes=lambda parameters: 0,
        prepared_bytes=_prepared_bytes,
        small_rows=lambda configuration: 64,
    )
)
