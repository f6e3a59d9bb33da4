"""Two parties in two threads, and channels that tamper."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.alignment import AlignmentClient, AlignmentServer, Exchange, Fields, local_pair

SESSION = b"one test's session"
Words = NDArray[np.uint64]
Edit = Callable[[str, bytes], bytes]


class TamperedExchange:
    """Passes everything on to `inner`, but what is sent goes through `edit` first."""

    def __init__(self, inner: Exchange, edit: Edit) -> None:
        self._inner = inner
        self._edit = edit

    def send(self, kind: str, payload: bytes) -> None:
        self._inner.send(kind, self._edit(kind, payload))

    def receive(self, kind: str, length: int) -> bytes:
        return self._inner.receive(kind, length)


class ScriptedExchange:
    """A peer that says what the script says, whatever it is sent."""

    def __init__(self, *replies: bytes) -> None:
        self._replies = list(replies)
        self.sent: list[tuple[str, bytes]] = []

    def send(self, kind: str, payload: bytes) -> None:
        self.sent.append((kind, payload))

    def receive(self, kind: str, length: int) -> bytes:
        return self._replies.pop(0)


class Session:
    """A server and a client after setup over a local channel."""

    def __init__(
        self,
        fields: Fields,
        target_bits: int,
        block_bits: int,
        edit_server: Edit = lambda kind, payload: payload,
        edit_client: Edit = lambda kind, payload: payload,
    ) -> None:
        self.fields, self.target_bits = fields, target_bits
        self.client_end, self.server_end = local_pair(timeout_s=60)
        self.client = AlignmentClient(
            TamperedExchange(self.client_end, edit_client), fields, target_bits, block_bits, SESSION
        )
        self.server = AlignmentServer(
            TamperedExchange(self.server_end, edit_server), fields, target_bits, block_bits, SESSION
        )
        in_two_threads(self.server.setup, self.client.setup)

    def shares(self, client: Words, server: Words) -> tuple[Words, Words]:
        """(client's, server's) shares of the channels."""
        ours, theirs = in_two_threads(lambda: self.server.align(server), lambda: self.client.align(client))
        return theirs, ours

    def opened(self, client: Words, server: Words) -> Words:
        one, other = self.shares(client, server)
        return (one + other) & np.uint64(2**self.target_bits - 1)


def in_two_threads(server: Callable[[], Any], client: Callable[[], Any]) -> tuple[Any, Any]:
    with ThreadPoolExecutor(2) as pool:
        jobs = pool.submit(server), pool.submit(client)
        return jobs[0].result(), jobs[1].result()


def client_shares(fields: Fields, channels: Words, masks: Words) -> Words:
    """X - S mod t, in Python's integers."""
    t = fields.plaintext_modulus
    shares = []
    for row, mask in zip(channels.tolist(), masks.tolist(), strict=True):
        value, weight = 0, 1
        for channel, modulus in zip(row, fields.moduli, strict=True):
            value += channel * weight
            weight *= modulus
        shares.append((value - mask) % t)
    return np.array(shares, np.uint64)


def random_case(fields: Fields, coefficients: int, rng: np.random.Generator) -> tuple[Words, Words, Words]:
    """(channels, client's shares, server's shares)."""
    columns = [rng.integers(0, modulus // 2, coefficients, np.uint64) for modulus in fields.moduli]
    channels = np.stack(columns, axis=1)
    masks = rng.integers(0, fields.plaintext_modulus, coefficients, np.uint64)
    return channels, client_shares(fields, channels, masks), masks


def exhaustive_case(fields: Fields) -> tuple[Words, Words, Words]:
    """Every value of every field with every mask: (channels, client's shares, server's shares)."""
    axes = [np.arange(modulus // 2, dtype=np.uint64) for modulus in fields.moduli]
    values = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    t = fields.plaintext_modulus
    channels = np.repeat(values, t, axis=0)
    masks = np.tile(np.arange(t, dtype=np.uint64), len(values))
    return channels, client_shares(fields, channels, masks), masks


class Toolbox:
    """What the test modules use; a fixture, because test modules are not importable from each other."""

    Session = Session
    ScriptedExchange = ScriptedExchange
    session = SESSION
    in_two_threads = staticmethod(in_two_threads)
    client_shares = staticmethod(client_shares)
    random_case = staticmethod(random_case)
    exhaustive_case = staticmethod(exhaustive_case)


@pytest.fixture(scope="session")
def parties() -> type[Toolbox]:
    """The classes and functions above."""
    return Toolbox
