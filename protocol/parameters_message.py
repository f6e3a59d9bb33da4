"""The server's public parameters as they travel: a padded block of JSON, a nonce, then 12 bytes a channel.

The length depends on the number of channels alone, so that the cost model knows it beforehand; a client that does not
know the table reads the number off the length.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from costmodel.parameters import Configuration
from costmodel.wire import CHANNEL_METADATA_BYTES, METADATA_BYTES
from protocol.errors import ProtocolError
from quantize.public import PublicTable
from quantize.tables import MAX_CHANNELS

NONCE_BYTES = 16
"""Of a server, fresh in every session; zero in what is the same for all of them."""
JSON_BYTES = METADATA_BYTES - NONCE_BYTES
SMALLEST_LOG2 = -1024.0
"""Stands for no distance at all."""
PARAMETERS_LENGTHS = range(
    METADATA_BYTES + CHANNEL_METADATA_BYTES,
    METADATA_BYTES + CHANNEL_METADATA_BYTES * MAX_CHANNELS + 1,
    CHANNEL_METADATA_BYTES,
)
"""Lengths of the message, by the table's channels."""


class StatedBudget(NamedTuple):
    """What a server says of its table's budget: log2 of the distance that may be told, and of what was."""

    log2_most: float
    log2_spent: float


def encode_parameters(configuration: Configuration, public: PublicTable, budget: StatedBudget | None = None) -> bytes:
    """Configuration and quantisation of the served table, and its budget of distance where there is one.

    Raises
    ------
    ValueError
        If rows were merged (the map from tokens to rows has no place in the message), or the scalars do not fit.
    """
    if public.row_of_token is not None:
        raise ValueError("table has merged rows; the protocol serves tables with one row a token")
    table: dict[str, Any] = json.loads(public.to_json())
    for array in ("order", "scales"):
        del table[array]
    content: dict[str, Any] = {"configuration": asdict(configuration), "public": table}
    if budget is not None:
        # Coarse, and from one row on: the number of rows of others is none of a client's business.
        spent = max(budget.log2_spent, SMALLEST_LOG2)
        content["budget"] = [round(budget.log2_most, 1), round(spent, 1)]
    block = json.dumps(content, separators=(",", ":")).encode()
    if len(block) > JSON_BYTES:
        raise ValueError(f"public parameters take {len(block)} bytes; at most {JSON_BYTES} are allowed")
    order = np.asarray(public.order, dtype="<u4")
    scales = np.asarray(public.scales, dtype="<f8")
    return block.ljust(JSON_BYTES) + bytes(NONCE_BYTES) + order.tobytes() + scales.tobytes()


def with_nonce(message: bytes) -> bytes:
    """The parameters of one session: no client that repeats another's messages is told the same.

    Examples
    --------
    >>> message = bytes(METADATA_BYTES + CHANNEL_METADATA_BYTES)
    >>> len(with_nonce(message)) == len(message), with_nonce(message) == with_nonce(message)
    (True, False)
    """
    return message[:JSON_BYTES] + secrets.token_bytes(NONCE_BYTES) + message[METADATA_BYTES:]


def decode_budget(message: bytes) -> StatedBudget | None:
    """What the server says of its table's budget of distance, if anything.

    Raises
    ------
    ProtocolError
        If it is malformed.
    """
    try:
        stated = json.loads(message[:JSON_BYTES]).get("budget")
        if stated is None:
            return None
        most, spent = (float(value) for value in stated)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ProtocolError("server's budget is malformed") from None
    if not (SMALLEST_LOG2 <= most <= 0 and SMALLEST_LOG2 <= spent <= 0):
        raise ProtocolError("server's budget is malformed")
    return StatedBudget(most, spent)


def decode_parameters(message: bytes) -> tuple[Configuration, PublicTable]:
    """Read the server's parameters, checking everything in them.

    Raises
    ------
    ProtocolError
        If they are malformed, out of bounds, or contradict each other.
    """
    channels = PARAMETERS_LENGTHS.index(len(message)) + 1
    try:
        block = json.loads(message[:JSON_BYTES])
        order = np.frombuffer(message, dtype="<u4", count=channels, offset=METADATA_BYTES)
        scales = np.frombuffer(message, dtype="<f8", count=channels, offset=METADATA_BYTES + order.nbytes)
        table = {**block["public"], "order": order.tolist(), "scales": scales.tolist()}
        public = PublicTable.from_json(json.dumps(table))
        # Before anything is computed from them: as powers of two, widths of any size take memory of any size.
        if tuple(block["configuration"]["packing"]["widths"]) != public.widths:
            raise ProtocolError("server's parameters contradict each other: configuration and table differ in widths")
        configuration = Configuration.from_dict(block["configuration"])
        stated = configuration.table
        shape = (stated.rows, stated.channels, configuration.packing.field_moduli)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"server's parameters are malformed: {error}") from None
    if shape != (public.rows, public.channels, public.field_moduli):
        raise ProtocolError("server's parameters contradict each other: configuration and table differ in shape")
    return configuration, public
