"""The client of the folded query: keys once, then a query and an answer for every token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.folded_parameters import FoldedParameters
from protocol.expanded.client import ExpandedClient
from protocol.expanded.context import query_ring
from protocol.expanded.gadget import gadget_elements
from protocol.expanded.keys import Labels, public_row, query_rows, ring_switch_rows
from protocol.expanded.messages import KeyHalves, encode_keys
from protocol.expanded.rounding import round_off
from protocol.folded.layout import answer_positions, row_place
from protocol.folded.messages import Query, encode_query
from protocol.meter import Meter
from protocol.residue.ciphertext import SecretKey
from protocol.seeds import SeedRecord

LABELS = Labels("folded keys", "folded public key", "folded ring switch", "folded query")


class FoldedClient(ExpandedClient[FoldedParameters]):
    """One client of the folded query.

    Parameters
    ----------
    parameters : of the folded query
    seeds : record that the seed is entered in
    meter : counts what is done

    Raises
    ------
    ValueError
        If OpenFHE refuses a ring.
    """

    labels = LABELS

    def __init__(
        self, parameters: FoldedParameters, seeds: SeedRecord | None = None, meter: Meter | None = None
    ) -> None:
        meter = meter or Meter("client")
        with meter.work("generate keys"):
            secret = SecretKey.generate(query_ring(parameters))
        super().__init__(parameters, secret, secret, seeds, meter)

    def query(self, token: int) -> bytes:
        """See :meth:`protocol.expanded.client.ExpandedClient.query`."""
        p, modulus = self.parameters, self.ring.modulus
        place = row_place(p, token)
        with self.meter.work("encrypt selectors"):
            message = [0] * p.query_coefficients
            message[place.selector] = (2 * modulus + p.plaintext_modulus) // (2 * p.plaintext_modulus)
            elements = gadget_elements(modulus, p.fold)
            message[p.selectors :] = [bit * element for bit in place.bits for element in elements]
            counter, sent = self._encrypt(message)
            selectors = round_off(sent[: p.selectors], modulus, p.selector_bits)
            return encode_query(p, Query(counter, selectors, round_off(sent[p.selectors :], modulus, p.fold_bits)))

    def _generate(self) -> bytes:
        p, secret, seed = self.parameters, self.secret, self._seed
        with self.meter.work("generate expansion keys", p.key_rows):
            rows = query_rows(p, secret, seed, LABELS)
            if p.flooding_bits:
                rows = np.concatenate([rows, public_row(secret, seed, LABELS)])
            switch = ring_switch_rows(p, secret, self.answer_secret, seed, LABELS)
            return encode_keys(self.ring, KeyHalves(seed, (rows, switch)))

    def _answer_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return answer_positions(self.parameters)
