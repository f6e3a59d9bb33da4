"""The bytes of a query: counter, then round(2^k N b / Q) at the used coefficients, selectors first, each kind's own k.

Keys and answer are those of :mod:`protocol.expanded.messages`. The keys' groups are automorphism keys by level, the key
from s^2 and, if answers are flooded, the public key's b; then, with a ring switch, its key modulo the first limb.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.expanded.folded.parameters import FoldedParameters
from costmodel.expanded.parameters import COUNTER_BYTES
from protocol.expanded.messages import check_length, query_integers
from protocol.residue.bits import pack_integers


class Query(NamedTuple):
    """A query's counter, and its N*b in units of Q/2^bits."""

    counter: int
    selectors: list[int]
    folds: list[int]


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
    check_length("query", body, p.query_bytes)
    split = COUNTER_BYTES + -(-p.selectors * p.selector_bits // 8)
    return Query(
        int.from_bytes(body[:COUNTER_BYTES], "little"),
        query_integers(body[COUNTER_BYTES:split], p.selectors, p.selector_bits),
        query_integers(body[split:], p.fold_coefficients, p.fold_bits),
    )
