"""The client of the folded query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.folded.parameters import FoldedParameters
from protocol.expanded.client import ExpandedClient
from protocol.expanded.folded.layout import FoldedLayout
from protocol.expanded.keys import Labels, public_row, query_rows
from protocol.expanded.secrets import keeps_to_the_peak
from protocol.meter import Meter, Tally
from protocol.residue.ciphertext import SecretKey
from protocol.seeds import SeedRecord

LABELS = Labels.of("folded")


class FoldedClient(ExpandedClient[FoldedParameters]):
    """One client of the folded query; see :class:`protocol.expanded.client.ExpandedClient`.

    The keys' one group is automorphism keys by level, the key from s^2 and, if answers are flooded, the public key's b.
    """

    labels = LABELS

    def __init__(
        self, parameters: FoldedParameters, seeds: SeedRecord | None = None, meter: Meter | None = None
    ) -> None:
        super().__init__(FoldedLayout(parameters), seeds, meter)

    def _accepts(self, secret: SecretKey) -> bool:
        return not self.parameters.drops_limbs or keeps_to_the_peak(secret)

    def _key_rows(self, seed: bytes, tally: Tally) -> tuple[NDArray[np.uint64], ...]:
        rows = query_rows(self.parameters, self.secret, seed, LABELS, tally)
        if self.parameters.flooded:
            rows = np.concatenate([rows, public_row(self.secret, seed, LABELS, tally)])
        return (rows,)
