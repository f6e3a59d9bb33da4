"""The client of the folded query: keys once, then a query and an answer for every token."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from costmodel.folded_parameters import FoldedParameters
from protocol.folded.context import answer_secret, interleaved, openfhe_context, query_ring
from protocol.folded.expansion import expansion_exponents, leaf_positions
from protocol.folded.gadget import gadget_elements, generate_key
from protocol.folded.layout import answer_positions, row_place
from protocol.folded.messages import KeyHalves, Query, decode_answer, encode_keys, encode_query
from protocol.meter import Meter
from protocol.residue.ciphertext import SecretKey, expand_many, sample_noise
from protocol.residue.context import read_ring, read_secret_key
from protocol.residue.keyswitch import apply_automorphism
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import expand, new_seed
from protocol.residue.switch import lift_modulus

KEY_LABEL = "folded keys"
PUBLIC_KEY_LABEL = "folded public key"
RING_SWITCH_LABEL = "folded ring switch"
QUERY_LABEL = "folded query"


class FoldedClient:
    """One client: its secret, its seed, and the counter that no two of its queries share.

    Parameters
    ----------
    parameters : of the folded query
    meter : counts what is done

    Raises
    ------
    ValueError
        If OpenFHE refuses a ring.
    """

    def __init__(self, parameters: FoldedParameters, meter: Meter | None = None) -> None:
        self.parameters = parameters
        self.meter = meter or Meter("client")
        self.context: Any = openfhe_context(parameters)
        with self.meter.work("generate keys"):
            self.key_pair: Any = self.context.KeyGen()
        self.ring = query_ring(parameters)
        if read_ring(self.context) != self.ring:
            raise ValueError("OpenFHE's rings of equal sizes differ")
        self.secret = SecretKey(self.ring, read_secret_key(self.key_pair.secretKey, self.ring))
        self.answer_secret = answer_secret(parameters, self.ring) if parameters.switches_ring else self.secret
        self._seed = new_seed()
        self._counter = 0
        self._keys: bytes | None = None

    @property
    def seed(self) -> bytes:
        """Of all a of keys and queries; public, and nobody else's."""
        return self._seed

    def keys(self) -> bytes:
        """Return the body of the keys' message, made once: fresh noise on the same a would give away noise."""
        if self._keys is None:
            self._keys = self._generate()
        return self._keys

    def _generate(self) -> bytes:
        p, ring, secret = self.parameters, self.ring, self.secret
        with self.meter.work("generate expansion keys", p.key_rows):
            sources = [apply_automorphism(secret.residues, g) for g in expansion_exponents(p.degree)]
            sources.append(secret.multiply(secret.residues))
            rows, index = [], 0
            for source, gadget in zip(sources, (*p.expansion, p.square), strict=True):
                a = expand_many(ring, self._seed, KEY_LABEL, gadget.digits, index)
                rows.append(generate_key(secret, source, gadget, a))
                index += gadget.digits
            if p.flooding_bits:
                a = expand_many(ring, self._seed, PUBLIC_KEY_LABEL, 1)
                rows.append(ring.subtract(ring.forward(sample_noise(ring, (1,))), secret.multiply(a)))
            switch: NDArray[np.uint64] = np.empty((0, 1, p.degree), dtype=np.uint64)
            if p.switches_ring:
                limb = ring.limb(0)
                a = expand_many(limb, self._seed, RING_SWITCH_LABEL, p.ring_switch.digits)
                switch = generate_key(self.answer_secret, secret.residues[:1], p.ring_switch, a)
            return encode_keys(p, ring, KeyHalves(self._seed, np.concatenate(rows), switch))

    def query(self, token: int) -> bytes:
        """Return the body of a query for a token.

        Raises
        ------
        ValueError
            If the token is outside the vocabulary; its value is not in the message.
        """
        p, ring = self.parameters, self.ring
        place = row_place(p, token)
        with self.meter.work("encrypt selectors"):
            counter, self._counter = self._counter, self._counter + 1
            message = [0] * p.query_coefficients
            message[place.selector] = (2 * ring.modulus + p.plaintext_modulus) // (2 * p.plaintext_modulus)
            elements = gadget_elements(ring.modulus, p.fold)
            message[p.selectors :] = [bit * element for bit in place.bits for element in elements]
            a = expand(self._seed, QUERY_LABEL, counter, ring)
            masked = ring.subtract(sample_noise(ring, ()), ring.inverse(self.secret.multiply(a)))
            b = ring.to_integers(masked[:, leaf_positions(p)])
            # N*b, which is all that the server makes of b: N times the encryption of message/N
            sent = [int(m) + p.degree * int(x) for m, x in zip(message, b, strict=True)]
            return encode_query(
                p,
                Query(
                    counter,
                    [_rounded(x, ring.modulus, p.selector_bits) for x in sent[: p.selectors]],
                    [_rounded(x, ring.modulus, p.fold_bits) for x in sent[p.selectors :]],
                ),
            )

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
        a = interleaved(answer.a, p.degree) if p.switches_ring else answer.a
        products = ring.inverse(self.answer_secret.multiply(ring.forward(lift_modulus(a, ring, p.answer_a_bits))))
        which, coefficient = answer_positions(p)
        step = p.degree // p.answer_degree
        used = np.moveaxis(products, 1, 2)[which, coefficient * step].T
        return ring.add(used, scale_up(answer.b, ring, 1 << p.answer_b_bits))


def _rounded(value: int, modulus: int, bits: int) -> int:
    """Return round(2^bits * value / modulus) mod 2^bits."""
    return ((value << (bits + 1)) + modulus) // (2 * modulus) % (1 << bits)
