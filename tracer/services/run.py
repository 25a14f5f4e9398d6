# SPDX-License-Identifier: Apache-2.0
"""`services` from start to end: discovery in the main thread, events in a thread for each executable, exports in
threads of their own."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Callable

from tracer.discover.attacher import Attacher, Tracing
from tracer.discover.criteria import Criterion
from tracer.discover.kernel_events import open_kernel_events
from tracer.discover.kinds import GO, Kind, kind_of, maps_of
from tracer.discover.pipeline import Discovery
from tracer.discover.procfs import Process
from tracer.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, NothingToTraceError, TracerError, printable
from tracer.services.engine import Counters, HeaderBlock, Span
from tracer.services.lines import Lines
from tracer.services.metrics import Metrics
from tracer.services.privacy import Privacy
from tracer.services.probes import ProbeOptions, ServiceProbes, open_executable
from tracer.services.rules import usable_functions
from tracer.services.semconv import report
from tracer.services.table import INTERVAL_S, Table

FLUSH_S = 0.2
KINDS_MAX = 4096  # executables whose kind is remembered


@dataclass(frozen=True)
class ServiceOptions:
    criteria: Callable[[], list[Criterion]]  # read again on SIGHUP
    probes: ProbeOptions = field(default_factory=ProbeOptions)
    privacy: Privacy = field(default_factory=Privacy)
    poll_s: float = 5.0
    format: str = "text"  # "text", "jsonl", "table", "none"
    prometheus_port: int | None = None
    prometheus_address: str = "127.0.0.1"
    otlp_url: str | None = None
    duration: float | None = None
    quiet: bool = False
    verbose: bool = False
    kernel_events: bool = True


class Service:
    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        self._metrics = Metrics()
        self._otlp: Any = None
        self._table: Table | None = None
        self._lines: Lines | None = None
        self._kinds: dict[tuple[int, ...], Kind] = {}
        self._usable = usable_functions()
        self._probes: list[ServiceProbes] = []
        self._past = Counters()  # of executables that have ended
        self._discovery: Discovery | None = None
        self._attacher = Attacher(self._kind, self._make, self.note, self._traced)
        self._stop = self._reload = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> int:
        with ExitStack() as stack:
            stack.callback(os.close, self._wake_read)
            stack.callback(os.close, self._wake_write)
            _raise_file_limit()
            criteria = self._options.criteria()
            self._open_outputs(stack)
            self._open_discovery(criteria, stack)
            self._take_signals(stack)
            self._loop()
        self._summary()
        if self._lines is not None and self._lines.failed is not None:
            if isinstance(self._lines.failed, BrokenPipeError):
                return EXIT_OK
            raise TracerError(f"writing failed: {self._lines.failed.strerror}", EXIT_FAILED)
        return EXIT_OK

    # ---- set-up -------------------------------------------------------------------------------------------------

    def _open_outputs(self, stack: ExitStack) -> None:
        o = self._options
        if o.format == "table":
            self._table = Table(sys.stdout)
        elif o.format in ("text", "jsonl"):
            self._lines = Lines(sys.stdout, o.format == "jsonl", o.privacy)
        if o.prometheus_port is not None:
            from tracer.services.prometheus import PrometheusServer

            server = PrometheusServer(o.prometheus_port, self._metrics, self.counters, o.prometheus_address)
            stack.callback(server.close)
            self.note(f"metrics for Prometheus: http://{o.prometheus_address}:{server.port}/metrics")
        if o.otlp_url is not None:
            from tracer.services.otlp import Otlp

            self._otlp = Otlp(o.otlp_url, self._metrics, self.warning)
            stack.callback(self._otlp.close)

    def _open_discovery(self, criteria: list[Criterion], stack: ExitStack) -> None:
        events, why = open_kernel_events() if self._options.kernel_events else (None, "--no-events")
        self._discovery = Discovery(criteria, self._attacher, self._options.poll_s, events, warn=self.warning)
        stack.callback(self._discovery.close)
        at_once = "at once" if events else f"at the next poll ({why})"
        for criterion in criteria:
            self.note(f"services with {criterion}" + (f", as {criterion.name}" if criterion.name else ""))
        self.note(f"poll every {self._options.poll_s:g} s; new processes and ports are seen {at_once}; Ctrl-C ends")
        if events is not None:
            for source, reason in events.missing.items():
                self.detail(f"no events of {source}: {reason}")

    def _kind(self, process: Process) -> Kind:
        """Remembered by the file as it is: an inode's number may be given to another one."""
        fd = open_executable(process)
        try:
            st = os.fstat(fd)
            key = (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
            kind = self._kinds.get(key) or kind_of(f"/proc/self/fd/{fd}", maps_of(process.pid), self._usable)
        finally:
            os.close(fd)
        if not kind.failed:
            if len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            self._kinds[key] = kind
        return kind

    def _make(self, process: Process, kind: Kind) -> Tracing | None:
        if kind.name != GO:
            raise NothingToTraceError(f"{kind.name} ({kind.why}); only Go services are traced yet")
        probes = ServiceProbes(process, kind, self._options.probes, self._span, self._headers, self.warning)
        self._probes.append(probes)
        return probes

    def _traced(self, probes: Tracing, process: Process) -> None:
        assert isinstance(probes, ServiceProbes)
        rules = ", ".join(v.rule.name for v in probes.verdicts if v.fits)
        self.note(
            f"{process.exe_path}: process {process.pid}, {probes.kind.go_version}: {rules} "
            f"({probes.sites} probes, after {1000 * (time.monotonic() - probes.began):.0f} ms)"
        )
        if probes.load_warning:
            self.warning(probes.load_warning)
        self.detail(f"  {probes.load_report}")
        for verdict in probes.verdicts:
            if verdict.relevant and not verdict.fits:
                self.detail(f"  not {verdict.rule.name}: {verdict.why}")
            for fitted in verdict.hooks:
                for name, reason in fitted.missing:
                    self.detail(f"  {verdict.rule.name} without {name}: {reason}")

    def _take_signals(self, stack: ExitStack) -> None:
        def stop(signum: int, frame: FrameType | None) -> None:
            if self._stop and signum == signal.SIGINT:
                os._exit(EXIT_INTERRUPTED)
            self._stop = True
            self._wake()

        def reload(signum: int, frame: FrameType | None) -> None:
            self._reload = True
            self._wake()

        for signum, handler in ((signal.SIGINT, stop), (signal.SIGTERM, stop), (signal.SIGHUP, reload)):
            stack.callback(signal.signal, signum, signal.signal(signum, handler))
        # also what another thread takes wakes this one
        before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, before)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            pass

    # ---- while it runs ------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        assert self._discovery is not None
        o = self._options
        end = None if o.duration is None else time.monotonic() + o.duration
        next_draw = next_tick = time.monotonic() + INTERVAL_S
        while not self._stop:
            now = time.monotonic()
            if end is not None and now >= end:
                return
            left = FLUSH_S if end is None else min(FLUSH_S, end - now)
            if self._discovery.step(left, self._wake_read):
                os.read(self._wake_read, 4096)
            if self._reload:
                self._reload = False
                self._read_again()
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + INTERVAL_S
                self._tick()
            if self._table is not None and now >= next_draw:
                next_draw = now + INTERVAL_S
                self._table.draw()
            if self._lines is not None:
                self._lines.flush()
                if self._lines.failed is not None:
                    return

    def _tick(self) -> None:
        for out in (self._lines, self._otlp):
            if out is not None:
                out.clock.measure()
        for probes in self._probes:
            if probes.closed:
                self._add_past(probes)
            else:
                probes.tick()
        self._probes = [p for p in self._probes if not p.closed]

    def _add_past(self, probes: ServiceProbes) -> None:
        for name, value in probes.engine.counters.as_dict().items():
            setattr(self._past, name, getattr(self._past, name) + value)

    def _read_again(self) -> None:
        assert self._discovery is not None
        try:
            criteria = self._options.criteria()
        except TracerError as e:
            self.warning(f"SIGHUP: {e.message}; what was asked for before stays")
            return
        self._discovery.replace(criteria)
        self.note("SIGHUP: " + "; ".join(map(str, criteria)))

    def _span(self, span: Span) -> None:
        made = report(span, self._options.privacy)
        self._metrics.add(made)
        if self._lines is not None:
            self._lines.span(made)
        if self._table is not None:
            self._table.add(made)
        if self._otlp is not None:
            self._otlp.add(made)

    def _headers(self, block: HeaderBlock) -> None:
        if self._lines is not None:
            self._lines.headers(block)

    def counters(self) -> dict[str, int]:
        total = self._past.as_dict()
        for probes in list(self._probes):
            for name, value in probes.engine.counters.as_dict().items():
                total[name] += value
        total["open_spans"] = sum(p.engine.open_spans for p in self._probes)
        total["series_overflowed"] = self._metrics.overflowed
        total["executables_refused"] = self._attacher.refused
        total["unexpected_failures"] = self._attacher.unexpected
        if self._discovery is not None:
            total["looks_failed"] = self._discovery.looks_failed
            total["looks_skipped"] = self._discovery.looks_skipped
        if self._otlp is not None:
            total.update(otlp_sent=self._otlp.sent, otlp_dropped=self._otlp.dropped, otlp_failed=self._otlp.failed)
        if self._table is not None:
            total["rows_evicted"] = self._table.evicted
        return total

    # ---- words --------------------------------------------------------------------------------------------------

    def _summary(self) -> None:
        self._tick()
        if self._lines is not None:
            self._lines.flush()
        if self._table is not None:
            self._table.draw()
        counters = self.counters()
        spans = counters.pop("spans")
        rest = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counters.items() if value)
        self.note(f"{spans} spans" + (f"; {rest}" if rest else "; nothing lost"))

    def note(self, line: str) -> None:
        if not self._options.quiet:
            self._say(line)

    def detail(self, line: str) -> None:
        if self._options.verbose:
            self._say(line)

    def warning(self, line: str) -> None:
        self._say(f"warning: {line}")

    @staticmethod
    def _say(line: str) -> None:
        try:
            sys.stderr.write(printable(line) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass


def _raise_file_limit() -> None:
    """As many descriptors as the process may have: each executable takes some tens (probes, programs, files)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # what there is has to do
