"""The health of a service over HTTP: its gauges as Prometheus reads them, on an address of its own.

Few requests are met at once, and the oldest makes place for the next: whoever opens connections and says nothing takes
no memory, and keeps nobody from reading.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app

MOST_REQUESTS = 16
"""Connections at once."""
REQUEST_TIMEOUT_S = 5.0
"""How long a connection may say nothing."""

POLL_S = 0.1
"""How long its end may go unnoticed."""


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the log is of lookups."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request, of which there are few."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._open: deque[socket.socket] = deque()
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._open) >= MOST_REQUESTS:
                with contextlib.suppress(OSError):
                    self._open.popleft().shutdown(socket.SHUT_RDWR)
            self._open.append(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._open.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: whoever breaks off is no news."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class Health:
    """A context in which the gauges are served at ``/metrics``.

    Parameters
    ----------
    host, port
        Where; an address that only those who watch the service reach.
    gauges
        Value by name and text, read when somebody asks.
    """

    def __init__(self, host: str, port: int, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._address = (host, port)
        self._registry = CollectorRegistry()
        for name, (text, read) in gauges.items():
            Gauge(f"fastquery_{name}", text, registry=self._registry).set_function(read)
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it is served."""
        assert self._server is not None
        return int(self._server.server_port)

    def __enter__(self) -> Health:
        host, port = self._address
        server = _Server6 if ":" in host else _Server
        self._server = make_server(host, port, make_wsgi_app(self._registry), server, _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="health", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
