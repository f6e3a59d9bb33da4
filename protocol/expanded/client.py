"""What the clients of expanded queries have in common: a secret, a seed, a counter, and the shares of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import Expanded
from protocol.expanded.context import answer_secret, interleaved
from protocol.expanded.expansion import leaf_positions
from protocol.expanded.keys import Labels
from protocol.expanded.messages import decode_answer
from protocol.meter import Meter
from protocol.residue.ciphertext import SecretKey, sample_noise
from protocol.residue.rounding import scale_down, scale_up
from protocol.residue.sampling import expand, new_seed
from protocol.residue.switch import lift_modulus
from protocol.seeds import SeedRecord

Parameters = TypeVar("Parameters", bound=Expanded)


class ExpandedClient(Generic[Parameters]):
    """One client: its secret, its seed, and the counter that no two of its queries share.

    Parameters
    ----------
    parameters : of the query
    secret : of queries and keys
    unswitched : the secret modulo the limbs that answers have without a ring switch
    seeds : record that the seed is entered in
    meter : counts what is done

    Raises
    ------
    ValueError
        If OpenFHE refuses the ring of degree N'.
    """

    labels: ClassVar[Labels]

    def __init__(
        self, parameters: Parameters, secret: SecretKey, unswitched: SecretKey, seeds: SeedRecord | None, meter: Meter
    ) -> None:
        self.parameters = parameters
        self.meter = meter
        self.secret = secret
        self.ring = secret.ring
        with meter.work("generate keys", 0):
            self.answer_secret = answer_secret(parameters, self.ring) if parameters.switches_ring else unswitched
        self._seed = new_seed()
        (seeds or SeedRecord()).claim(self._seed)
        self._counter = 0
        self._keys: bytes | None = None

    def keys(self) -> bytes:
        """Return the body of the keys' message, made once: fresh noise on the same a would give away noise."""
        if self._keys is None:
            self._keys = self._generate()
        return self._keys

    def query(self, token: int) -> bytes:
        """Return the body of a query for a token.

        Raises
        ------
        ValueError
            If the token is outside the vocabulary; its value is not in the message.
        """
        raise NotImplementedError

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

    def _generate(self) -> bytes:
        """Return the body of the keys' message."""
        raise NotImplementedError

    def _answer_positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return answer and coefficient of every coefficient of a row, in the ring of degree N'."""
        raise NotImplementedError

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
        which, coefficient = self._answer_positions()
        step = p.degree // p.answer_degree
        used = np.moveaxis(products, 1, 2)[which, coefficient * step].T
        return ring.add(used, scale_up(answer.b, ring, 1 << p.answer_b_bits))
