"""A server and its clients in this process, with every frame between them watched and, if wanted, changed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from costmodel.parameters import Configuration, Packing, Ring, Table
from costmodel.systems import executed
from protocol.channel import Channel
from protocol.errors import ProtocolError
from protocol.frames import Kind
from protocol.lookup import ClientSession, LookupServer
from protocol.meter import Meter
from protocol.seeds import SeedRecord
from quantize.packing import unpack
from quantize.quantizers import Quantizer, quantize, quantize_table
from quantize.tables import open_table

pytest.importorskip("openfhe")

Edit = Callable[[Kind, bytes], bytes]
Frames = list[tuple[Kind, bytes]]


def own(rows: int, channels: int, tokens: int = 1, protocol: str = "fastquery", **options: Any) -> Configuration:
    return executed(protocol, Table(rows, channels, tokens), **options)


FLOODED = own(2100, 40)
PREPARED = own(2100, 40, prepared=True)
ALIGNED = own(300, 41, align_bits=37)
UNPACKED = own(700, 131, protocol="cheetah")
REFERENCE = Configuration("fastquery", Table(2100, 9), Ring(2048, (50,), 2**13), Packing((4, 3, 3)))


class WatchedChannel(Channel):
    """Keeps what it sends, which goes through ``edit`` first."""

    def __init__(self, connection: socket.socket, edit: Edit) -> None:
        super().__init__(connection, Meter("client"), timeout_s=60.0)
        self.frames: Frames = []
        self._edit = edit

    def send(self, kind: Kind, body: bytes | memoryview) -> None:
        edited = self._edit(kind, bytes(body))
        self.frames.append((kind, edited))
        super().send(kind, edited)


@dataclass
class Seen:
    """One session: both parties' frames, shares and the client, or what ended it."""

    up: Frames = field(default_factory=list)
    down: Frames = field(default_factory=list)
    client: Any = None
    server: Any = None
    session: Any = None
    errors: list[Exception] = field(default_factory=list)

    def bytes_up(self, *kinds: Kind) -> bytes:
        return b"".join(body for kind, body in self.up if not kinds or kind in kinds)


class Parties:
    """A server and, for every lookup, a client."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        rows, channels = configuration.table.rows, configuration.table.channels
        source, packing = open_table(f"{rows}x{channels}"), configuration.packing
        self.table = (
            quantize(source, Quantizer(packing.levels), "levels")
            if packing.levels
            else quantize_table(source, packing.widths)
        )
        self.server = LookupServer(configuration, self.table, Meter("server"), lambda *_: None, False)

    def look_up(
        self,
        tokens: list[int],
        up: Edit = lambda kind, body: body,
        down: Edit = lambda kind, body: body,
    ) -> Seen:
        here, there = socket.socketpair()
        seen, ours, theirs = Seen(), WatchedChannel(here, up), WatchedChannel(there, down)

        def serve() -> None:
            try:
                seen.server = self.server.session(theirs, Meter("server"))
            except ProtocolError as error:
                theirs.fail(str(error))
                seen.errors.append(error)
            finally:
                theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            seen.session = ClientSession.open(ours, Meter("client"), len(tokens), False, SeedRecord())
            if self.configuration.has_offline_phase:
                seen.session.prepare(len(tokens))
                seen.session.wait_prepared()
            seen.client = seen.session.lookup(tokens)
        except ProtocolError as error:
            seen.errors.append(error)
        finally:
            ours.close()
            thread.join()
        seen.up, seen.down = ours.frames, theirs.frames
        return seen

    def opens(self, seen: Seen, tokens: list[int]) -> bool:
        """Whether the shares open to the rows."""
        fields = unpack(
            self.table.coefficients[tokens], self.table.public.field_moduli, self.table.public.channels
        ).astype(np.uint64)
        if self.configuration.align_bits:
            mask = np.uint64((1 << self.configuration.align_bits) - 1)
            return bool(np.array_equal((seen.client + seen.server) & mask, fields & mask))
        opened = (seen.client + seen.server) % self.configuration.ring.plaintext_modulus
        return bool(np.array_equal(opened, self.table.coefficients[tokens].astype(np.int64)))
