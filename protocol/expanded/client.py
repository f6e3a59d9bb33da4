"""The client of an expanded query: keys once, then a query and an answer for every token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocol.engine import Frame
from protocol.expanded.context import generate_secret, signed_coefficients
from protocol.expanded.expansion import leaf_positions
from protocol.expanded.keys import Labels
from protocol.expanded.layout import ExpandedLayout, Parameters
from protocol.expanded.messages import Answer, KeyHalves, Query, decode_answer, encode_keys, encode_query
from protocol.expanded.rounding import round_off
from protocol.meter import Meter, Tally
from protocol.residue.ciphertext import SecretKey, sample_noise
from protocol.residue.low_bits import client_shares
from protocol.residue.sampling import expand, new_seed
from protocol.residue.shared_switch import generate_rows, new_secrets, products_with_secrets
from protocol.seeds import SeedRecord

Client = TypeVar("Client", bound="ExpandedClient[Any]")


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
    answer_secrets : that answers come back under, (secrets, N')

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
            source = signed_coefficients(self.secret)
            self.answer_secrets = new_secrets(p.shared_answer) if p.switches_ring else source[None]
        self._seed = new_seed()
        (seeds or SeedRecord()).claim(self._seed)
        self._counter = 0
        self._keys: Frame | None = None

    @property
    def seed(self) -> bytes:
        """Of all a of keys and queries; public."""
        return self._seed

    def for_table(self: Client, layout: ExpandedLayout[Parameters]) -> Client:
        """Return the same client for queries of another table under the same keys; its counters are set aside here."""
        other = copy(self)
        other.layout, other.parameters = layout, layout.parameters
        return other

    def keys(self) -> Frame:
        """Return the body of the keys' message, made once: fresh noise on the same a would give away noise."""
        if self._keys is None:
            with self.meter.counting("generate expansion keys") as generated:
                rows = self._key_rows(self._seed, generated)
                switch = self._ring_switch_rows()
                body = encode_keys(self.parameters, self.ring, KeyHalves(self._seed, rows, switch))
                self._keys = Frame.of(body, "key rows", sum(map(len, (*rows, switch))))
        return self._keys

    def query(self, token: int) -> Frame:
        """Return the body of a query for a token.

        Raises
        ------
        ValueError
            If the token is outside the vocabulary; its value is not in the message.
        """
        return self.query_under(self.set_aside(1).start, token)

    def set_aside(self, count: int) -> range:
        """Return the next counters, which no query takes again."""
        first = self._counter
        self._counter += count
        return range(first, self._counter)

    def query_under(self, counter: int, token: int) -> Frame:
        """Return the body of a query under a counter that was set aside for it."""
        parts, modulus = self.layout.query_parts, self.ring.modulus
        with self.meter.work("encrypt selectors"):
            sent = self._encrypt(counter, self.layout.message(token, modulus))
            values, first = [], 0
            for part in parts:
                values.append(round_off(sent[first : first + part.coefficients], modulus, part.bits))
                first += part.coefficients
            return Frame.of(encode_query(parts, Query(counter, tuple(values))), "ciphertexts", 1)

    def decrypt(self, answer: bytes) -> NDArray[np.uint64]:
        """Return the client's share modulo t of the coefficients of the answer's first row, (n',)."""
        first: NDArray[np.uint64] = self.decrypt_rows(answer)[0]
        return first

    def decrypt_rows(self, answer: bytes) -> NDArray[np.uint64]:
        """Return the client's shares modulo t of the coefficients of as many rows as an answer is of, (rows, n').

        Raises
        ------
        ProtocolError
            If the answer is not of these parameters.
        """
        p = self.parameters
        with self.meter.work("decrypt row"):
            received = decode_answer(p, answer)
            shares = [
                client_shares(p.shared_answer, a, low, self.answer_secrets)
                for a, low in zip(received.a, self._low_bits(received), strict=True)
            ]
            found: NDArray[np.uint64] = np.concatenate(shares)[self.layout.answer_positions()]
            return found

    def relative_errors(self, answer: bytes) -> NDArray[np.float64]:
        """Return the error of every coefficient of the answer's first row as a fraction of the decoding interval Q/t.

        Of what is sent, its low bits of b included: right where it is below one half in magnitude.
        """
        p, received = self.parameters, decode_answer(self.parameters, answer)
        radix = p.shared_answer.a_values
        products = [products_with_secrets(a, self.answer_secrets, radix) for a in received.a]
        phases = np.concatenate(products)[self.layout.answer_positions()][0].astype(object)
        fractions = (phases * p.plaintext_modulus % radix).astype(np.float64) / radix
        errors = fractions + (received.low[0] + 0.5) / (1 << p.answer_low_bits)
        return np.asarray(errors - np.round(errors), dtype=np.float64)

    @abstractmethod
    def _accepts(self, secret: SecretKey) -> bool:
        """Whether a secret will do."""

    @abstractmethod
    def _key_rows(self, seed: bytes, tally: Tally) -> tuple[NDArray[np.uint64], ...]:
        """Return the keys' groups of rows before those of the ring switch, every row told to the tally."""

    def _encrypt(self, counter: int, message: Sequence[int]) -> list[int]:
        """Return N*b of a query's used coefficients, all that the server makes of b.

        That is N times the encryption of message/N.
        """
        p, ring = self.parameters, self.ring
        a = expand(self._seed, self.labels.query, counter, ring)
        masked = ring.subtract(sample_noise(ring, ()), ring.inverse(self.secret.multiply(a)))
        b = ring.to_integers(masked[:, leaf_positions(p)])
        return [int(m) + p.degree * int(x) for m, x in zip(message, b, strict=True)]

    def _ring_switch_rows(self) -> NDArray[np.uint64]:
        """Return the b of the key to the answers' secrets, (rows, secrets, N'): no rows without a ring switch."""
        p = self.parameters
        if not p.switches_ring:
            return np.empty((0, p.answer_outputs, p.answer_degree), dtype=np.uint64)
        source = signed_coefficients(self.secret)
        return generate_rows(p.shared_answer, self.answer_secrets, source, self._seed, self.labels.ring_switch)

    def _low_bits(self, answer: Answer) -> NDArray[np.uint64]:
        """Return the low bits of b in their places, (answers, secrets, N'), zero where nothing is sent."""
        p = self.parameters
        out = np.zeros((p.answers * p.answer_outputs, p.answer_degree), dtype=np.uint64)
        out[self.layout.answer_positions()] = answer.low
        return out.reshape(p.answers, p.answer_outputs, p.answer_degree)
