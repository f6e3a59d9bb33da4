"""The bytes of keys, query and answer: exact bits, nothing that a seed gives, one encoding for every content.

keys    seed, then of every group of rows, limb by limb, the residues of all, in evaluation form; then coefficients of
        the rows of the ring switch
query   counter, then round(2^k N b / Q) at the used coefficients, every part with its own k
answer  round(R a / q') of every coefficient of the answers' a, two at a time; then the low bits of b at the row's
        coefficients
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.expanded.parameters import COUNTER_BYTES, Expanded
from costmodel.wire import SEED_BYTES
from protocol.errors import ProtocolError
from protocol.expanded.layout import QueryPart
from protocol.residue.bits import pack_bits, pack_integers, packed_bytes, unpack_bits, unpack_integers
from protocol.residue.low_bits import pack_a, unpack_a
from protocol.residue.ring import Ring


class KeyHalves(NamedTuple):
    """What a client sends of its keys.

    Attributes
    ----------
    seed : of all a, of keys and of queries
    groups : b of the rows, (rows, limbs, N) each, as the parameters' ``key_groups`` has them
    ring_switch : b of the rows of the ring switch, (rows, secrets, N')
    """

    seed: bytes
    groups: tuple[NDArray[np.uint64], ...]
    ring_switch: NDArray[np.uint64]


class Query(NamedTuple):
    """A query's counter, and its N*b in units of Q/2^bits, part by part."""

    counter: int
    values: tuple[list[int], ...]


class Answer(NamedTuple):
    """An answer's rounded a, (answers, N'), and the low bits of the used coefficients of its b, (rows, n')."""

    a: NDArray[np.uint64]
    low: NDArray[np.uint64]


def encode_keys(parameters: Expanded, ring: Ring, keys: KeyHalves) -> bytes:
    """Return the body of the keys' message."""
    parts = [keys.seed]
    for group in keys.groups:
        parts += [pack_bits(group[:, i], ring.moduli[i].bit_length()) for i in range(group.shape[1])]
    return b"".join([*parts, pack_bits(keys.ring_switch, parameters.answer_modulus_bits)])


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
    shape = (p.ring_switch_rows, p.answer_outputs, p.answer_degree)
    switch = _unpack("keys", body[position:], math.prod(shape), p.answer_modulus_bits).reshape(shape)
    return KeyHalves(body[:SEED_BYTES], tuple(groups), switch)


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
    halves = (pack_a(a, parameters.answer_half_bits) for a in answer.a)
    return b"".join([*halves, pack_bits(answer.low, parameters.answer_low_bits)])


def decode_answer(parameters: Expanded, body: bytes) -> Answer:
    """Return the content of an answer.

    Raises
    ------
    ProtocolError
        If the length is another, a padding bit is set or a pair of coefficients of a is none of two.
    """
    p = parameters
    _check_length("answer", body, p.answer_bytes)
    each, halves = p.shared_answer.a_bytes, []
    for k in range(p.answers):
        try:
            halves.append(unpack_a(body[k * each : (k + 1) * each], p.answer_degree, p.answer_half_bits))
        except ValueError as error:
            raise ProtocolError(f"answer: {error}") from None
    low = _unpack("answer", body[p.answers * each :], p.answer_tokens * p.row_coefficients, p.answer_low_bits)
    return Answer(np.stack(halves), low.reshape(p.answer_tokens, p.row_coefficients))


def _unpack(what: str, data: bytes, count: int, bits: int) -> NDArray[np.uint64]:
    try:
        return unpack_bits(data, count, bits)
    except ValueError as error:
        raise ProtocolError(f"{what}: {error}") from None


def _check_length(what: str, body: bytes, length: int) -> None:
    if len(body) != length:
        raise ProtocolError(f"{what} of {len(body)} bytes; these parameters make it {length}")
