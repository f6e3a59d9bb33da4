"""Sizes of this project's own messages; the protocol lays them out by the same numbers."""

from __future__ import annotations

FRAME_HEADER_BYTES = 16
"""Magic 2, version 1, kind 1, sequence number 4, body length 4, checksum 4."""

HELLO_BYTES = 84
"""Identifier of the session 12, most tokens of a lookup 4, commitment to the next secret of resumption 32, the secret
that a client resumes by 32, its next lookup 4."""

REQUEST_BYTES = 8
"""A lookup, or a preparation of one: its number 4, its tokens 4."""

METADATA_BYTES = 2048
"""The server's parameters: space-padded JSON, and 16 bytes of a nonce."""

CHANNEL_METADATA_BYTES = 12
"""Of each channel: its place in the packed order (4) and its scale (8)."""

SEED_BYTES = 32
"""A seed from which uniform polynomials are expanded."""
