"""The client of the compressed query: keys once, then a query and an answer for every token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.compressed.parameters import CompressedParameters
from protocol.compressed.context import generate_secret
from protocol.compressed.layout import answer_positions, row_bits
from protocol.compressed.messages import Query, encode_query
from protocol.expanded.client import ExpandedClient
from protocol.expanded.gadget import gadget_elements
from protocol.expanded.keys import Labels, public_row, query_rows, ring_switch_rows
from protocol.expanded.messages import KeyHalves, encode_keys
from protocol.expanded.rounding import round_off
from protocol.meter import Meter
from protocol.residue.ciphertext import SecretKey
from protocol.residue.keyswitch import Gadget, automorphism_keys
from protocol.residue.packlwes import packing_exponents
from protocol.seeds import SeedRecord

LABELS = Labels("compressed keys", "compressed public key", "compressed ring switch", "compressed query")
PACKING_LABEL = "compressed packing keys"


class CompressedClient(ExpandedClient[CompressedParameters]):
    """One client of the compressed query.

    Parameters
    ----------
    parameters : of the compressed query
    seeds : record that the seed is entered in
    meter : counts what is done

    Raises
    ------
    ValueError
        If OpenFHE refuses a ring.
    """

    labels = LABELS

    def __init__(
        self, parameters: CompressedParameters, seeds: SeedRecord | None = None, meter: Meter | None = None
    ) -> None:
        meter, limbs = meter or Meter("client"), parameters.table_limbs
        with meter.work("generate keys"):
            secret = generate_secret(parameters)
        self._table_secret = SecretKey(secret.ring.first(limbs), secret.residues[:limbs])
        super().__init__(parameters, secret, self._table_secret, seeds, meter)

    def query(self, token: int) -> bytes:
        """See :meth:`protocol.expanded.client.ExpandedClient.query`."""
        p, modulus = self.parameters, self.ring.modulus
        bits = row_bits(p, token)
        with self.meter.work("encrypt selectors"):
            elements = gadget_elements(modulus, p.bit)
            counter, sent = self._encrypt([bit * element for bit in bits for element in elements])
            return encode_query(p, Query(counter, round_off(sent, modulus, p.sent_bits)))

    def _generate(self) -> bytes:
        p, secret, seed = self.parameters, self.secret, self._seed
        with self.meter.work("generate expansion keys", p.key_rows + p.public_rows):
            rows = query_rows(p, secret, seed, LABELS)
            exponents = packing_keys(p)
            gadgets = [packing_gadget(p)] * len(exponents)
            public = automorphism_keys(self._table_secret, exponents, gadgets, seed, PACKING_LABEL).b
            if p.flooding_bits:
                public = np.concatenate([public, public_row(self._table_secret, seed, LABELS)])
            switch = ring_switch_rows(p, secret, self.answer_secret, seed, LABELS)
            return encode_keys(self.ring, KeyHalves(seed, (rows, public, switch)))

    def _answer_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return answer_positions(self.parameters)


def packing_keys(parameters: CompressedParameters) -> tuple[int, ...]:
    """Return the automorphisms of the packing keys, one at least."""
    p = parameters
    return packing_exponents(p.products, p.degree, p.gap) or (3,)


def packing_gadget(parameters: CompressedParameters) -> Gadget:
    """Return how the packing's polynomials are decomposed."""
    return Gadget(parameters.packing_digit_bits, parameters.packing_dropped_bits)
