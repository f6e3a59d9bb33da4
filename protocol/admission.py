"""What keeps sessions that run side by side within the memory and the processors of a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from protocol.errors import ProtocolError

Frame = TypeVar("Frame")


class Admission:
    """Room for messages, and turns at computing.

    Parameters
    ----------
    memory_bytes
        Most that the messages of all sessions take together.
    workers
        Sessions that compute at the same time.
    patience_s
        How long a session waits for room.
    """

    def __init__(self, memory_bytes: int, workers: int, patience_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._free_bytes = memory_bytes
        self._freed = threading.Condition()
        self._turns = threading.BoundedSemaphore(workers)
        self._patience_s = patience_s

    @contextmanager
    def room(self, size_bytes: int) -> Iterator[None]:
        """Hold room for a session's messages.

        Raises
        ------
        ProtocolError
            If there can be none, or none becomes free in time.
        """
        if size_bytes > self._memory_bytes:
            raise ProtocolError(
                f"the messages of so many tokens have {size_bytes} bytes; this server has room for {self._memory_bytes}"
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

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Compute, when it is this session's turn."""
        with self._turns:
            yield

    def turns(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Frames, each made in a turn; whoever sends them keeps no other session from computing."""
        nothing = object()
        while True:
            with self._turns:
                frame = next(frames, nothing)
            if frame is nothing:
                return
            yield frame  # type: ignore[misc]
