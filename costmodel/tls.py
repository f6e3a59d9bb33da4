"""Bytes that TLS 1.3 adds to a connection.

References
----------
.. [1] RFC 8446, The Transport Layer Security (TLS) Protocol Version 1.3, sections 4 and 5.2.
"""

from __future__ import annotations

RECORD_BYTES = 16384
"""Most plaintext of a record."""
RECORD_OVERHEAD_BYTES = 22
"""Of a record: header 5, type of its content 1, tag 16 (AES-GCM and ChaCha20-Poly1305 alike)."""
HANDSHAKE_BYTES = 700
"""Of a handshake by X25519 with a 256-bit ECDSA key, both directions, without certificates; measured with OpenSSL 3."""
CLIENT_SIGNATURE_BYTES = 215
"""Of a client's proof that it has its certificate's key, and of the server's request for it; measured alike."""


def record_overhead_bytes(message_bytes: int) -> int:
    """Bytes that records add to a message that is written at once.

    Examples
    --------
    >>> record_overhead_bytes(0), record_overhead_bytes(16384), record_overhead_bytes(16385)
    (0, 22, 44)
    """
    return -(-message_bytes // RECORD_BYTES) * RECORD_OVERHEAD_BYTES


def handshake_bytes(server_chain_bytes: int, client_chain_bytes: int = 0) -> int:
    """Bytes of a handshake, by the certificates that either side sends (DER); none of the client's if it sends none.

    Examples
    --------
    >>> handshake_bytes(400), handshake_bytes(400, 350)
    (1100, 1665)
    """
    client = client_chain_bytes + CLIENT_SIGNATURE_BYTES if client_chain_bytes else 0
    return HANDSHAKE_BYTES + server_chain_bytes + client
