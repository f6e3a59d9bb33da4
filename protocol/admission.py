"""What keeps sessions that run side by side within the memory and the processors of a server."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from protocol.engine import ServerSession, Shares
from protocol.errors import ProtocolError

HELD_FOR_A_BYTE = 3
"""Bytes held for one of a message: as it came, and its residues in 64 bits."""


class Admission:
    """Room for messages, and turns at computing.

    Parameters
    ----------
    memory_bytes
        Most that all sessions hold together.
    workers
        Sessions that compute at the same time.
    patience_s
        How long a session waits for room.
    """

    def __init__(self, memory_bytes: float, workers: int, patience_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._free_bytes = memory_bytes
        self._freed = threading.Condition()
        self._turns = threading.BoundedSemaphore(workers)
        self._patience_s = patience_s

    def admit(self, session: ServerSession, held: ExitStack, aligning_bytes: int = 0) -> ServerSession:
        """Take room for all that a session holds, until ``held`` is closed; the session then computes in turns.

        That are its messages, what its engine keeps besides, and what the alignment of its shares takes.

        Raises
        ------
        ProtocolError
            If there can be no room, or none becomes free in time.
        """
        shapes = session.shapes
        messages = (shapes.keys, shapes.announcement, shapes.first_halves, shapes.query, shapes.answer)
        in_messages = HELD_FOR_A_BYTE * sum(message.size_bytes for message in messages)
        held.enter_context(self._room(in_messages + shapes.kept_bytes + aligning_bytes))
        return AdmittedSession(session, self._turns)

    @contextmanager
    def _room(self, size_bytes: int) -> Iterator[None]:
        if size_bytes > self._memory_bytes:
            raise ProtocolError(
                f"so many tokens take {size_bytes} bytes; this server has room for {self._memory_bytes}"
            )
        with self._freed:
            if not self._freed.wait_for(lambda: self._free_bytes >= size_bytes, self._patience_s):
                raise ProtocolError("server is busy with other clients; try again later")
            self._free_bytes -= size_bytes
        try:
            yield
        finally:
            with self._freed:
                self._free_bytes += size_bytes
                self._freed.notify_all()


def unlimited() -> Admission:
    """Admission of a server with a single client."""
    return Admission(math.inf, 1, 0.0)


class AdmittedSession:
    """An engine's session that computes in turns with others; what it sends it sends outside of them."""

    def __init__(self, session: ServerSession, turns: threading.BoundedSemaphore) -> None:
        self.shapes = session.shapes
        self._session = session
        self._turns = turns

    def accept_keys(self, frames: Sequence[bytes]) -> None:
        """See :class:`protocol.engine.ServerSession`."""
        with self._turns:
            self._session.accept_keys(frames)

    def prepare(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """See :class:`protocol.engine.ServerSession`."""
        return self._in_turns(self._session.prepare(frames))

    def answer(self, frames: Sequence[bytes], shares: Shares) -> Iterator[bytes]:
        """See :class:`protocol.engine.ServerSession`."""
        return self._in_turns(self._session.answer(frames, shares))

    def _in_turns(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with self._turns:
                frame = next(frames, None)
            if frame is None:
                return
            yield frame
