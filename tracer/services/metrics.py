# SPDX-License-Identifier: Apache-2.0
"""Sums of durations by metric and attributes, as histograms.

Bounded: beyond SERIES_MAX sets of attributes of one metric, requests are counted in one series whose only attribute is
`otel.metric.overflow`, as OpenTelemetry's SDKs do.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field

from tracer.services.semconv import BUCKETS, Attribute, Report

SERIES_MAX = 2000  # of one metric, as OpenTelemetry's own limit
OVERFLOW: tuple[tuple[str, Attribute], ...] = (("otel.metric.overflow", "true"),)

SeriesKey = tuple[str, tuple[tuple[str, Attribute], ...]]  # (service, attributes in order)


@dataclass
class Histogram:
    """counts: by BUCKETS, the last beyond all of them. Seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0
    min: float = float("inf")
    max: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds
        self.min = min(self.min, seconds)
        self.max = max(self.max, seconds)

    def copy(self) -> Histogram:
        return Histogram(list(self.counts), self.sum, self.min, self.max)


class Metrics:
    """From any thread."""

    def __init__(self) -> None:
        self._series: dict[str, dict[SeriesKey, Histogram]] = {}
        self._lock = threading.Lock()
        self.overflowed = 0

    def add(self, report: Report) -> None:
        key: SeriesKey = (report.span.service, tuple(sorted(report.metric_attributes.items())))
        with self._lock:
            series = self._series.setdefault(report.metric, {})
            histogram = series.get(key)
            if histogram is None:
                if len(series) >= SERIES_MAX:
                    self.overflowed += 1
                    key = ("", OVERFLOW)
                histogram = series.setdefault(key, Histogram())
            histogram.add(report.span.duration_ns / 1e9)

    def snapshot(self) -> dict[str, dict[SeriesKey, Histogram]]:
        with self._lock:
            return {
                metric: {key: histogram.copy() for key, histogram in series.items()}
                for metric, series in self._series.items()
            }
