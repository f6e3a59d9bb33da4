"""What the servers of expanded queries have in common: they open a session for keys whose seed is new."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from protocol.errors import ProtocolError
from protocol.expanded.context import query_ring
from protocol.expanded.messages import KeyHalves, decode_keys
from protocol.meter import Meter
from protocol.seeds import RecentSeeds, SeedReused

Parameters = TypeVar("Parameters", bound=Expanded)
Session = TypeVar("Session", covariant=True)


class ServerAnswer(NamedTuple):
    """The body of an answer, and the server's share modulo t of the row, (n',)."""

    body: bytes
    share: NDArray[np.uint64]


class ExpandedServer(Generic[Parameters, Session]):
    """A server of clients' keys; its table is its subclasses'.

    Parameters
    ----------
    parameters : of the query
    middle : the packed element all of whose channels are at the middle of their levels
    meter : counts what is done
    """

    def __init__(self, parameters: Parameters, middle: int, meter: Meter | None) -> None:
        self.parameters = parameters
        self.middle = middle
        self.meter = meter or Meter("server")
        self.seeds = RecentSeeds()
        self.ring = query_ring(parameters)

    def open(self, keys: bytes, meter: Meter | None = None) -> Session:
        """Return a session for a client's keys.

        Raises
        ------
        ProtocolError
            If the keys are not of these parameters, or their seed was used before.
        """
        halves = decode_keys(self.parameters, self.ring, keys)
        try:
            self.seeds.claim(halves.seed)
        except SeedReused:
            raise ProtocolError("keys repeat a seed: its queries would repeat the a of earlier ones") from None
        return self._session(halves, meter or self.meter)

    def _session(self, halves: KeyHalves, meter: Meter) -> Session:
        raise NotImplementedError


def check_table(parameters: Expanded, coefficients: NDArray[np.integer], middle: int) -> None:
    """Hold a table's packed coefficients to their parameters.

    Raises
    ------
    ValueError
        If the shape is another or a centred coefficient exceeds the parameters' bound.
    """
    p = parameters
    if coefficients.shape != (p.rows, p.row_coefficients):
        raise ValueError(f"table of shape {coefficients.shape}: need {(p.rows, p.row_coefficients)}")
    low, high = int(coefficients.min()) - middle, int(coefficients.max()) - middle
    if max(-low, high) > p.element_bound:
        raise ValueError(f"table has elements of magnitude {max(-low, high)}: need at most {p.element_bound}")
