# SPDX-License-Identifier: Apache-2.0
"""The probes of one executable: a plan for each function that a rule needs, one collector, and a thread that reads what
it tells."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO

from tracer import threads
from tracer.collector import Collector
from tracer.discover.criteria import Criterion
from tracer.discover.kinds import Kind
from tracer.discover.procfs import Process, environment_of
from tracer.errors import NothingToTraceError, TracerError, UsageError
from tracer.options import TraceOptions
from tracer.plan import Plan, Program
from tracer.services.check import ELEMENTS, STRING_SIZE, Checker, FittedHook, Verdict, reading
from tracer.services.engine import Engine, HeaderBlock, Span, targets
from tracer.services.rules import Rule, all_rules

ENDED_MAX = 1024  # processes of one executable
NAME_MAX = 256  # characters of a service's name
PIPE_SIZE = 1 << 20  # bytes: what the collector may be ahead of this process


@dataclass(frozen=True)
class ProbeOptions:
    groups: frozenset[str] = frozenset()
    buffer_size: int = 32 << 20
    buffer: str = ""
    attach: str = ""
    service_name: str = ""  # of every process; "": each by its own


@dataclass
class _Function:
    """Hooks of all rules on one function: planned and probed once."""

    name: str
    at_return: bool = False
    expressions: dict[str, None] = field(default_factory=dict)
    hooks: list[tuple[Rule, FittedHook]] = field(default_factory=list)

    def hooks_at(self, at_return: bool) -> list[tuple[Rule, FittedHook]]:
        return [(rule, fitted) for rule, fitted in self.hooks if fitted.hook.at_return == at_return]


def check_program(program: Program, groups: frozenset[str]) -> list[Verdict]:
    checker = Checker(program, groups)
    return [checker.check(rule) for rule in all_rules()]


def why_nothing_fits(verdicts: Sequence[Verdict]) -> str:
    reasons = [f"{v.rule.name}: {v.why}" for v in verdicts if v.relevant and not v.fits]
    return "no rule fits (" + "; ".join(reasons or ["no library that is known"]) + ")"


def grouped(verdicts: Sequence[Verdict]) -> list[_Function]:
    """What is to be probed."""
    functions: dict[str, _Function] = {}
    for verdict in verdicts:
        for fitted in verdict.hooks if verdict.fits else ():
            function = functions.setdefault(fitted.function, _Function(fitted.function))
            function.at_return |= fitted.hook.at_return
            function.expressions.update(dict.fromkeys(expression for _, expression in fitted.fields))
            function.hooks.append((verdict.rule, fitted))
    return list(functions.values())


def trace_options(options: ProbeOptions) -> TraceOptions:
    return TraceOptions(
        format="jsonl",
        string_size=STRING_SIZE,
        depth=0,
        elements=ELEMENTS,
        buffer_size=options.buffer_size,
        compact=True,
        read_goids=True,
        buffer=options.buffer,
        attach=options.attach,
    )


class ServiceNames:
    """By process. Those of processes that have ended stay for what they have still sent: the last ENDED_MAX."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()

    def add(self, pid: int, name: str) -> None:
        self._ended.pop(pid, None)
        self._names[pid] = name

    def remove(self, pid: int) -> None:
        self._ended[pid] = None
        if len(self._ended) > ENDED_MAX:
            self._names.pop(self._ended.popitem(last=False)[0], None)

    def of(self, pid: int) -> str:
        return self._names.get(pid, "")

    def __len__(self) -> int:
        return len(self._names)


class ServiceProbes:
    """Tracing of one executable (tracer.discover.attacher.Tracing)."""

    def __init__(
        self,
        process: Process,
        kind: Kind,
        options: ProbeOptions,
        out: Callable[[Span], None],
        out_headers: Callable[[HeaderBlock], None],
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        """TracerError where no rule fits, or the kernel refuses."""
        self.began = time.monotonic()
        self.path, self.kind = process.exe_path, kind
        self._options = options
        self._services = ServiceNames()
        self._out, self._out_headers, self._warn = out, out_headers, warn
        self._closed = False
        with ExitStack() as stack:
            self._fd = open_executable(process)
            stack.callback(os.close, self._fd)
            self._plans: list[Plan] = []
            stack.callback(self._close_plans)
            with Program(f"/proc/self/fd/{self._fd}", process.exe_path) as program:
                self.verdicts = check_program(program, options.groups)
                self._functions = grouped(self.verdicts)
                if not any(v.fits and v.rule.kind != "none" for v in self.verdicts):
                    raise NothingToTraceError(why_nothing_fits(self.verdicts))
                for function in self._functions:
                    self._plans.append(
                        program.plan([function.name], [], reading(function.expressions, function.at_return))
                    )
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
            _enlarge(write_fd)
            stack.callback(os.close, write_fd)
            lines = stack.enter_context(os.fdopen(read_fd, "rb"))
            self._collector = Collector(trace_options(options), write_fd, filter_pids=True)
            stack.callback(self._collector.close)
            self.engine = self._prepare()
            self._lock = threading.Lock()
            self._collector.start()
            self._thread = threads.start(lambda: self._read(lines), "events")
            self._stack = stack.pop_all()
            self._write_fd = write_fd

    def _prepare(self) -> Engine:
        """Compile, load and attach. The engine knows each function by the number that the collector gives it."""
        from tracer.program_cache import CachedCompiler

        calls, returns, fid = [], [], 0
        for function, plan in zip(self._functions, self._plans):
            self._collector.add_plan(plan, self._fd)
            n = sum(1 for _ in plan.functions())
            fids = [*range(fid, fid + n)]
            calls.append((fids, function.hooks_at(False)))
            returns.append((fids, function.hooks_at(True)))
            fid += n
        compiler = CachedCompiler()
        try:
            self._collector.load(compiler.program("call.bpf.c", self._collector.cflags()))
        finally:
            compiler.cancel()
        self.load_report, self.load_warning = self._collector.load_report(), self._collector.load_warning()
        self._collector.attach()
        return Engine(targets(calls), targets(returns), self._named, self._named_headers)

    def _close_plans(self) -> None:
        for plan in self._plans:
            plan.close()

    # ---- processes ----------------------------------------------------------------------------------------------

    def add(self, process: Process, criterion: Criterion) -> None:
        self._services.add(process.pid, service_name(process, criterion, self._options.service_name))
        self._collector.set_pid(process.pid, True)

    def remove(self, process: Process) -> None:
        self._collector.set_pid(process.pid, False)
        self._services.remove(process.pid)

    def service(self, pid: int) -> str:
        return self._services.of(pid) or clean_name(os.path.basename(self.path))  # noqa: PTH119

    def _named(self, span: Span) -> None:
        span.service = self.service(span.pid)
        self._out(span)

    def _named_headers(self, block: HeaderBlock) -> None:
        block.service = self.service(block.pid)
        self._out_headers(block)

    # ---- events -------------------------------------------------------------------------------------------------

    def _read(self, lines: IO[bytes]) -> None:
        """To the end, whatever fails at an event: the collector waits for who reads, and loses events then."""
        while True:
            line = b""
            try:
                line = lines.readline()
                if not line:
                    return
                self._take(line)
            except Exception as e:
                self.engine.counters.failed += 1
                if self.engine.counters.failed == 1:
                    self._warn(f"{self.path}: an event failed: {type(e).__name__}: {e}".rstrip(": "))
                if not line and not isinstance(e, MemoryError):
                    return  # the pipe itself

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            self.engine.counters.malformed += 1
            return
        with self._lock:
            self.engine.feed(event)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def sites(self) -> int:
        return sum(plan.counts()[1] + plan.counts()[2] for plan in self._plans)

    def tick(self) -> None:
        with self._lock:
            self.engine.tick(time.monotonic_ns())

    def close(self) -> None:
        """Take the probes away, and let what was seen come out."""
        if self._closed:
            return
        self._closed = True
        self._collector.disable()
        try:
            self._collector.stop()
            counters = self.engine.counters
            counters.lost = max(counters.lost, self._collector.summary().lost)  # misses of the kernel too
        finally:
            stack, self._stack = self._stack, ExitStack()
            # the collector writes no more: without its end of the pipe the reader comes to the end
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, self._write_fd, inheritable=False)
            os.close(nowhere)
            self._thread.join()
            self.engine.finish()
            stack.close()


def _enlarge(fd: int) -> None:
    import fcntl

    try:
        fcntl.fcntl(fd, 1031, PIPE_SIZE)  # F_SETPIPE_SZ, which Python names from 3.10 on
    except OSError:
        pass  # a user's limit: smaller then


def open_executable(process: Process) -> int:
    """A descriptor of what the process runs, if it is still what was seen."""
    path = f"/proc/{process.pid}/exe"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise UsageError(f"cannot open the executable of process {process.pid}: {e.strerror}") from None
    st = os.fstat(fd)
    if (st.st_dev, st.st_ino) != (process.exe.dev, process.exe.ino):
        os.close(fd)
        raise TracerError(f"process {process.pid} runs another file by now")
    return fd


def service_name(process: Process, criterion: Criterion, common: str = "") -> str:
    """What the process was told itself (OTEL_SERVICE_NAME), else its criterion's, else ours, else by its file."""
    return clean_name(_given_name(process, criterion, common))


def clean_name(text: str) -> str:
    """As text that can be sent: a process chooses its name, and a file's need not be UTF-8."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text[:NAME_MAX])


def _given_name(process: Process, criterion: Criterion, common: str) -> str:
    own = environment_of(process.pid, ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"))
    if own.get("OTEL_SERVICE_NAME"):
        return own["OTEL_SERVICE_NAME"]
    for pair in own.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.name" and value.strip():
            return value.strip()
    return criterion.name or common or os.path.basename(process.exe_path)  # noqa: PTH119


__all__ = ["ProbeOptions", "ServiceProbes", "check_program", "why_nothing_fits"]
