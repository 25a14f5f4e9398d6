# SPDX-License-Identifier: Apache-2.0
"""Spans and metrics to an OpenTelemetry collector by OTLP over HTTP, with OpenTelemetry's SDK (an optional dependency).

Spans wait in a queue of QUEUE_MAX; a thread of its own sends them in batches. A collector that is down, slow or hangs
costs spans, which are counted, and never time: nothing else waits for that thread.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tracer import __version__, threads
from tracer.errors import TracerError, UsageError, printable
from tracer.services.lines import WallClock
from tracer.services.metrics import Metrics
from tracer.services.prometheus import HINT
from tracer.services.semconv import BUCKETS, METRICS, Report

QUEUE_MAX = 16384  # spans
BATCH_MAX = 512
SEND_EVERY_S = 1.0
METRICS_EVERY_S = 10.0
TIMEOUT_S = 5.0
SCHEMA_URL = "https://opentelemetry.io/schemas/1.39.0"


def endpoints(base: str) -> tuple[str, str]:
    """(traces, metrics) of a base URL, as OTEL_EXPORTER_OTLP_ENDPOINT means it. UsageError where it is no URL."""
    parts = urlsplit(base)
    try:
        port = parts.port
    except ValueError:
        raise UsageError(f"{base!r}: the port is no number up to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(f"{base!r} is no URL of a collector", hint="like http://127.0.0.1:4318")
    root = base.rstrip("/")
    return f"{root}/v1/traces", f"{root}/v1/metrics"


class Otlp:
    """clock starts with it. From any thread."""

    def __init__(self, url: str, metrics: Metrics, complain: Callable[[str], None] | None = None) -> None:
        traces_url, metrics_url = endpoints(url)
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise TracerError("--otlp needs the Python packages of OpenTelemetry", hint=HINT) from None
        _quieten()
        self._spans: Any = OTLPSpanExporter(endpoint=traces_url, timeout=TIMEOUT_S)
        self._metric_exporter: Any = OTLPMetricExporter(endpoint=metrics_url, timeout=TIMEOUT_S)
        self._metrics = metrics
        self.clock = WallClock()
        self._started = self.clock.ns(time.monotonic_ns())
        self._queue: deque[Report] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._resources: dict[str, Any] = {}
        self._complain = complain or (lambda line: sys.stderr.write(f"warning: {line}\n") and None)
        self._complained = self._failing = False
        self._in_flight = 0
        self.sent = self.dropped = self.failed = 0
        self._thread = threads.start(self._run, "otlp")

    def add(self, report: Report) -> None:
        with self._lock:
            if len(self._queue) >= QUEUE_MAX:
                self.dropped += 1
                return
            self._queue.append(report)
            full = len(self._queue) >= BATCH_MAX
        if full:
            self._wake.set()

    def close(self, patience: float = 2 * TIMEOUT_S) -> None:
        """Send what waits, as long as that does not take long. A collector that does not take it is not asked again and
        again: the exporters' own patience ends with the first half of ours, or before where it has been in vain."""
        self._stopping = True
        self._wake.set()
        if not self._failing:
            self._thread.join(patience / 2)
        if self._thread.is_alive():
            self._spans.shutdown()
            self._metric_exporter.shutdown()
            self._thread.join(patience / 2)
        with self._lock:
            left = len(self._queue) + (self._in_flight if self._thread.is_alive() else 0)
            self.dropped += left
            self._queue.clear()
        if left:
            self._complain_once(f"the collector has not taken them within {patience:g} s")

    def _run(self) -> None:
        next_metrics = time.monotonic() + METRICS_EVERY_S
        while True:
            self._wake.wait(SEND_EVERY_S)
            self._wake.clear()
            stopping = self._stopping
            more = True
            while more:
                # what is less than a batch waits for others, so that a steady load is not sent one by one
                more = self._send_batch() and (stopping or len(self._queue) >= BATCH_MAX)
                if time.monotonic() >= next_metrics and not stopping:
                    self._send_metrics()
                    next_metrics = time.monotonic() + METRICS_EVERY_S
            if stopping:
                self._send_metrics()
                return

    def _send_batch(self) -> bool:
        """False: there is no more, or the collector does not take it."""
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
        if not batch:
            return False
        self._in_flight = len(batch)
        ok = self._export(lambda: self._spans.export([one for r in batch for one in (self._span(r), *self._parts(r))]))
        self._in_flight = 0
        if ok:
            self.sent += len(batch)
        else:
            self.failed += len(batch)
        return ok

    def _export(self, export: Callable[[], Any]) -> bool:
        try:
            result = export()
            ok = bool(result.name == "SUCCESS")
            why = "the collector refused them, or could not be reached"
        except Exception as e:  # the exporter's HTTP client has many
            ok, why = False, f"{type(e).__name__}: {e}"
        self._failing = not ok
        if not ok:
            self._complain_once(why)
        return ok

    def _complain_once(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            self._complain(f"spans cannot be sent by OTLP: {printable(why)[:300]}; they are dropped and counted")

    # ---- the SDK's own objects ----------------------------------------------------------------------------------

    def _resource(self, service: str) -> Any:
        from opentelemetry.sdk.resources import Resource

        if service not in self._resources:
            if len(self._resources) > 1000:
                self._resources.clear()
            self._resources[service] = Resource(
                {
                    "service.name": service,
                    "telemetry.sdk.language": "go",
                    "telemetry.sdk.name": "gopherscope",
                    "telemetry.sdk.version": __version__,
                }
            )
        return self._resources[service]

    def _scope(self) -> Any:
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        return InstrumentationScope("gopherscope", __version__, SCHEMA_URL)

    def _span(self, report: Report) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
        from opentelemetry.trace.status import Status, StatusCode

        span = report.span
        sampled = TraceFlags(TraceFlags.SAMPLED)
        context = SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=sampled)
        parent = None
        if span.parent_id:
            parent = SpanContext(span.trace_id, span.parent_id, is_remote=True, trace_flags=sampled)
        return ReadableSpan(
            name=report.name,
            context=context,
            parent=parent,
            resource=self._resource(span.service),
            attributes={**report.attributes, **report.headers, "thread.name": f"goroutine {span.goid}"},
            kind=SpanKind.SERVER if span.rule.kind == "server" else SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, report.message or None) if report.failed else Status(StatusCode.UNSET),
            start_time=self.clock.ns(span.began),
            end_time=self.clock.ns(span.end),
            instrumentation_scope=self._scope(),
        )

    def _parts(self, report: Report) -> list[Any]:
        """The children of a server span, with --queue."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

        span = report.span
        sampled = TraceFlags(TraceFlags.SAMPLED)
        return [
            ReadableSpan(
                name=part.name,
                context=SpanContext(span.trace_id, part.span_id, is_remote=False, trace_flags=sampled),
                parent=SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=sampled),
                resource=self._resource(span.service),
                kind=SpanKind.INTERNAL,
                start_time=self.clock.ns(part.start),
                end_time=self.clock.ns(part.end),
                instrumentation_scope=self._scope(),
            )
            for part in span.parts
        ]

    def _send_metrics(self) -> None:
        from opentelemetry.sdk.metrics.export import (
            AggregationTemporality,
            Histogram,
            HistogramDataPoint,
            Metric,
            MetricsData,
            ResourceMetrics,
            ScopeMetrics,
        )

        now = self.clock.ns(time.monotonic_ns())
        by_service: dict[str, dict[str, list[Any]]] = {}
        for name, series in self._metrics.snapshot().items():
            for (service, attributes), h in series.items():
                point = HistogramDataPoint(
                    attributes=dict(attributes),
                    start_time_unix_nano=self._started,
                    time_unix_nano=now,
                    count=h.count,
                    sum=h.sum,
                    bucket_counts=h.counts,
                    explicit_bounds=BUCKETS,
                    min=h.min,
                    max=h.max,
                )
                by_service.setdefault(service, {}).setdefault(name, []).append(point)
        if not by_service:
            return
        resources = [
            ResourceMetrics(
                resource=self._resource(service),
                scope_metrics=[
                    ScopeMetrics(
                        scope=self._scope(),
                        metrics=[
                            Metric(name, METRICS[name], "s", Histogram(points, AggregationTemporality.CUMULATIVE))
                            for name, points in named.items()
                        ],
                        schema_url=SCHEMA_URL,
                    )
                ],
                schema_url=SCHEMA_URL,
            )
            for service, named in by_service.items()
        ]
        self._export(lambda: self._metric_exporter.export(MetricsData(resources)))


def _quieten() -> None:
    """The exporter reports each failure in its own words, many times: it is said once, by us."""
    import logging

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
