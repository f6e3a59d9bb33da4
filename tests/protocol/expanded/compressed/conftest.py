"""Compressed queries of small tables, client and server side by side."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("openfhe")

from costmodel.expanded.compressed.parameters import CompressedParameters
from costmodel.expanded.compressed.search import choose_parameters
from costmodel.expanded.folded.search import RingChoice
from protocol.expanded.compressed.client import CompressedClient
from protocol.expanded.compressed.server import CompressedServer
from tests.protocol.expanded import sides


class Side(sides.Side):
    """Of the compressed query."""

    client_type = CompressedClient
    server_type = CompressedServer


N2048 = (RingChoice(2048, (53,)),)
N4096 = (RingChoice(4096, (53, 53)),)
THREE_LIMBS = (RingChoice(8192, (53, 53, 53)),)

# rows, channels, widths, flooding bits, options: what each is for
SHAPES: dict[str, tuple[int, int, tuple[int, ...], int, dict[str, Any]]] = {
    "one block": (1000, 40, (4, 3, 3), 0, {"rings": N4096}),
    "blocks that are no power of two": (9000, 96, (4, 3, 3), 0, {"rings": N4096}),
    "one limb": (300, 12, (2,), 0, {"rings": N2048}),
    "a smaller modulus": (5000, 96, (4, 3), 0, {"rings": N4096}),
    "more than half a polynomial": (600, 2500, (4,), 0, {"rings": N4096}),
    "two polynomials": (300, 5000, (4,), 0, {"rings": N4096}),
    "flooded": (9000, 96, (4, 3, 3), 40, {"rings": THREE_LIMBS}),
    "flooded on two limbs": (500, 30, (4, 3), 20, {"rings": N4096}),
    "flooded to a distance": (500, 30, (4, 3), 0, {"rings": THREE_LIMBS, "log2_distance": -26.0, "queries": 1 << 20}),
    "four tokens under one a": (300, 96, (4, 3), 0, {"rings": N4096, "tokens": 4}),
    "modulus no power of two": (600, 300, (4,), 0, {"rings": THREE_LIMBS, "plaintext_modulus": 8000}),
    "a single entry": (1, 3, (2, 2, 2), 0, {"rings": N4096}),
}


def parameters_of(name: str) -> CompressedParameters:
    rows, channels, widths, flooding_bits, options = SHAPES[name]
    return choose_parameters(rows, channels, widths, flooding_bits, **options)


make_side, side = sides.fixtures(Side, SHAPES, parameters_of)
