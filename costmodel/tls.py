"""Bytes and seconds that TLS 1.3 adds to a connection.

Its seconds lie in both parties' overheads, since records are protected and opened where messages are sent and received.
They are words of messages that take as long, so that they follow the machine.

References
----------
.. [1] RFC 8446, The Transport Layer Security (TLS) Protocol Version 1.3, sections 4 and 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from costmodel.ledger import OVERHEAD, Number, frame
from costmodel.machine import UnitCost

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
PROTECTED_WORDS = 0.7
"""For each word that moves: 1.1 ns a byte, AES-GCM and the copies around it, where a word of a message took 12.5 ns."""
PROTECTED_FRAME_WORDS = 3200
"""40 us for each frame that moves: calls, and a record that is not full."""
HANDSHAKE_WORDS = 150_000
"""1.17 ms of the client and 0.70 ms of the server, one after the other."""


def protected_words(moved_bytes: Number, frames: Number) -> Number:
    """Words of messages that take a party as long as TLS does for what is sent and received.

    The constants are of sessions in the clear and over TLS by turns: of 8 kB to 1.6 MB, in 3 to 15 frames.

    Parameters
    ----------
    moved_bytes, frames : array_like
        Bytes of all frames, without the records around them, and their number.

    Examples
    --------
    >>> protected_words(80_000, 2)
    13400.0
    """
    return PROTECTED_WORDS * moved_bytes / 8 + PROTECTED_FRAME_WORDS * frames


def handshake_s(overhead: UnitCost) -> float:
    """Seconds that both parties compute for a handshake, by the unit cost of an engine's overhead."""
    return overhead.element_s * HANDSHAKE_WORDS


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


def over_tls(ledger: pd.DataFrame, overhead: UnitCost) -> pd.DataFrame:
    """A ledger as it is over TLS: with its records, and with their seconds in each party's overhead.

    Parameters
    ----------
    ledger
        Without TLS.
    overhead
        Unit cost of the overhead of the ledger's engine.

    Examples
    --------
    >>> from costmodel.estimate import estimate
    >>> from costmodel.ledger import totals
    >>> from costmodel.parameters import Table
    >>> from costmodel.systems import executed
    >>> clear = estimate(executed("fastquery", Table(300, 24))).ledger
    >>> secured = over_tls(clear, UnitCost(call_s=0.0, element_s=1e-8))
    >>> added_s = totals(secured)["client_s"] - totals(clear)["client_s"]
    >>> moved = clear[clear["phase"] == "online"]
    >>> bool(abs(added_s - 1e-8 * protected_words(moved["bytes"].sum(), moved["messages"].sum())) < 1e-12)
    True
    """
    # Loaded here: totals and sweeps need no frame.
    import pandas as pd

    places = ["lookup", "phase"]
    moved = ledger[ledger["kind"] == "transfer"].groupby(places)[["bytes", "messages"]].sum()
    where = (ledger["kind"] == "work") & (ledger["item"] == OVERHEAD)
    there = moved.reindex(pd.MultiIndex.from_frame(ledger.loc[where, places]), fill_value=0.0)
    words = protected_words(there["bytes"].to_numpy(), there["messages"].to_numpy())
    secured = ledger.copy()
    secured.loc[where, "seconds"] += overhead.element_s * words
    return pd.concat([secured, record_entries(ledger)], ignore_index=True)
