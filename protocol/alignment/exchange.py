"""The channel that the alignment's two parties talk over, and one that stays within a process."""

from __future__ import annotations

import queue
from typing import Protocol


class Exchange(Protocol):
    """One end of an ordered, reliable, two-way channel of whole messages."""

    def send(self, kind: str, payload: bytes) -> None:
        """Send one message; must not block until the peer has read it."""

    def receive(self, kind: str, length: int) -> bytes:
        """Return the next message, which must be of this kind and of exactly `length` bytes."""


def receive_exactly(exchange: Exchange, kind: str, length: int) -> bytes:
    """Receive one message and check its length, whatever the channel has checked.

    Raises
    ------
    ValueError
        If the message does not have `length` bytes.
    """
    payload = exchange.receive(kind, length)
    if len(payload) != length:
        raise ValueError(f"{kind}: {len(payload)} bytes received, must be {length}")
    return payload


class LocalExchange:
    """One end of a channel between two threads of this process; see `local_pair`.

    Attributes
    ----------
    sent : list of (kind, bytes)
        Every message sent from this end, in order.
    """

    def __init__(
        self,
        outgoing: queue.Queue[tuple[str, bytes]],
        incoming: queue.Queue[tuple[str, bytes]],
        timeout_s: float,
    ) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._timeout_s = timeout_s
        self.sent: list[tuple[str, int]] = []

    def send(self, kind: str, payload: bytes) -> None:
        """Put one message into the channel and take note of it."""
        self.sent.append((kind, len(payload)))
        self._outgoing.put((kind, payload))

    def receive(self, kind: str, length: int) -> bytes:
        """Return the next message.

        Raises
        ------
        ValueError
            If the message is of another kind.
        TimeoutError
            If none comes.
        """
        try:
            received_kind, payload = self._incoming.get(timeout=self._timeout_s)
        except queue.Empty:
            raise TimeoutError(f"{kind}: nothing received within {self._timeout_s} s") from None
        if received_kind != kind:
            raise ValueError(f"message of kind {received_kind!r} received, must be {kind!r}")
        return payload


def local_pair(timeout_s: float = 60.0) -> tuple[LocalExchange, LocalExchange]:
    """Two ends of one channel within this process, for tests and benchmarks."""
    one: queue.Queue[tuple[str, bytes]] = queue.Queue()
    other: queue.Queue[tuple[str, bytes]] = queue.Queue()
    return LocalExchange(one, other, timeout_s), LocalExchange(other, one, timeout_s)
