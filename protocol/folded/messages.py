"""The bytes of keys, query and answer: exact bits, nothing that a seed gives, one encoding for every content.

keys    seed, then of every limb the residues of all rows: automorphism keys by level, the key from s^2, and if answers
        are flooded the public key's b; then, with a ring switch, its key's rows modulo the first limb. Evaluation form.
query   counter, then round(2^k N b / Q) at the used coefficients, selectors first, each kind with its own k
answer  round(2^k a / Q) of every coefficient of the answers' a, then round(2^k b / Q) at the row's coefficients
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded import Expanded
from costmodel.folded_parameters import COUNTER_BYTES, FoldedParameters
from costmodel.wire import SEED_BYTES
from protocol.errors import ProtocolError
from protocol.residue.bits import pack_bits, pack_integers, packed_bytes, unpack_bits, unpack_integers
from protocol.residue.ring import Ring


class KeyHalves(NamedTuple):
    """What a client sends of its keys.

    Attributes
    ----------
    seed : of all a, of keys and of queries
    rows : b of all rows modulo Q, (rows, limbs, N)
    ring_switch : b of the ring switch's rows, (digits, 1, N)
    """

    seed: bytes
    rows: NDArray[np.uint64]
    ring_switch: NDArray[np.uint64]


class Query(NamedTuple):
    """A query's counter, and its N*b in units of Q/2^bits."""

    counter: int
    selectors: list[int]
    folds: list[int]


class Answer(NamedTuple):
    """An answer's a, (answers, N'), and the used coefficients of its b, (n',), in units of Q/2^bits."""

    a: NDArray[np.uint64]
    b: NDArray[np.uint64]


def encode_keys(parameters: FoldedParameters, ring: Ring, keys: KeyHalves) -> bytes:
    """Return the body of the keys' message."""
    parts = [keys.seed]
    parts += [pack_bits(keys.rows[:, i], q.bit_length()) for i, q in enumerate(ring.moduli)]
    if parameters.switches_ring:
        parts.append(pack_bits(keys.ring_switch, ring.moduli[0].bit_length()))
    return b"".join(parts)


def decode_keys(parameters: FoldedParameters, ring: Ring, body: bytes) -> KeyHalves:
    """Return the halves of a client's keys.

    Raises
    ------
    ProtocolError
        If the length is another, a padding bit is set or a residue is not below its modulus.
    """
    p = parameters
    _check_length("keys", body, p.key_bytes)
    seed, position = body[:SEED_BYTES], SEED_BYTES
    counts = [(p.key_rows * p.degree, q) for q in ring.moduli]
    if p.switches_ring:
        counts.append((p.ring_switch.digits * p.degree, ring.moduli[0]))
    parts = []
    for count, modulus in counts:
        length = packed_bytes(count, modulus.bit_length())
        residues = _unpack("keys", body[position : position + length], count, modulus.bit_length())
        if int(residues.max()) >= modulus:
            raise ProtocolError(f"keys hold a residue that is not below its modulus {modulus}")
        parts.append(residues.reshape(-1, p.degree))
        position += length
    rows = np.stack(parts[: ring.limbs], axis=1)
    switch = parts[ring.limbs][:, None] if p.switches_ring else np.empty((0, 1, p.degree), dtype=np.uint64)
    return KeyHalves(seed, rows, switch)


def encode_query(parameters: FoldedParameters, query: Query) -> bytes:
    """Return the body of a query."""
    return (
        query.counter.to_bytes(COUNTER_BYTES, "little")
        + pack_integers(query.selectors, parameters.selector_bits)
        + pack_integers(query.folds, parameters.fold_bits)
    )


def decode_query(parameters: FoldedParameters, body: bytes) -> Query:
    """Return the content of a query.

    Raises
    ------
    ProtocolError
        If the length is another or a padding bit is set; every other content is valid.
    """
    p = parameters
    _check_length("query", body, p.query_bytes)
    split = COUNTER_BYTES + -(-p.selectors * p.selector_bits // 8)
    return Query(
        int.from_bytes(body[:COUNTER_BYTES], "little"),
        _unpack_integers("query", body[COUNTER_BYTES:split], p.selectors, p.selector_bits),
        _unpack_integers("query", body[split:], p.fold_coefficients, p.fold_bits),
    )


def encode_answer(parameters: Expanded, answer: Answer) -> bytes:
    """Return the body of an answer."""
    return pack_bits(answer.a, parameters.answer_a_bits) + pack_bits(answer.b, parameters.answer_b_bits)


def decode_answer(parameters: Expanded, body: bytes) -> Answer:
    """Return the content of an answer.

    Raises
    ------
    ProtocolError
        If the length is another or a padding bit is set; every other content is valid.
    """
    p = parameters
    _check_length("answer", body, p.answer_bytes)
    count = p.answers * p.answer_degree
    split = packed_bytes(count, p.answer_a_bits)
    a = _unpack("answer", body[:split], count, p.answer_a_bits)
    return Answer(
        a.reshape(p.answers, p.answer_degree), _unpack("answer", body[split:], p.row_coefficients, p.answer_b_bits)
    )


def _check_length(what: str, body: bytes, length: int) -> None:
    if len(body) != length:
        raise ProtocolError(f"{what} of {len(body)} bytes; these parameters make it {length}")


def _unpack(what: str, data: bytes, count: int, bits: int) -> NDArray[np.uint64]:
    try:
        return unpack_bits(data, count, bits)
    except ValueError as error:
        raise ProtocolError(f"{what}: {error}") from None


def _unpack_integers(what: str, data: bytes, count: int, bits: int) -> list[int]:
    try:
        return unpack_integers(data, count, bits)
    except ValueError as error:
        raise ProtocolError(f"{what}: {error}") from None
