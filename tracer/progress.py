# SPDX-License-Identifier: Apache-2.0
"""One line on a terminal that tells how a trace goes, while its events go elsewhere."""

from __future__ import annotations

import os
import sys
import time

from tracer.binary import OpenedBinary
from tracer.collector import Collector
from tracer.options import TraceOptions
from tracer.plan import Plan
from tracer.report import plural
from tracer.session import Sums
from tracer.summary import Summary

INTERVAL_S = 0.5


class Line:
    """The last line of stderr, written anew. Where stderr is no terminal nothing is written."""

    def __init__(self, wanted: bool) -> None:
        self.shown = wanted and sys.stderr.isatty()
        self._started = time.monotonic()

    def begin(self) -> None:
        self._started = time.monotonic()

    def show(self, calls: int, now: float) -> None:
        """`now` in seconds, monotonic."""
        self._write(f"\r{plural(calls, 'call')}, {now - self._started:.0f} s\x1b[K")

    def clear(self) -> None:
        self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self.shown:
            sys.stderr.write(text)
            sys.stderr.flush()


def wanted(options: TraceOptions) -> bool:
    """Not where events come to the terminal themselves, while the trace runs."""
    to_terminal = options.output in (None, "-") and os.isatty(1) and options.format in ("text", "jsonl")
    return not options.quiet and not to_terminal


class Progress(Sums):
    """Of a trace that sends its events."""

    def __init__(self, options: TraceOptions) -> None:
        self._line = Line(wanted(options))
        self._fids: list[int] = []
        if self._line.shown:
            self.interval = INTERVAL_S

    def begin(self, plan: Plan, binary: OpenedBinary) -> None:
        if self._line.shown:
            self._fids = [fid for fid, f in enumerate(plan.functions()) if f.sites and not f.refused]
            self._line.begin()

    def tick(self, collector: Collector, now: float) -> None:
        self._line.show(sum(map(collector.calls, self._fids)), now)

    def end(self, collector: Collector, summary: Summary) -> None:
        self._line.clear()
