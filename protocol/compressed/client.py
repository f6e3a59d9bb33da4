"""The client of the compressed query: keys once, then a query and an answer for every token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from costmodel.compressed_parameters import CompressedParameters
from protocol.compressed.context import generate_secret
from protocol.compressed.layout import answer_positions, row_bits
from protocol.compressed.messages import KeyHalves, Query, encode_keys, encode_query
from protocol.folded.context import answer_secret, interleaved
from protocol.folded.expansion import expansion_exponents, leaf_positions
from protocol.folded.gadget import gadget_elements, generate_key
from protocol.folded.messages import decode_answer
from protocol.meter import Meter
from protocol.residue.ciphertext import SecretKey, expand_many, sample_noise
from protocol.residue.keyswitch import Gadget, apply_automorphism, automorphism_keys
from protocol.residue.packlwes import packing_exponents
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import expand, new_seed
from protocol.residue.switch import lift_modulus
from protocol.seeds import SeedRecord

KEY_LABEL = "compressed keys"
PACKING_LABEL = "compressed packing keys"
PUBLIC_KEY_LABEL = "compressed public key"
RING_SWITCH_LABEL = "compressed ring switch"
QUERY_LABEL = "compressed query"


class CompressedClient:
    """One client: its secret, its seed, and the counter that no two of its queries share.

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

    def __init__(
        self, parameters: CompressedParameters, seeds: SeedRecord | None = None, meter: Meter | None = None
    ) -> None:
        self.parameters = parameters
        self.meter = meter or Meter("client")
        with self.meter.work("generate keys"):
            self.secret = generate_secret(parameters)
            self.ring = self.secret.ring
            self.answer_secret = self._answer_secret()
        self._seed = new_seed()
        (seeds or SeedRecord()).claim(self._seed)
        self._counter = 0
        self._keys: bytes | None = None

    def _answer_secret(self) -> SecretKey:
        p = self.parameters
        if p.switches_ring:
            return answer_secret(p, self.ring)
        return self._table_secret()

    def _table_secret(self) -> SecretKey:
        """The secret modulo the limbs of the table."""
        limbs = self.parameters.table_limbs
        return SecretKey(self.ring.first(limbs), self.secret.residues[:limbs])

    def keys(self) -> bytes:
        """Return the body of the keys' message, made once: fresh noise on the same a would give away noise."""
        if self._keys is None:
            p = self.parameters
            with self.meter.work("generate expansion keys", p.key_rows + p.public_rows):
                self._keys = encode_keys(
                    self.ring, KeyHalves(self._seed, self._query_rows(), self._table_rows(), self._ring_switch_rows())
                )
        return self._keys

    def _query_rows(self) -> NDArray[np.uint64]:
        p, ring, secret = self.parameters, self.ring, self.secret
        sources = [apply_automorphism(secret.residues, g) for g in expansion_exponents(p.degree)]
        sources.append(secret.multiply(secret.residues))
        rows, index = [], 0
        for source, gadget in zip(sources, (*p.expansion, p.square), strict=True):
            a = expand_many(ring, self._seed, KEY_LABEL, gadget.digits, index)
            rows.append(generate_key(secret, source, gadget, a))
            index += gadget.digits
        return np.concatenate(rows)

    def _table_rows(self) -> NDArray[np.uint64]:
        p, secret = self.parameters, self._table_secret()
        exponents = packing_keys(p)
        packing = automorphism_keys(secret, exponents, [packing_gadget(p)] * len(exponents), self._seed, PACKING_LABEL)
        if not p.flooding_bits:
            return packing.b
        ring = secret.ring
        a = expand_many(ring, self._seed, PUBLIC_KEY_LABEL, 1)
        public = ring.subtract(ring.forward(sample_noise(ring, (1,))), secret.multiply(a))
        return np.concatenate([packing.b, public])

    def _ring_switch_rows(self) -> NDArray[np.uint64]:
        p = self.parameters
        if not p.switches_ring:
            return np.empty((0, 1, p.degree), dtype=np.uint64)
        a = expand_many(self.ring.limb(0), self._seed, RING_SWITCH_LABEL, p.ring_switch.digits)
        return generate_key(self.answer_secret, self.secret.residues[:1], p.ring_switch, a)

    def query(self, token: int) -> bytes:
        """Return the body of a query for a token.

        Raises
        ------
        ValueError
            If the token is outside the vocabulary; its value is not in the message.
        """
        p, ring = self.parameters, self.ring
        bits = row_bits(p, token)
        with self.meter.work("encrypt selectors"):
            counter, self._counter = self._counter, self._counter + 1
            elements = gadget_elements(ring.modulus, p.bit)
            message = [bit * element for bit in bits for element in elements]
            a = expand(self._seed, QUERY_LABEL, counter, ring)
            masked = ring.subtract(sample_noise(ring, ()), ring.inverse(self.secret.multiply(a)))
            b = ring.to_integers(masked[:, leaf_positions(p)])
            # N*b, which is all that the server makes of b: N times the encryption of message/N
            sent = [m + p.degree * int(x) for m, x in zip(message, b, strict=True)]
            half, modulus = p.sent_bits + 1, ring.modulus
            values = [((x << half) + modulus) // (2 * modulus) % (1 << p.sent_bits) for x in sent]
            return encode_query(p, Query(counter, values))

    def decrypt(self, answer: bytes) -> NDArray[np.uint64]:
        """Return the client's share modulo t of the coefficients of the row, (n',).

        Raises
        ------
        ProtocolError
            If the answer is not of these parameters.
        """
        with self.meter.work("decrypt row"):
            return scale_down(self._phase(answer), self.answer_secret.ring, self.parameters.plaintext_modulus)

    def relative_errors(self, answer: bytes) -> NDArray[np.float64]:
        """Return the error of every coefficient of the row as a fraction of the decoding interval Q/t.

        Right where it is below one half in magnitude, beyond which an answer decrypts wrongly.
        """
        ring, t = self.answer_secret.ring, self.parameters.plaintext_modulus
        scaled = ring.to_integers(self._phase(answer)) * t % ring.modulus
        centred = np.where(2 * scaled > ring.modulus, scaled - ring.modulus, scaled)
        return np.asarray(centred / ring.modulus, dtype=np.float64)

    def _phase(self, body: bytes) -> NDArray[np.uint64]:
        """Return the phase at the coefficients of the row, (limbs, n')."""
        p = self.parameters
        ring = self.answer_secret.ring
        answer = decode_answer(p, body)
        a = interleaved(answer.a, p.degree)
        products = ring.inverse(self.answer_secret.multiply(ring.forward(lift_modulus(a, ring, p.answer_a_bits))))
        which, coefficient = answer_positions(p)
        step = p.degree // p.answer_degree
        used = np.moveaxis(products, 1, 2)[which, coefficient * step].T
        return ring.add(used, scale_up(answer.b, ring, 1 << p.answer_b_bits))


def packing_keys(parameters: CompressedParameters) -> tuple[int, ...]:
    """Return the automorphisms of the packing keys, one at least."""
    p = parameters
    return packing_exponents(p.products, p.degree, p.gap) or (3,)


def packing_gadget(parameters: CompressedParameters) -> Gadget:
    """Return how the packing's polynomials are decomposed."""
    return Gadget(parameters.packing_digit_bits, parameters.packing_dropped_bits)
