"""The bytes of keys, query and answer: exact bits, nothing that a seed gives, one encoding for every content.

keys    seed, then of every group of rows, limb by limb, the residues of all; evaluation form
query   counter, then round(2^k N b / Q) at the used coefficients, every part with its own k
answer  round(2^k a / Q) of every coefficient of the answers' a, then round(2^k b / Q) at the row's coefficients
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import COUNTER_BYTES, Expanded
from costmodel.wire import SEED_BYTES
from protocol.errors import ProtocolError
from protocol.expanded.layout import QueryPart
from protocol.residue.bits import pack_bits, pack_integers, packed_bytes, unpack_bits, unpack_integers
from protocol.residue.ring import Ring


class KeyHalves(NamedTuple):
    """What a client sends of its keys.

    Attributes
    ----------
    seed : of all a, of keys and of queries
    groups : b of the rows, (rows, limbs, N) each, as the parameters' ``key_groups`` has them
    """

    seed: bytes
    groups: tuple[NDArray[np.uint64], ...]


class Query(NamedTuple):
    """A query's counter, and its N*b in units of Q/2^bits, part by part."""

    counter: int
    values: tuple[list[int], ...]


class Answer(NamedTuple):
    """An answer's a, (answers, N'), and the used coefficients of its b, (n',), in units of Q/2^bits."""

    a: NDArray[np.uint64]
    b: NDArray[np.uint64]


def encode_keys(ring: Ring, keys: KeyHalves) -> bytes:
    """Return the body of the keys' message."""
    parts = [keys.seed]
    for group in keys.groups:
        parts += [pack_bits(group[:, i], ring.moduli[i].bit_length()) for i in range(group.shape[1])]
    return b"".join(parts)


def decode_keys(parameters: Expanded, ring: Ring, body: bytes) -> KeyHalves:
    """Return the halves of a client's keys.

    Raises
    ------
    ProtocolError
        If the length is another, a padding bit is set or a residue is not below its modulus.
    """
    p = parameters
    _check_length("keys", body, p.key_bytes)
    position, groups = SEED_BYTES, []
    for rows, limbs in p.key_groups:
        group = np.empty((rows, limbs, p.degree), dtype=np.uint64)
        for limb, modulus in enumerate(ring.moduli[:limbs]):
            length = packed_bytes(rows * p.degree, modulus.bit_length())
            residues = _unpack("keys", body[position : position + length], rows * p.degree, modulus.bit_length())
            if int(residues.max(initial=0)) >= modulus:
                raise ProtocolError(f"keys hold a residue that is not below its modulus {modulus}")
            group[:, limb] = residues.reshape(rows, p.degree)
            position += length
        groups.append(group)
    return KeyHalves(body[:SEED_BYTES], tuple(groups))


def encode_query(parts: Sequence[QueryPart], query: Query) -> bytes:
    """Return the body of a query."""
    values = (pack_integers(each, part.bits) for each, part in zip(query.values, parts, strict=True))
    return query.counter.to_bytes(COUNTER_BYTES, "little") + b"".join(values)


def decode_query(parts: Sequence[QueryPart], body: bytes) -> Query:
    """Return the content of a query.

    Raises
    ------
    ProtocolError
        If the length is another or a padding bit is set; every other content is valid.
    """
    _check_length("query", body, COUNTER_BYTES + sum(part.size_bytes for part in parts))
    position, values = COUNTER_BYTES, []
    for part in parts:
        end = position + part.size_bytes
        try:
            values.append(unpack_integers(body[position:end], part.coefficients, part.bits))
        except ValueError as error:
            raise ProtocolError(f"query: {error}") from None
        position = end
    return Query(int.from_bytes(body[:COUNTER_BYTES], "little"), tuple(values))


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


def _unpack(what: str, data: bytes, count: int, bits: int) -> NDArray[np.uint64]:
    try:
        return unpack_bits(data, count, bits)
    except ValueError as error:
        raise ProtocolError(f"{what}: {error}") from None


def _check_length(what: str, body: bytes, length: int) -> None:
    if len(body) != length:
        raise ProtocolError(f"{what} of {len(body)} bytes; these parameters make it {length}")
