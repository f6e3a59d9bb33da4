"""The ledger that every priced system shares: keys, table, query, product, answer.

A published system that is not executed here has no greeting and no parameters in its figures; what is left is one
exchange of ciphertexts. Operations have the names of the ``seal`` and ``spu`` units of a machine profile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from costmodel.design import Flooding, flooding_by_coefficients
from costmodel.grid import Grid
from costmodel.ledger import Number, Party, Phase, Term, Transfer, Work
from costmodel.noise import noise_bound

HIDDEN_TAIL = -64.0
"""log2 of the probability that an error exceeds the bound that flooding hides."""


class Objects(NamedTuple):
    """Objects of one kind that are sent, for all tokens, and how their number and their bytes come about."""

    count: Number
    size_bytes: Number
    formula: str
    bytes_formula: str

    @classmethod
    def alike(cls, count: Number, each_bytes: Number, formula: str, each: str) -> Objects:
        """Objects of one size, whose symbol is ``each``."""
        return cls(count, count * each_bytes, formula, each if formula == "1" else f"{formula}*{each}")


class Counted(NamedTuple):
    """Repetitions of an operation, for all tokens, and how they come about."""

    count: Number
    formula: str


def key_terms(source: str, size: Number, keys: Objects, party: Party = "client") -> tuple[Term, ...]:
    """Setup of one party: its keys made once and sent."""
    return (
        Work("setup", party, "generate keys", np.int64(1), size, "1", source),
        Transfer("setup", party, "keys", keys.count, keys.size_bytes, keys.bytes_formula, source, unit="keys"),
    )


def exchange_terms(
    source: str,
    size: Number,
    answer_size: Number,
    query: Objects,
    answer: Objects,
    products: Counted,
    encoded: Counted,
    *,
    encryptor: Party = "client",
    table_phase: Phase = "setup",
) -> tuple[Term, ...]:
    """One product: encrypted input, multiplications by the encoded table, masked answer.

    Parameters
    ----------
    source
        Where the counts stand.
    size, answer_size
        Residues of a polynomial of the query and of the answer.
    query, answer
        Ciphertexts sent.
    products, encoded
        Products of a ciphertext and a plaintext; plaintext polynomials of the other side.
    encryptor
        Who encrypts; the other party multiplies and answers.
    table_phase
        When the plaintext side is encoded.
    """
    evaluator = other(encryptor)
    return (
        Work(table_phase, evaluator, "encode table", encoded.count, size, encoded.formula, source, kept=size),
        ciphertexts("online", encryptor, "query", query, source),
        ciphertexts("online", evaluator, "answer", answer, source),
        Work("online", encryptor, "encrypt", query.count, size, query.formula, source),
        Work(
            "online",
            evaluator,
            "multiply-accumulate",
            products.count,
            size,
            products.formula,
            source,
            products=products.count,
        ),
        Work("online", evaluator, "subtract mask", answer.count, answer_size, answer.formula, source),
        Work("online", encryptor, "decrypt", answer.count, answer_size, answer.formula, source, 1),
    )


def ciphertexts(phase: Phase, party: Party, item: str, sent: Objects, source: str) -> Transfer:
    """Ciphertexts that one party sends together."""
    return Transfer(phase, party, item, sent.count, sent.size_bytes, sent.bytes_formula, source, unit="ciphertexts")


def other(party: Party) -> Party:
    """The party that one talks to."""
    return "server" if party == "client" else "client"


def hiding(flooding_bits: int, hidden_variance: ArrayLike, grid: Grid) -> Flooding:
    """Uniform noise of so many bits over an error of a variance in units of 1, for all answers of a grid.

    The stated distance takes the error's bound at 2^-64 a coefficient, B: log2(tokens N') + log2 B - flooding_bits,
    at most 0.
    """
    bound = noise_bound(np.sqrt(hidden_variance), HIDDEN_TAIL)
    width = np.maximum(flooding_bits - 1 - np.log2(bound), 0.0)
    return flooding_by_coefficients(np.int64(flooding_bits), width, grid)
