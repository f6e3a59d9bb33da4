"""The server's public parameters as they travel: a padded block of JSON, then 12 bytes a channel.

The length depends on the number of channels alone, so that both parties and the cost model know it beforehand.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from costmodel.parameters import Configuration
from costmodel.wire import CHANNEL_METADATA_BYTES, METADATA_BYTES
from protocol.errors import ProtocolError
from quantize.public import PublicTable


def parameters_bytes(channels: int) -> int:
    """Length of the message for a table of so many channels."""
    return METADATA_BYTES + CHANNEL_METADATA_BYTES * channels


def encode_parameters(configuration: Configuration, public: PublicTable) -> bytes:
    """Configuration and quantisation of the served table.

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
    block = json.dumps({"configuration": asdict(configuration), "public": table}, separators=(",", ":")).encode()
    if len(block) > METADATA_BYTES:
        raise ValueError(f"public parameters take {len(block)} bytes; at most {METADATA_BYTES} are allowed")
    order = np.asarray(public.order, dtype="<u4")
    scales = np.asarray(public.scales, dtype="<f8")
    return block.ljust(METADATA_BYTES) + order.tobytes() + scales.tobytes()


def decode_parameters(message: bytes, channels: int) -> tuple[Configuration, PublicTable]:
    """Read the server's parameters, checking everything in them.

    Raises
    ------
    ProtocolError
        If they are malformed, out of bounds, or contradict each other.
    """
    try:
        block = json.loads(message[:METADATA_BYTES])
        configuration = Configuration.from_dict(block["configuration"])
        order = np.frombuffer(message, dtype="<u4", count=channels, offset=METADATA_BYTES)
        scales = np.frombuffer(message, dtype="<f8", count=channels, offset=METADATA_BYTES + order.nbytes)
        table = {**block["public"], "order": order.tolist(), "scales": scales.tolist()}
        public = PublicTable.from_json(json.dumps(table))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"server's parameters are malformed: {error}") from None
    stated = configuration.table
    shape = (stated.rows, stated.channels, configuration.packing.field_moduli)
    if shape != (public.rows, public.channels, public.field_moduli):
        raise ProtocolError("server's parameters contradict each other: configuration and table differ in shape")
    return configuration, public
