"""The bytes of keys and query: exact bits, nothing that a seed gives, one encoding for every content.

keys    seed, then of every limb of Q the residues of all rows: automorphism keys by level, the key from s^2; then of
        every limb of the table those of the packing keys and, if answers are flooded, of the public key's b; then, with
        a ring switch, its key's rows modulo the first limb. Evaluation form.
query   counter, then round(2^k N b / Q) at the used coefficients
answer  as that of the folded query
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.compressed_parameters import CompressedParameters
from costmodel.folded_parameters import COUNTER_BYTES
from costmodel.wire import SEED_BYTES
from protocol.errors import ProtocolError
from protocol.residue.bits import pack_bits, pack_integers, packed_bytes, unpack_bits, unpack_integers
from protocol.residue.ring import Ring


class KeyHalves(NamedTuple):
    """What a client sends of its keys.

    Attributes
    ----------
    seed : of all a, of keys and of queries
    rows : b of the rows modulo Q, (rows, limbs, N)
    public : b of packing keys and public key, (rows, table limbs, N)
    ring_switch : b of the ring switch's rows, (digits, 1, N)
    """

    seed: bytes
    rows: NDArray[np.uint64]
    public: NDArray[np.uint64]
    ring_switch: NDArray[np.uint64]


class Query(NamedTuple):
    """A query's counter, and its N*b in units of Q/2^bits."""

    counter: int
    values: list[int]


def encode_keys(ring: Ring, keys: KeyHalves) -> bytes:
    """Return the body of the keys' message."""
    parts = [keys.seed]
    for residues in keys[1:]:
        for limb in range(residues.shape[1]):
            parts.append(pack_bits(residues[:, limb], ring.moduli[limb].bit_length()))
    return b"".join(parts)


def decode_keys(parameters: CompressedParameters, ring: Ring, body: bytes) -> KeyHalves:
    """Return the halves of a client's keys.

    Raises
    ------
    ProtocolError
        If the length is another, a padding bit is set or a residue is not below its modulus.
    """
    p = parameters
    _check_length("keys", body, p.key_bytes)
    position, groups = SEED_BYTES, []
    for rows, limbs in ((p.key_rows, p.limbs), (p.public_rows, p.table_limbs), (p.ring_switch.digits, 1)):
        group = np.empty((rows, limbs, p.degree), dtype=np.uint64)
        for limb, modulus in enumerate(ring.moduli[:limbs]):
            length = packed_bytes(rows * p.degree, modulus.bit_length())
            try:
                residues = unpack_bits(body[position : position + length], rows * p.degree, modulus.bit_length())
            except ValueError as error:
                raise ProtocolError(f"keys: {error}") from None
            if int(residues.max(initial=0)) >= modulus:
                raise ProtocolError(f"keys hold a residue that is not below its modulus {modulus}")
            group[:, limb] = residues.reshape(rows, p.degree)
            position += length
        groups.append(group)
    return KeyHalves(body[:SEED_BYTES], *groups)


def encode_query(parameters: CompressedParameters, query: Query) -> bytes:
    """Return the body of a query."""
    return query.counter.to_bytes(COUNTER_BYTES, "little") + pack_integers(query.values, parameters.sent_bits)


def decode_query(parameters: CompressedParameters, body: bytes) -> Query:
    """Return the content of a query.

    Raises
    ------
    ProtocolError
        If the length is another or a padding bit is set; every other content is valid.
    """
    p = parameters
    _check_length("query", body, p.query_bytes)
    try:
        values = unpack_integers(body[COUNTER_BYTES:], p.query_coefficients, p.sent_bits)
    except ValueError as error:
        raise ProtocolError(f"query: {error}") from None
    return Query(int.from_bytes(body[:COUNTER_BYTES], "little"), values)


def _check_length(what: str, body: bytes, length: int) -> None:
    if len(body) != length:
        raise ProtocolError(f"{what} of {len(body)} bytes; these parameters make it {length}")
