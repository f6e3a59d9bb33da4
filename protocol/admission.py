"""What keeps sessions that run side by side within the memory and the processors of a server."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from protocol.engine import ServerSession, Shapes, Shares
from protocol.errors import ProtocolError
from protocol.turns import Turn, Turns
from protocol.workspaces import Workspaces

HELD_FOR_A_BYTE = 3
"""Bytes held for one of a message: as it came, and its residues in 64 bits."""


def held_bytes(shapes: Shapes, aligning_bytes: int = 0) -> int:
    """Most that a session holds: its messages, what its engine keeps besides, and the alignment of its shares."""
    messages = (shapes.keys, shapes.announcement, shapes.first_halves, shapes.query, shapes.answer)
    return (
        HELD_FOR_A_BYTE * sum(message.size_bytes for message in messages)
        + shapes.kept_bytes
        + shapes.prepared_bytes
        + aligning_bytes
    )


class Memory:
    """Memory that all sessions share, of which no address holds more than its part.

    Sessions take it as their messages arrive. So that those of one address never wait for each other in a circle, what
    the one that came first still needs is kept free for it.

    Parameters
    ----------
    most_bytes
        For all sessions together.
    address_bytes
        For those of one address.
    patience_s
        How long a session waits for room.
    """

    def __init__(self, most_bytes: float, address_bytes: float, patience_s: float) -> None:
        self.most_bytes = most_bytes
        self.address_bytes = min(address_bytes, most_bytes)
        self._patience_s = patience_s
        self._rooms: dict[str, list[Room]] = {}
        self._freed = threading.Condition()
        self._waiting = 0
        self._stopped: str | None = None

    @property
    def held_bytes(self) -> int:
        """Held by all sessions."""
        with self._freed:
            return self._held()

    @property
    def waiting(self) -> int:
        """Sessions that wait for room."""
        return self._waiting

    def stop(self, reason: str) -> None:
        """Let nobody wait any longer."""
        with self._freed:
            self._stopped = reason
            self._freed.notify_all()

    def enter(self, room: Room) -> None:
        """Count what a session holds from now on."""
        with self._freed:
            self._rooms.setdefault(room.address, []).append(room)

    def leave(self, room: Room) -> None:
        """Count it no longer."""
        with self._freed:
            rooms = self._rooms[room.address]
            rooms.remove(room)
            if not rooms:
                del self._rooms[room.address]
            self._freed.notify_all()

    def take(self, room: Room, size_bytes: int) -> None:
        """Take room, once there is some.

        Raises
        ------
        ProtocolError
            If none becomes free in time.
        """
        with self._freed:
            self._waiting += 1
            try:
                in_time = self._freed.wait_for(
                    lambda: self._stopped is not None or self._fits(room, size_bytes), self._patience_s
                )
            finally:
                self._waiting -= 1
            if self._stopped is not None:
                raise ProtocolError(self._stopped)
            if not in_time:
                raise ProtocolError("server is busy with other clients; try again later")
            room.held_bytes += size_bytes

    def free(self, room: Room, size_bytes: int) -> None:
        """Give room back."""
        with self._freed:
            room.held_bytes -= size_bytes
            self._freed.notify_all()

    def _held(self) -> int:
        return sum(room.held_bytes for rooms in self._rooms.values() for room in rooms)

    def _fits(self, room: Room, size_bytes: int) -> bool:
        rooms = self._rooms[room.address]
        first = rooms[0]
        kept = 0 if first is room else max(0, first.need_bytes - first.held_bytes)
        of_address = sum(one.held_bytes for one in rooms) + kept
        return of_address + size_bytes <= self.address_bytes and self._held() + size_bytes <= self.most_bytes


class Room:
    """What one session holds of the memory; it grows with what has arrived.

    Parameters
    ----------
    memory
        Of the server.
    address
        Whose session it is.
    """

    def __init__(self, memory: Memory, address: str) -> None:
        self._memory = memory
        self.address = address
        self.held_bytes = 0
        self.need_bytes = 0

    def expect(self, size_bytes: int) -> None:
        """Say how much will be held at most; refuse what can never be.

        Raises
        ------
        ProtocolError
            Saying how much there is.
        """
        if size_bytes > self._memory.address_bytes:
            raise ProtocolError(
                f"so many tokens take {size_bytes} bytes; this server has room for {self._memory.address_bytes:.0f}"
            )
        self.need_bytes = size_bytes

    def take(self, size_bytes: int) -> None:
        """Hold so much more; see :meth:`Memory.take`."""
        self._memory.take(self, size_bytes)

    def give(self, size_bytes: int) -> None:
        """Hold so much less."""
        self._memory.free(self, size_bytes)

    def arrived(self, size_bytes: int) -> None:
        """Hold what a part of a message takes."""
        self.take(HELD_FOR_A_BYTE * size_bytes)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count for the length of a session; all of it is given back at its end."""
        self._memory.enter(self)
        try:
            yield
        finally:
            self._memory.leave(self)
            self.held_bytes = 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Give back at the end what was taken and expected inside."""
        held_bytes, need_bytes = self.held_bytes, self.need_bytes
        try:
            yield
        finally:
            self.need_bytes = need_bytes
            self._memory.free(self, self.held_bytes - held_bytes)


class Allowance:
    """What one session has: turns at computing, room in memory and workspaces, counted for its address."""

    def __init__(self, turn: Turn, room: Room, workspaces: Workspaces) -> None:
        self.turn = turn
        self.room = room
        self._workspaces = workspaces

    def expect(self, held_bytes: int, working_bytes: int) -> None:
        """Refuse a session that would hold more at most, or compute in more memory, than there is.

        Raises
        ------
        ProtocolError
            Saying how much there is.
        """
        self.room.expect(held_bytes)
        self._workspaces.check(working_bytes)

    def workspace(self, size_bytes: int) -> AbstractContextManager[None]:
        """Memory to compute in; see :meth:`protocol.workspaces.Workspaces.taken`."""
        return self._workspaces.taken(self.room.address, size_bytes)


class Admission:
    """What sessions have to share.

    Parameters
    ----------
    memory
        For their messages and keys.
    turns
        At computing.
    workspaces
        Memory of lookups under way.
    """

    def __init__(self, memory: Memory, turns: Turns, workspaces: Workspaces) -> None:
        self.memory = memory
        self.turns = turns
        self.workspaces = workspaces

    def allowance(self, address: str) -> Allowance:
        """What a session of an address gets."""
        return Allowance(Turn(self.turns, address), Room(self.memory, address), self.workspaces)

    def stop(self, reason: str) -> None:
        """End whoever waits or computes, with this reason."""
        self.turns.stop(reason)
        self.memory.stop(reason)
        self.workspaces.stop(reason)


def unlimited() -> Allowance:
    """Allowance of a server's single client."""
    memory = Memory(math.inf, math.inf, 0.0)
    allowance = Admission(memory, Turns(1), Workspaces(math.inf, math.inf)).allowance("")
    memory.enter(allowance.room)
    return allowance


class AdmittedSession:
    """An engine's session that computes in turns with others; what it sends it sends outside of them."""

    def __init__(self, session: ServerSession, turn: Turn) -> None:
        self.shapes = session.shapes
        self._session = session
        self._turn = turn

    def lookup(self, tokens: int, prepared: bool) -> AdmittedSession:
        """See :class:`protocol.engine.ServerSession`."""
        return AdmittedSession(self._session.lookup(tokens, prepared), self._turn)

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """See :class:`protocol.engine.ServerSession`."""
        with self._turn:
            self._session.accept_keys(frames)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """See :class:`protocol.engine.ServerSession`."""
        return self._in_turns(self._session.prepare(frames))

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """See :class:`protocol.engine.ServerSession`."""
        return self._in_turns(self._session.answer(frames, shares))

    def _in_turns(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with self._turn:
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
