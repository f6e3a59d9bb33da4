"""The health of a service over HTTP: its gauges as Prometheus reads them, on an address of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Gauge, start_http_server


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
        self._server, self._thread = start_http_server(port, host, self._registry)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
