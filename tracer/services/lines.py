# SPDX-License-Identifier: Apache-2.0
"""Spans and headers as lines: text for people, JSON for scripts."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timezone
from typing import IO, Any

from tracer.errors import printable
from tracer.services.engine import HeaderBlock, Span
from tracer.services.privacy import Privacy
from tracer.services.semconv import Report

CLOCK_STEP_NS = 10_000_000  # less is the noise of measuring


class WallClock:
    """CLOCK_MONOTONIC → ns since 1970. From any thread."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def measure(self) -> None:
        """From time to time: the clock is set, and goes on while the machine sleeps."""
        before = time.monotonic_ns()
        offset = time.time_ns() - before
        if time.monotonic_ns() - before > CLOCK_STEP_NS:
            return  # interrupted between the two; the next time tells
        if abs(offset - self._offset) > CLOCK_STEP_NS:
            self._offset = offset

    def ns(self, monotonic: int) -> int:
        return monotonic + self._offset

    def of_day(self, monotonic: int) -> str:
        ns = self.ns(monotonic)
        return time.strftime("%H:%M:%S", time.localtime(ns // 10**9)) + f".{ns % 10**9 // 1000:06d}"

    def rfc3339(self, monotonic: int) -> str:
        ns = self.ns(monotonic)
        day = datetime.fromtimestamp(ns // 10**9, timezone.utc)
        return day.strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % 10**9:09d}Z"


def duration_text(ns: int) -> str:
    for unit, size in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if ns >= size:
            return f"{ns / size:.3g}{unit}" if ns < 999 * size else f"{ns / size:.0f}{unit}"
    return f"{ns}ns"


def span_object(report: Report, clock: WallClock) -> dict[str, Any]:
    span = report.span
    out: dict[str, Any] = {
        "type": "span",
        "service": span.service,
        "name": report.name,
        "kind": span.rule.kind,
        "start": clock.rfc3339(span.began),
        "duration_ns": span.end - span.began,
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "pid": span.pid,
        "goid": span.goid,
        "rule": span.rule.name,
        "attributes": {**report.attributes, **report.headers},
        "status": "error" if report.failed else "unset",
    }
    if span.parent_id:
        out["parent_id"] = f"{span.parent_id:016x}"
    if report.message:
        out["message"] = report.message
    if span.outcome:
        out["outcome"] = span.outcome
    return out


def part_objects(span: Span, clock: WallClock) -> list[dict[str, Any]]:
    """The children of a server span, with --queue."""
    return [
        {
            "type": "span",
            "service": span.service,
            "name": part.name,
            "kind": "internal",
            "start": clock.rfc3339(part.start),
            "duration_ns": part.end - part.start,
            "trace_id": f"{span.trace_id:032x}",
            "span_id": f"{part.span_id:016x}",
            "parent_id": f"{span.span_id:016x}",
            "pid": span.pid,
            "goid": span.goid,
            "rule": span.rule.name,
            "attributes": {},
            "status": "unset",
        }
        for part in span.parts
    ]


def header_object(block: HeaderBlock, clock: WallClock, privacy: Privacy) -> dict[str, Any]:
    return {
        "type": "headers",
        "service": block.service,
        "time": clock.rfc3339(block.time),
        "direction": block.direction,
        "side": block.side,
        "pid": block.pid,
        "stream": block.stream,
        "fields": [[name, privacy.header(name, value)] for name, value in block.fields],
    }


def _connection_text(report: Report) -> str:
    """What --connection adds."""
    a = report.attributes
    text = ""
    if "go.connection.fd" in a:
        text += f"  descriptor {a['go.connection.fd']}"
    if "network.local.address" in a:
        text += f"  at {a['network.local.address']}:{a.get('network.local.port', '?')}"
    if "go.http2.stream_id" in a:
        text += f"  stream {a['go.http2.stream_id']}"
    return text


class Lines:
    """Writes to one stream, from any thread. `failed` is set once the reader has gone."""

    def __init__(self, stream: IO[str], as_json: bool, privacy: Privacy) -> None:
        self._stream = stream
        self._json = as_json
        self._privacy = privacy
        self.clock = WallClock()
        self._lock = threading.Lock()
        self.failed: OSError | None = None

    def span(self, report: Report) -> None:
        if self._json:
            for one in (span_object(report, self.clock), *part_objects(report.span, self.clock)):
                self._write(json.dumps(one, ensure_ascii=False, separators=(",", ":")))
        else:
            self._write(self._text(report))

    def headers(self, block: HeaderBlock) -> None:
        if self._json:
            self._write(
                json.dumps(header_object(block, self.clock, self._privacy), ensure_ascii=False, separators=(",", ":"))
            )
            return
        arrow = "→" if block.direction == "sent" else "←"
        fields = ", ".join(f"{printable(n)}: {printable(self._privacy.header(n, v))}" for n, v in block.fields)
        self._write(
            f"{self.clock.of_day(block.time)}  {printable(block.service)}  {arrow} headers {block.direction} by the "
            f"{block.side}, stream {block.stream}: {fields}"
        )

    def _text(self, report: Report) -> str:
        span, a = report.span, report.attributes
        arrow = "→" if span.rule.kind == "client" else "←"
        if span.rule.system == "grpc":
            what = f"{a['rpc.method']}"
            status = str(a.get("rpc.response.status_code", span.outcome or "?"))
        else:
            target = a.get("url.full") or str(a.get("url.path", "")) + (
                f"?{a['url.query']}" if a.get("url.query") else ""
            )
            what = f"{a.get('http.request.method_original', a['http.request.method'])} {target}"
            if a.get("http.route"):
                what += f"  ({a['http.route']})"
            status = str(a.get("http.response.status_code", span.outcome or "?"))
        peer = a.get("network.peer.address") or a.get("server.address")
        port = a.get("network.peer.port") or a.get("server.port")
        address = f"  {peer}:{port}" if peer and port else ""
        queued = "" if span.queued is None else f" after {duration_text(span.start - span.queued)} in queue"
        line = (
            f"{self.clock.of_day(span.start)}  {span.service}  {arrow} {span.rule.system} {status}  {what}  "
            f"{duration_text(span.duration_ns)}{queued}{address}{_connection_text(report)}"
        )
        if report.failed and report.error != status:
            line += f"  error {report.error}"
        if report.message:
            line += f"  {report.message!r}"
        if report.headers:
            line += "  headers " + ", ".join(
                f"{name.partition('.header.')[2] or name}: {'; '.join(values) if isinstance(values, list) else values}"
                for name, values in report.headers.items()
            )
        return printable(line)

    def _write(self, line: str) -> None:
        with self._lock:
            if self.failed is not None:
                return
            try:
                self._stream.write(line + "\n")
            except OSError as e:
                self.failed = e

    def flush(self) -> None:
        with self._lock:
            if self.failed is None:
                try:
                    self._stream.flush()
                except OSError as e:
                    self.failed = e
