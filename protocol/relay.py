"""A link in user space: a relay between the parties that holds bytes back to a rate and a delay.

Each direction is a line of its own. A piece of S bytes that is read at time t starts down the line when the one before
it has left, and arrives a delay after its last bit has left:

    leaves = max(t, left of the piece before) + 8 S / rate,     arrives = leaves + round trip / 2

which is a token bucket that holds one piece, or what 20 ms let through where the reader comes late to a source that
had more all along. What is on the line is bounded by the line's own length, rate times
delay, and some slack; a sender that is faster waits. Since both connections are loopback ones, TCP's slow start does
not show: the times are those of :func:`costmodel.link.relay_exchange_s`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType

from costmodel.link import Link

SMALLEST_PIECE_BYTES = 1448
LARGEST_PIECE_BYTES = 262144
PIECE_S = 1e-3
"""Time that a piece takes on the line, within these sizes."""
SLACK_S = 20e-3
"""What may be on the line besides its length, so that a late thread leaves no gap."""
SLACK_BYTES = 262144
MOST_ON_LINE_BYTES = 2**28
WAKING_S = 60e-6
"""How late a sleeping thread wakes up on an idle machine."""


class Line:
    """One direction of a link, from one socket to another; whoever drives it says when to read and when to deliver.

    Parameters
    ----------
    source, sink
        Connected sockets that do not block.
    link
        Rate and round-trip time.
    """

    def __init__(self, source: socket.socket, sink: socket.socket, link: Link) -> None:
        self.source = source
        self.sink = sink
        self.sink_is_full = False
        self.ended = False
        self._byte_s = 8.0 / link.rate_bit_per_s
        self._delay_s = link.round_trip_s / 2
        self._piece_bytes = int(min(max(PIECE_S / self._byte_s, SMALLEST_PIECE_BYTES), LARGEST_PIECE_BYTES))
        length = (self._delay_s + SLACK_S) / self._byte_s + SLACK_BYTES
        self.capacity_bytes = int(min(length, MOST_ON_LINE_BYTES))
        self.on_line_bytes = 0
        self._pieces: deque[tuple[float, memoryview]] = deque()
        self._left = 0.0
        self._closing = False
        self._source_has_more = False

    @property
    def reads(self) -> bool:
        """Whether there is room for more on the line."""
        return not (self._closing or self.ended) and self.on_line_bytes < self.capacity_bytes

    @property
    def due(self) -> float | None:
        """When the next piece arrives; None if there is none, or the sink has no room."""
        return None if self.sink_is_full or not self._pieces else self._pieces[0][0]

    def read(self) -> None:
        """Take what the source has, a piece of it at most; its end is carried like a piece."""
        most = min(self._piece_bytes, self.capacity_bytes - self.on_line_bytes)
        try:
            piece = self.source.recv(most)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._closing = not piece
        # A full piece left more behind in the source: what is read next was there before this thread came round to it.
        waited_s = SLACK_S if self._source_has_more else 0.0
        self._left = max(time.monotonic() - waited_s, self._left) + len(piece) * self._byte_s
        self._source_has_more = len(piece) == most
        self.on_line_bytes += len(piece)
        self._pieces.append((self._left + self._delay_s, memoryview(piece)))

    def deliver(self, now: float) -> None:
        """Hand over what has arrived, as far as the sink has room."""
        self.sink_is_full = False
        try:
            while self._pieces and self._pieces[0][0] <= now:
                arrived, piece = self._pieces.popleft()
                if not piece:
                    self.ended = True
                    self.sink.shutdown(socket.SHUT_WR)
                    return
                sent = self._send(piece)
                self.on_line_bytes -= sent
                if sent < len(piece):
                    self._pieces.appendleft((arrived, piece[sent:]))
                    self.sink_is_full = True
                    return
        except OSError:
            # The sink is gone: nothing more is read, and the source learns of it.
            self.ended = True
            self._pieces.clear()
            with contextlib.suppress(OSError):
                self.source.shutdown(socket.SHUT_RDWR)

    def _send(self, piece: memoryview) -> int:
        try:
            return self.sink.send(piece)
        except BlockingIOError:
            return 0


class Relay:
    """A listener on the loopback interface whose connections lead to a target over a shaped link.

    A context manager: the relay ends, and drops its connections, where the block does.

    Parameters
    ----------
    host, port
        The target.
    link
        Rate and round-trip time, the same in both directions; every connection has a link of its own.
    """

    def __init__(self, host: str, port: int, link: Link) -> None:
        self._target = (host, port)
        self._link = link
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._waking, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.lines: list[Line] = []

    @property
    def port(self) -> int:
        """Where clients connect to."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waking.close()
        self._thread.join()
        self._listener.close()
        self._woken.close()
        for line in self.lines:
            line.source.close()

    def _run(self) -> None:
        while True:
            live = [line for line in self.lines if not line.ended]
            times = [line.due for line in live if line.due is not None]
            # select, since its timeout alone is finer than a millisecond.
            wait_s = max(0.0, min(times) - time.monotonic() - WAKING_S) if times else None
            readable, _, _ = select.select(
                [self._woken, self._listener, *(line.source for line in live if line.reads)],
                [line.sink for line in live if line.sink_is_full],
                [],
                wait_s,
            )
            if self._woken in readable:
                return
            if self._listener in readable:
                self._connect()
            for line in live:
                if line.source in readable:
                    line.read()
                line.deliver(time.monotonic() + WAKING_S)

    def _connect(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(self._target, timeout=10.0)
        except OSError:
            near.close()
            return
        for connection in (near, far):
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines += [Line(near, far, self._link), Line(far, near, self._link)]


@contextlib.contextmanager
def shaped(link: Link | None, port: int) -> Iterator[int]:
    """A port of this machine that leads to another one over a link, or straight where there is none."""
    if link is None:
        yield port
        return
    with Relay("127.0.0.1", port, link) as relay:
        yield relay.port
