"""What the alignment sends, from public parameters alone, to the byte."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.parameters import MOST_BLOCK_BITS
from protocol.alignment.base_ot import BASE_OTS, POINT_BYTES, RECEIVER_POINTS, SENDER_POINT
from protocol.alignment.bits import column_bytes, pack_words, packed_bytes, unpack_words
from protocol.alignment.extension import EXTENSION
from protocol.alignment.fields import Fields
from protocol.alignment.softspoken import LEVEL_SUMS, block_widths, level_sum_bytes

CORRECTIONS = "carry_corrections"


class Message(NamedTuple):
    """One message: the phase, who sends it, what it is, and its bytes without any frame."""

    phase: str
    sender: str
    item: str
    bytes: int


def validate_block_bits(block_bits: int) -> None:
    """Raise ValueError unless 1 (IKNP) <= block_bits <= 8 (SoftSpokenOT with 2^8 leaves a tree)."""
    if not 1 <= block_bits <= MOST_BLOCK_BITS:
        raise ValueError(f"block_bits is {block_bits}, must be 1 (IKNP) to {MOST_BLOCK_BITS} (SoftSpokenOT)")


def transfers(coefficients: int, fields: Fields, target_bits: int) -> int:
    """Correlated oblivious transfers: one a field, but none for a last carry that is needed to no bit."""
    return coefficients * sum(bits > 0 for bits in fields.carry_bits(target_bits))


def extension_bytes(coefficients: int, fields: Fields, target_bits: int, block_bits: int) -> int:
    """Bytes of the server's message: ceil(128/k) columns of one bit a transfer, each of whole bytes."""
    validate_block_bits(block_bits)
    return len(block_widths(block_bits)) * column_bytes(transfers(coefficients, fields, target_bits))


def _correction_parts(coefficients: int, fields: Fields, target_bits: int) -> tuple[tuple[int, int], ...]:
    """(words, bits of each) of the two parts of the client's message: the lower fields', the last's."""
    return (coefficients * (len(fields.moduli) - 1), target_bits), (
        coefficients,
        fields.carry_bits(target_bits)[-1],
    )


def correction_bytes(coefficients: int, fields: Fields, target_bits: int) -> int:
    """Bytes of the client's message: two parts of whole bytes."""
    return sum(packed_bytes(count, bits) for count, bits in _correction_parts(coefficients, fields, target_bits))


def pack_corrections(corrections: NDArray[np.uint64], coefficients: int, fields: Fields, target_bits: int) -> bytes:
    """The client's message from the words d of all transfers, field by field."""
    (count, bits), (_, last_bits) = _correction_parts(coefficients, fields, target_bits)
    return pack_words(corrections[:count], bits) + pack_words(corrections[count:], last_bits)


def unpack_corrections(payload: bytes, coefficients: int, fields: Fields, target_bits: int) -> NDArray[np.uint64]:
    """Undo `pack_corrections`.

    Raises
    ------
    ValueError
        If the message has another length or a padding bit that is not zero.
    """
    (count, bits), (last_count, last_bits) = _correction_parts(coefficients, fields, target_bits)
    middle = packed_bytes(count, bits)
    lower = unpack_words(CORRECTIONS, payload[:middle], count, bits)
    last = unpack_words(CORRECTIONS, payload[middle:], last_count, last_bits)
    return np.concatenate([lower, last])[: transfers(coefficients, fields, target_bits)]


def setup_messages(block_bits: int) -> list[Message]:
    """The messages of `setup`, in order; once for any number of alignments.

    Raises
    ------
    ValueError
        If `block_bits` is not 1 to 8.
    """
    validate_block_bits(block_bits)
    messages = [
        Message("setup", "server", SENDER_POINT, POINT_BYTES),
        Message("setup", "client", RECEIVER_POINTS, BASE_OTS * POINT_BYTES),
    ]
    if block_bits > 1:
        messages.append(Message("setup", "server", LEVEL_SUMS, level_sum_bytes(block_bits)))
    return messages


def message_lengths(
    coefficients: int, fields: Fields, target_bits: int, block_bits: int, prepare_phase: str = "online"
) -> list[Message]:
    """Every message of one session with one alignment, in order.

    With k = `block_bits`, n = coefficients * f transfers for f fields, L = `target_bits`, 2^v the largest
    power of two that divides the last modulus:

        setup     32 (server) + 4096 (client) + 32 * (128 - ceil(128/k)) (server)
        prepare   ceil(128/k) * ceil(n/8)                                                        (server)
        finish    ceil(coefficients*(f-1)*L / 8) + ceil(coefficients*(L-v) / 8)                  (client)

    (n = coefficients * (f-1) if v >= L.)

    Parameters
    ----------
    coefficients : int
        Shares that go in, of all tokens.
    fields : Fields
        Fields of every coefficient.
    target_bits : int
        L, 1 to 64.
    block_bits : int
        1 for IKNP, 2 to 8 for SoftSpokenOT.
    prepare_phase : str
        The phase in which `prepare` runs: the server's message depends on nothing but its own mask.

    Returns
    -------
    list of Message
        (phase, sender, item, bytes); bytes are those of the payload.

    Raises
    ------
    ValueError
        If `target_bits` or `block_bits` is out of range.
    """
    extension_length = extension_bytes(coefficients, fields, target_bits, block_bits)
    corrections_length = correction_bytes(coefficients, fields, target_bits)
    return [
        *setup_messages(block_bits),
        Message(prepare_phase, "server", EXTENSION, extension_length),
        Message("online", "client", CORRECTIONS, corrections_length),
    ]
