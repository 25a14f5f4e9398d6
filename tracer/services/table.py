# SPDX-License-Identifier: Apache-2.0
"""A live table on a terminal: requests a second, errors and percentiles, by service and route."""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import IO

from tracer.errors import printable
from tracer.services.lines import duration_text
from tracer.services.semconv import UNKNOWN_ROUTE, Report

ROWS_MAX = 1000
INTERVAL_S = 1.0
# Durations in classes of which eight make an octave, so percentiles are right to 1/8.
_CLASSES_PER_OCTAVE = 8


def duration_class(ns: int) -> int:
    if ns < _CLASSES_PER_OCTAVE:
        return max(ns, 0)
    octave = ns.bit_length() - 4
    return octave * _CLASSES_PER_OCTAVE + (ns >> octave)


def class_end(index: int) -> int:
    """The longest duration of a class, in ns."""
    if index < 2 * _CLASSES_PER_OCTAVE:
        return index
    octave = index // _CLASSES_PER_OCTAVE - 1
    return ((index - octave * _CLASSES_PER_OCTAVE + 1) << octave) - 1


@dataclass
class Row:
    total: int = 0
    errors: int = 0
    since: int = 0  # requests since the last drawing
    rate: float = 0.0
    classes: dict[int, int] = field(default_factory=dict)

    def percentile(self, share: float) -> int:
        wanted, seen = share * self.total, 0
        for index in sorted(self.classes):
            seen += self.classes[index]
            if seen >= wanted:
                return class_end(index)
        return 0


class Table:
    """From any thread; draw() from one."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._rows: OrderedDict[tuple[str, str], Row] = OrderedDict()
        self._lock = threading.Lock()
        self._drawn = time.monotonic()
        self._lines = 0
        self.evicted = 0

    def add(self, report: Report) -> None:
        a = report.metric_attributes
        if report.span.rule.system == "grpc":
            what = str(a["rpc.method"])
        else:
            what = f"{a['http.request.method']} {a.get('http.route') or a.get('server.address') or UNKNOWN_ROUTE}"
        arrow = "→ " if report.span.rule.kind == "client" else ""
        key = (report.span.service, arrow + what)
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                if len(self._rows) >= ROWS_MAX:
                    self._rows.popitem(last=False)
                    self.evicted += 1
                row = self._rows[key] = Row()
            row.total += 1
            row.since += 1
            row.errors += report.failed
            index = duration_class(report.span.duration_ns)
            row.classes[index] = row.classes.get(index, 0) + 1

    def text(self, width: int = 100, height: int = 40) -> list[str]:
        with self._lock:
            now = time.monotonic()
            passed = max(now - self._drawn, 1e-3)
            self._drawn = now
            for row in self._rows.values():
                row.rate, row.since = row.since / passed, 0
            rows = sorted(self._rows.items(), key=lambda item: (-item[1].rate, -item[1].total, item[0]))
            lines = [f"{'SERVICE':<16} {'ROUTE':<36} {'REQ/S':>8} {'TOTAL':>9} {'ERRORS':>7} {'P50':>8} {'P99':>8}"]
            for (service, what), row in rows[: max(height - 3, 1)]:
                lines.append(
                    f"{_fit(service, 16)} {_fit(what, 36)} {row.rate:>8.1f} {row.total:>9} {row.errors:>7} "
                    f"{duration_text(row.percentile(0.5)):>8} {duration_text(row.percentile(0.99)):>8}"
                )
            if len(rows) > height - 3:
                lines.append(f"… {len(rows) - max(height - 3, 1)} more")
        return [line[:width] for line in lines]

    def draw(self) -> None:
        size = shutil.get_terminal_size()
        lines = self.text(size.columns, size.lines)
        up = f"\x1b[{self._lines}A" if self._lines else ""
        self._stream.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
        self._stream.flush()
        self._lines = len(lines)


def _fit(text: str, width: int) -> str:
    shown = printable(text)
    return (shown if len(shown) <= width else shown[: width - 1] + "…").ljust(width)
