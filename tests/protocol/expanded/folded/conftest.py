"""Folded queries of small and real tables, client and server side by side."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("openfhe")

from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.folded.search import RingChoice, choose_parameters
from protocol.expanded.folded.client import FoldedClient
from protocol.expanded.folded.server import FoldedServer
from tests.protocol.expanded import sides


class Side(sides.Side):
    """Of the folded query."""

    client_type = FoldedClient
    server_type = FoldedServer


N2048 = (RingChoice(2048, (53,)),)
N4096 = (RingChoice(4096, (53, 53)),)
THREE_LIMBS = (RingChoice(8192, (53, 53, 53)),)

# rows, channels, widths, flooding bits, options: what each is for
SHAPES: dict[str, tuple[int, int, tuple[int, ...], int, dict[str, Any]]] = {
    "one column": (5, 4096, (4, 3), 0, {"rings": N2048}),
    "slots": (300, 40, (4, 3), 0, {"rings": N2048}),
    "columns that are no power of two": (700, 4096, (4, 3), 0, {"rings": N2048}),
    "two blocks": (90, 5120, (4, 3), 0, {"rings": N2048}),
    "flooded": (200, 4096, (4, 3), 40, {"rings": N4096}),
    "flooded, more than half a polynomial": (130, 5120, (4, 3), 40, {"rings": N4096}),
    "flooded to a distance": (130, 1000, (4, 3), 0, {"rings": N4096, "log2_distance": -26.0, "queries": 1 << 20}),
    "four blocks under one a": (40, 8192, (4,), 0, {"rings": N2048}),
    "one limb for the pass": (3000, 4096, (4, 3), 8, {"rings": N4096}),
    "flooded, 13 bits": (150, 4096, (4, 3, 3), 40, {"rings": N4096}),
    "two limbs, wide plaintext": (60, 4096, (4,), 0, {"rings": N4096, "plaintext_modulus": 1 << 37}),
    "three limbs, wide plaintext, flooded": (40, 4096, (4,), 40, {"rings": THREE_LIMBS, "plaintext_modulus": 1 << 37}),
    "four tokens under one a": (300, 96, (4, 3), 0, {"rings": N2048, "tokens": 4}),
    "flooded, two tokens under one a": (200, 4096, (4, 3), 40, {"rings": N4096, "tokens": 3}),
    "modulus no power of two": (60, 4000, (4,), 0, {"rings": N4096, "plaintext_modulus": 8000}),
    "a single row": (1, 3, (2,), 0, {"rings": N2048}),
}


def parameters_of(name: str) -> FoldedParameters:
    rows, channels, widths, flooding_bits, options = SHAPES[name]
    return choose_parameters(rows, channels, widths, flooding_bits, **options)


make_side, side = sides.fixtures(Side, SHAPES, parameters_of)
