"""The server of the residue engine."""

from __future__ import annotations

from costmodel.parameters import Configuration
from protocol.compact.plan import Plan
from protocol.compact.session import ResidueSession
from protocol.compact.table import EncodedTable
from protocol.engine import Progress
from protocol.meter import Meter
from protocol.openfhe.context import residue_context
from protocol.residue.context import read_ring
from protocol.seeds import RecentSeeds
from quantize.packing import UnsignedArray


class ResidueServer:
    """The server's kernels; the table lives here, and no secret key ever does.

    Parameters
    ----------
    configuration
        What is served.
    coefficients
        The packed table, shape (m, n').
    meter
        Counts and times its encoding.
    progress
        Called with what is being done, how much is done, and of how much.
    allow_insecure
        Let OpenFHE make a ring below its security table.
    """

    def __init__(
        self,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> None:
        self.configuration = configuration
        self.ring = read_ring(residue_context(configuration.ring, allow_insecure))
        self.table = EncodedTable(Plan(configuration, self.ring, 1), coefficients, meter, progress)
        self.middle = self.table.middle
        self.seeds = RecentSeeds()

    def session(self, tokens: int, meter: Meter) -> ResidueSession:
        """Kernels for one client that looks so many rows up together."""
        return ResidueSession(Plan(self.configuration, self.ring, tokens), self.table, self.seeds, meter)
