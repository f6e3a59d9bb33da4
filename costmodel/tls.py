"""Bytes that TLS 1.3 adds to a connection.

References
----------
.. [1] RFC 8446, The Transport Layer Security (TLS) Protocol Version 1.3, sections 4 and 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from costmodel.ledger import frame

if TYPE_CHECKING:
    import pandas as pd

RECORDS = "TLS records"
"""Item of a ledger: bytes of the records around the frames of a party in a phase of a lookup."""
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


def record_entries(ledger: pd.DataFrame) -> pd.DataFrame:
    """Entries that TLS adds to a ledger: one a party, phase and lookup, for the records around its frames.

    Frames of an item are equally long, so that an item of k frames and S bytes has k ceil(S/(16384 k)) records.

    Parameters
    ----------
    ledger
        Without TLS.

    Returns
    -------
    DataFrame
        Columns of a ledger; ``count`` and ``messages`` are the frames, ``bytes`` those of the records alone.

    Examples
    --------
    >>> from costmodel.estimate import estimate
    >>> from costmodel.parameters import Table
    >>> from costmodel.systems import executed
    >>> added = record_entries(estimate(executed("fastquery", Table(300, 24))).ledger)
    >>> added[["phase", "party", "messages", "bytes"]].values.tolist()[0]
    ['setup', 'client', 2, 880]
    """
    sent = ledger[(ledger["kind"] == "transfer") & (ledger["messages"] > 0)]
    added: dict[tuple[int, str, str], list[int]] = {}
    for row in sent.to_dict("records"):
        frames, size = int(row["messages"]), int(row["bytes"])
        total = added.setdefault((row["lookup"], row["phase"], row["party"]), [0, 0])
        total[0] += frames
        total[1] += frames * record_overhead_bytes(size // frames)
    return frame(
        {
            "kind": "transfer", "lookup": lookup, "phase": phase, "party": party, "item": RECORDS,
            "count": frames, "unit": "messages", "messages": frames, "bytes": size,
            "formula": "22*records", "source": "RFC 8446, section 5.2",
        }
        for (lookup, phase, party), (frames, size) in added.items()
    )  # fmt: skip
