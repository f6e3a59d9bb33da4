"""Frames: length-prefixed, bounded, versioned, sequenced and checked.

Header, little endian: magic ``FQ``, version, kind, sequence number (32 bits), body length (32 bits) and CRC-32 of
the header before it and the body. The checksum finds damage, not malice: both parties are assumed to follow the
protocol, and a frame's content is validated by whoever reads it.
"""

from __future__ import annotations

import enum
import struct
import zlib

from protocol.errors import ProtocolError

MAGIC = b"FQ"
VERSION = 3
HEADER = struct.Struct("<2sBBIII")
_UNCHECKED = struct.Struct("<2sBBII")
MAX_BODY_BYTES = 1 << 28
MAX_ERROR_BYTES = 512


class Kind(enum.IntEnum):
    """What a frame carries; the name, in lower case with spaces, is the ledger's item."""

    HELLO = 1
    PARAMETERS = 2
    KEYS = 3
    ANNOUNCEMENT = 4
    FIRST_HALVES = 5
    QUERY = 6
    ANSWER = 7
    BASE_OT_POINT = 8
    BASE_OT_CHOICES = 9
    SEED_TREE_SUMS = 10
    OT_EXTENSION = 11
    CARRY_CORRECTIONS = 12
    READY = 13
    LOOKUP = 14
    PREPARATION = 15
    END = 16
    REPORT = 32
    SHARES = 33
    ERROR = 255

    @property
    def item(self) -> str:
        """The ledger's name of it."""
        return self.name.lower().replace("_", " ")


def encode_frame(kind: Kind, sequence: int, body: bytes | memoryview) -> bytes:
    """Header and body of a frame in one buffer, so that one write sends both."""
    unchecked = _UNCHECKED.pack(MAGIC, VERSION, kind, sequence, len(body))
    checksum = zlib.crc32(body, zlib.crc32(unchecked))
    return HEADER.pack(MAGIC, VERSION, kind, sequence, len(body), checksum) + bytes(body)


def decode_header(header: bytes) -> tuple[Kind, int, int, int]:
    """Kind, sequence number, body length and checksum of a header.

    Raises
    ------
    ProtocolError
        If magic, version, kind or length are not of this protocol.
    """
    magic, version, kind, sequence, length, checksum = HEADER.unpack(header)
    if magic != MAGIC:
        raise ProtocolError("frame does not start with the magic bytes of this protocol")
    if version != VERSION:
        raise ProtocolError(f"frame has protocol version {version}; this program speaks version {VERSION}")
    try:
        known = Kind(kind)
    except ValueError:
        raise ProtocolError(f"frame has unknown kind {kind}") from None
    if length > MAX_BODY_BYTES:
        raise ProtocolError(f"frame announces {length} bytes; at most {MAX_BODY_BYTES} are accepted")
    return known, sequence, length, checksum


def check_body(header: bytes, body: bytes | bytearray, checksum: int) -> None:
    """Hold a body to its header's checksum.

    Raises
    ------
    ProtocolError
        If it does not match.
    """
    if zlib.crc32(body, zlib.crc32(header[: _UNCHECKED.size])) != checksum:
        raise ProtocolError("frame is damaged: its checksum does not match")
