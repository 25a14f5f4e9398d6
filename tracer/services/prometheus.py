# SPDX-License-Identifier: Apache-2.0
"""Metrics on a port, for Prometheus, by `prometheus-client` (an optional dependency)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any, Callable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from tracer import threads
from tracer.errors import TracerError
from tracer.services.metrics import Metrics
from tracer.services.semconv import BUCKETS, METRICS

HINT = "in a checkout `make services` installs it; else: pip install what requirements-services.txt names"

TIMEOUT_S = 10.0  # of one who connects and says nothing, or reads nothing
CONNECTIONS_MAX = 32  # at once; more are closed

# What the tracer tells of itself (Service.counters).
OWN_METRICS = {
    "evicted": "Open requests that were forgotten for want of room.",
    "executables_refused": "Executables that had to wait, since as many as can be were traced.",
    "failed": "Events at which the tracer failed; the first of an executable is told.",
    "goroutines_evicted": "Goroutines whose parents were forgotten for want of room.",
    "looks_failed": "Looks at processes that failed; the next poll makes them good.",
    "looks_skipped": "Looks at processes that the kernel told of and were left to the next poll.",
    "lost": "Events that the kernel's buffer had no room for.",
    "malformed": "Events that could not be read.",
    "nested": "Requests within a request of the same goroutine, which are no spans of their own.",
    "no_goroutine": "Events whose goroutine is not known.",
    "open_spans": "Requests that have begun and not ended.",
    "otlp_dropped": "Spans that waited for the OTLP collector and were let go.",
    "otlp_failed": "Spans that the OTLP collector did not take.",
    "otlp_sent": "Spans that the OTLP collector has taken.",
    "rows_evicted": "Rows of the live table that were let go.",
    "series_overflowed": "Requests beyond the most series of a metric, counted in one series.",
    "spans": "Requests that became spans.",
    "unexpected_failures": "Failures with one executable that are defects of the tracer or want of memory.",
    "unfinished": "Requests that had not ended when tracing of their executable did.",
    "unmatched": "Ends of requests that had begun before tracing.",
}
GAUGES = ("open_spans",)


def prometheus_name(name: str) -> str:
    """http.server.request.duration → http_server_request_duration_seconds (OpenTelemetry's rules for Prometheus)."""
    return name.replace(".", "_") + "_seconds"


def label_name(attribute: str) -> str:
    return attribute.replace(".", "_").replace("-", "_")


class Page:
    """What prometheus-client asks when it is scraped."""

    def __init__(self, metrics: Metrics, counters: Callable[[], dict[str, int]]) -> None:
        self._metrics = metrics
        self._counters = counters

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for metric, series in sorted(self._metrics.snapshot().items()):
            labels = sorted({name for _, attributes in series for name, _ in attributes})
            family = HistogramMetricFamily(
                prometheus_name(metric), METRICS[metric], labels=["service_name", *map(label_name, labels)]
            )
            for (service, attributes), histogram in series.items():
                values = dict(attributes)
                total, buckets = 0, []
                for bound, count in zip([*map(str, BUCKETS), "+Inf"], histogram.counts):
                    total += count
                    buckets.append((bound, total))
                family.add_metric([service, *(str(values.get(name, "")) for name in labels)], buckets, histogram.sum)
            yield family
        for name, value in sorted(self._counters().items()):
            kind = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
            own = kind(f"gopherscope_{name}", OWN_METRICS.get(name, name.replace("_", " ")))
            own.add_metric([], value)
            yield own


class _Handler(WSGIRequestHandler):
    timeout = TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, and not more of them than CONNECTIONS_MAX."""

    daemon_threads = True

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.address_family = family
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)  # no descriptor is left: the connection stays there, and would be asked for again at once
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked has gone, or said nothing for too long."""


class PrometheusServer:
    """Answers on its port from now on. TracerError where the port is taken."""

    def __init__(
        self, port: int, metrics: Metrics, counters: Callable[[], dict[str, int]], address: str = "127.0.0.1"
    ) -> None:
        try:
            from prometheus_client import CollectorRegistry, make_wsgi_app
        except ImportError:
            raise TracerError("--prometheus needs the Python package prometheus-client", hint=HINT) from None
        registry = CollectorRegistry()
        registry.register(Page(metrics, counters))
        try:
            family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            self._server = _Server(family, (address, port))
        except OSError as e:
            raise TracerError(
                f"cannot serve metrics on {address}:{port}: {e.strerror}", hint="choose another --prometheus port"
            ) from None
        self._server.set_app(make_wsgi_app(registry))
        self.port = self._server.server_port
        self._thread = threads.start(self._server.serve_forever, "prometheus")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
