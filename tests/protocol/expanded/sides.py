"""A random table, its server, a client and their session: what the tests of expanded queries have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

MIDDLE = 3


def unflooded(parameters: Any) -> Any:
    """The same parameters without flooding, so that what it hides can be measured."""
    return replace(parameters, flooding_bits=0, log2_distance=0.0, flooding_log2_width=0)


class Side:
    """Client and server of a query side by side."""

    client_type: ClassVar[Any]
    server_type: ClassVar[Any]

    def __init__(self, parameters: Any) -> None:
        p = self.parameters = parameters
        bound = p.element_bound
        rng = np.random.default_rng(0)
        self.table = rng.integers(-bound, bound, (p.rows, p.row_coefficients), endpoint=True, dtype=np.int32) + MIDDLE
        self.server = self.server_type(p, self.table, MIDDLE)
        self.connect()

    def connect(self) -> None:
        self.client = self.client_type(self.parameters)
        self.session = self.server.open(self.client.keys())

    @property
    def mean_square(self) -> float:
        return float(np.mean(np.square(self.table.astype(np.float64) - MIDDLE)))

    def opens_to(self, row: int, client: NDArray[np.uint64], server: NDArray[np.uint64]) -> bool:
        t = self.parameters.plaintext_modulus
        return bool(np.array_equal((client + server) % t, self.table[row].astype(np.int64) % t))
