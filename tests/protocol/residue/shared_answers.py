"""Ciphertexts modulo 2^k whose answers come back under one a: what the tests of its steps have in common."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.answers import SharedAnswer
from protocol.residue import low_bits, shared_switch
from protocol.residue.sampling import new_seed, sample_ternary

LABEL = "answers"

CONFIGURATIONS = {
    "one ciphertext of degree 2048": SharedAnswer(512, 2048, 2, 1, 1, 7, 3, 36, 1),
    "one of degree 2048, no dropped bits": SharedAnswer(512, 2048, 2, 1, 1, 13, 2, 35, 1),
    "one of degree 4096, every second coefficient": SharedAnswer(512, 2048, 4, 2, 1, 8, 3, 34, 2),
    "one of degree 8192, every fourth": SharedAnswer(512, 2048, 8, 4, 1, 8, 3, 34, 2),
    "two of degree 2048, half a bit": SharedAnswer(512, 4096, 2, 1, 2, 7, 3, 35, 2),
    "four of degree 2048": SharedAnswer(512, 8192, 2, 1, 4, 8, 3, 35, 2),
    "t = 2^13, 1366 of degree 4096": SharedAnswer(1 << 13, 1366, 2, 1, 1, 4, 9, 44, 1, degree=2048, modulus_bits=53),
    "t = 8000, no power of two": SharedAnswer(8000, 4096, 2, 1, 1, 4, 8, 44, 2, degree=2048, modulus_bits=48),
    "t = 2^37, degree 2048 of 4096": SharedAnswer(1 << 37, 4096, 2, 1, 1, 24, 2, 93, 2, degree=2048, modulus_bits=52),
}
"""Of every kind: one and more ciphertexts, strides, dropped bits, half bits, one prime and two."""


class Answered(NamedTuple):
    """Of answers, (outputs, N'): the errors of every step in cells, the shares and what they share."""

    before: NDArray[np.float64]
    switch: NDArray[np.float64]
    rounding: NDArray[np.float64]
    truncation: NDArray[np.float64]
    server: NDArray[np.uint64]
    client: NDArray[np.uint64]
    message: NDArray[np.uint64]

    def wrong(self, shape: SharedAnswer) -> int:
        return int(np.count_nonzero((self.server + self.client - self.message) % np.uint64(shape.plaintext_modulus)))


class Parties:
    """A client's secrets and its server's key."""

    def __init__(self, shape: SharedAnswer) -> None:
        self.shape = shape
        self.source = sample_ternary(shape.parts * shape.degree)
        self.secrets = shared_switch.new_secrets(shape)
        self.seed = new_seed()
        self.rows = shared_switch.generate_rows(shape, self.secrets, self.source, self.seed, LABEL)
        self.key = shared_switch.SharedSwitch(shape, self.rows, self.seed, LABEL)

    def scaled(self, message: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """q' m/t, rounded."""
        modulus, t = 1 << self.shape.modulus_bits, self.shape.plaintext_modulus
        if modulus % t == 0:
            return message * np.uint64(modulus // t)
        return (message * np.uint64(modulus) + np.uint64(t // 2)) // np.uint64(t)

    def encrypt(
        self, message: NDArray[np.uint64], error: NDArray[np.int64], a: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """b = (q'/t) m + e - a s modulo q', (ciphertexts, N)."""
        p = self.shape
        scaled = self.scaled(message)
        products = np.concatenate(
            [shared_switch.products_with_secrets(row, self.source[None], 1 << p.modulus_bits) for row in a]
        )
        b: NDArray[np.uint64] = (scaled + error.astype(np.uint64) - products) & np.uint64((1 << p.modulus_bits) - 1)
        return b

    def answer(self, rng: np.random.Generator, deviation: float) -> Answered:
        """Answer random messages with Gaussian errors of a deviation in cells."""
        p = self.shape
        size = (p.ciphertexts, p.parts * p.degree)
        cell = 2.0**p.modulus_bits / p.plaintext_modulus
        message = rng.integers(0, p.plaintext_modulus, size, dtype=np.uint64)
        error = np.rint(rng.normal(0, deviation * cell, size)).astype(np.int64)
        a = rng.integers(0, 1 << p.modulus_bits, size, dtype=np.uint64)
        return self.open(message, error, a, self.encrypt(message, error, a))

    def open(
        self,
        message: NDArray[np.uint64],
        error: NDArray[np.int64],
        a: NDArray[np.uint64],
        b: NDArray[np.uint64],
    ) -> Answered:
        p = self.shape
        first, second = self.key.switch(a, b)
        server, low = low_bits.server_shares(p, second)
        sent = low_bits.round_a(p, first)
        used = shared_switch.split_parts(message, p.parts)[:, list(p.used_parts)].reshape(-1, p.degree)
        errors = shared_switch.split_parts(error.astype(np.uint64), p.parts)[:, list(p.used_parts)]
        exact = shared_switch.products_with_secrets(first, self.secrets, 1 << p.modulus_bits)
        cells = p.plaintext_modulus / 2.0**p.modulus_bits
        scaled = self.scaled(used)
        switched = _centred(second + exact - scaled, p.modulus_bits) * cells
        phases = shared_switch.products_with_secrets(sent, self.secrets, p.a_values).astype(np.float64)
        difference = phases * (p.plaintext_modulus / p.a_values) - exact.astype(np.float64) * cells
        rounding = np.mod(difference + p.plaintext_modulus / 2, p.plaintext_modulus) - p.plaintext_modulus / 2
        before = errors.reshape(-1, p.degree).astype(np.int64).astype(np.float64) * cells
        return Answered(
            before,
            switched - before,
            rounding,
            (low + 0.5) / 2.0**p.low_bits - np.mod(second.astype(np.float64) * cells, 1.0),
            server,
            low_bits.client_shares(p, sent, low, self.secrets),
            used,
        )


def _centred(values: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    shift = np.int64(64 - bits)
    centred: NDArray[np.int64] = (values.astype(np.int64) << shift) >> shift
    return centred
