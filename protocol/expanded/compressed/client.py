"""The client of the compressed query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.expanded.client import ExpandedClient
from protocol.expanded.compressed.layout import CompressedLayout
from protocol.expanded.keys import Labels, public_row, query_rows
from protocol.expanded.secrets import keeps_to_the_peak
from protocol.meter import Meter, Tally
from protocol.packing_tree import packing_exponents
from protocol.residue.ciphertext import SecretKey
from protocol.residue.keyswitch import Gadget, automorphism_keys
from protocol.seeds import SeedRecord

LABELS = Labels.of("compressed")
PACKING_LABEL = "compressed packing keys"


class CompressedClient(ExpandedClient[CompressedParameters]):
    """One client of the compressed query; see :class:`protocol.expanded.client.ExpandedClient`.

    The keys' groups are automorphism keys by level and the key from s^2; modulo the limbs of the table the packing
    keys and, if answers are flooded, the public key's b.
    """

    labels = LABELS

    def __init__(
        self, parameters: CompressedParameters, seeds: SeedRecord | None = None, meter: Meter | None = None
    ) -> None:
        super().__init__(CompressedLayout(parameters), seeds, meter)

    def _accepts(self, secret: SecretKey) -> bool:
        return keeps_to_the_peak(secret)

    def _key_rows(self, seed: bytes, tally: Tally) -> tuple[NDArray[np.uint64], ...]:
        p = self.parameters
        rows = query_rows(p, self.secret, seed, LABELS, tally)
        exponents = packing_keys(p)
        gadgets = [packing_gadget(p)] * len(exponents)
        public = automorphism_keys(self.result_secret, exponents, gadgets, seed, PACKING_LABEL).b
        tally.add(len(public))
        if p.flooded:
            public = np.concatenate([public, public_row(self.result_secret, seed, LABELS, tally)])
        return rows, public


def packing_keys(parameters: CompressedParameters) -> tuple[int, ...]:
    """Return the automorphisms of the packing keys, one at least."""
    p = parameters
    return packing_exponents(p.products, p.degree, p.gap) or (3,)


def packing_gadget(parameters: CompressedParameters) -> Gadget:
    """Return how the packing's polynomials are decomposed."""
    return Gadget(parameters.packing_digit_bits, parameters.packing_dropped_bits)
