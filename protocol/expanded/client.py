"""The client of an expanded query: keys once, then a query and an answer for every token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic

import numpy as np
from numpy.typing import NDArray

from protocol.engine import Frame
from protocol.expanded.context import answer_secret, generate_secret, interleaved
from protocol.expanded.expansion import leaf_positions
from protocol.expanded.keys import Labels, ring_switch_rows
from protocol.expanded.layout import ExpandedLayout, Parameters
from protocol.expanded.messages import KeyHalves, Query, decode_answer, encode_keys, encode_query
from protocol.expanded.rounding import round_off
from protocol.meter import Meter, Tally
from protocol.residue.ciphertext import SecretKey, sample_noise
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import expand, new_seed
from protocol.residue.switch import lift_modulus
from protocol.seeds import SeedRecord


class ExpandedClient(ABC, Generic[Parameters]):
    """One client: its secret, its seed, and the counter that no two of its queries share.

    Parameters
    ----------
    layout : of the query
    seeds : record that the seed is entered in
    meter : counts what is done

    Attributes
    ----------
    secret : of queries and keys
    result_secret : the same modulo the limbs that rows come back modulo

    Raises
    ------
    ValueError
        If OpenFHE refuses a ring.
    """

    labels: ClassVar[Labels]

    def __init__(self, layout: ExpandedLayout[Parameters], seeds: SeedRecord | None, meter: Meter | None) -> None:
        p = self.parameters = layout.parameters
        self.layout = layout
        self.meter = meter or Meter("client")
        with self.meter.work("generate keys"):
            self.secret = generate_secret(p, self._accepts)
            self.ring, limbs = self.secret.ring, layout.result_limbs
            self.result_secret = SecretKey(self.ring.first(limbs), self.secret.residues[:limbs])
            self.answer_secret = answer_secret(p, self.ring) if p.switches_ring else self.result_secret
        self._seed = new_seed()
        (seeds or SeedRecord()).claim(self._seed)
        self._counter = 0
        self._keys: Frame | None = None

    def keys(self) -> Frame:
        """Return the body of the keys' message, made once: fresh noise on the same a would give away noise."""
        if self._keys is None:
            with self.meter.counting("generate expansion keys") as generated:
                rows = self._key_rows(self._seed, generated)
                switch = ring_switch_rows(self.parameters, self.secret, self.answer_secret, self._seed, self.labels)
                groups = (*rows, switch)
                body = encode_keys(self.ring, KeyHalves(self._seed, groups))
                self._keys = Frame.of(body, "key rows", sum(map(len, groups)))
        return self._keys

    def query(self, token: int) -> Frame:
        """Return the body of a query for a token.

        Raises
        ------
        ValueError
            If the token is outside the vocabulary; its value is not in the message.
        """
        parts, modulus = self.layout.query_parts, self.ring.modulus
        with self.meter.work("encrypt selectors"):
            counter, sent = self._encrypt(self.layout.message(token, modulus))
            values, first = [], 0
            for part in parts:
                values.append(round_off(sent[first : first + part.coefficients], modulus, part.bits))
                first += part.coefficients
            return Frame.of(encode_query(parts, Query(counter, tuple(values))), "ciphertexts", 1)

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

    @abstractmethod
    def _accepts(self, secret: SecretKey) -> bool:
        """Whether a secret will do."""

    @abstractmethod
    def _key_rows(self, seed: bytes, tally: Tally) -> tuple[NDArray[np.uint64], ...]:
        """Return the keys' groups of rows before those of the ring switch, every row told to the tally."""

    def _encrypt(self, message: Sequence[int]) -> tuple[int, list[int]]:
        """Return a fresh counter, and N*b of a query's used coefficients, all that the server makes of b.

        That is N times the encryption of message/N.
        """
        p, ring = self.parameters, self.ring
        counter, self._counter = self._counter, self._counter + 1
        a = expand(self._seed, self.labels.query, counter, ring)
        masked = ring.subtract(sample_noise(ring, ()), ring.inverse(self.secret.multiply(a)))
        b = ring.to_integers(masked[:, leaf_positions(p)])
        return counter, [int(m) + p.degree * int(x) for m, x in zip(message, b, strict=True)]

    def _phase(self, body: bytes) -> NDArray[np.uint64]:
        """Return the phase at the coefficients of the row, (limbs, n')."""
        p = self.parameters
        ring = self.answer_secret.ring
        answer = decode_answer(p, body)
        a = interleaved(answer.a, p.degree)
        products = ring.inverse(self.answer_secret.multiply(ring.forward(lift_modulus(a, ring, p.answer_a_bits))))
        which, coefficient = self.layout.answer_positions()
        step = p.degree // p.answer_degree
        used = np.moveaxis(products, 1, 2)[which, coefficient * step].T
        return ring.add(used, scale_up(answer.b, ring, 1 << p.answer_b_bits))
