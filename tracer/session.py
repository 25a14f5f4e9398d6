# SPDX-License-Identifier: Apache-2.0
"""One trace, start to end: plan → compile → load → attach → run the command → wait → stop → summary.

C does the work in threads of its own, and what may take long (load, attach, drain, detach) runs beside the main
thread here too, which only waits: so a signal is answered at once, whatever C is doing.
"""

from __future__ import annotations

import dataclasses
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from types import FrameType
from typing import Any, Callable, NoReturn, TypeVar

from tracer import __version__, native, output, processes
from tracer.binary import OpenedBinary, open_binary
from tracer.command import Command
from tracer.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    NothingToTraceError,
    TracerError,
    printable,
    take,
    text,
)
from tracer.hints import FUNCTIONS_MAX
from tracer.plan import Plan, ReadOptions
from tracer.report import Messages, dry_run, plural
from tracer.rewriting import RewriteRequest, Rewriting
from tracer.splitting import StatusSite, find_status_site
from tracer.summary import Summary

PROGRAM_FILES = {
    "trace": "call.bpf.c",
    "rewrite": "rewrite.bpf.c",
    "count": "aggregate.bpf.c",
    "hist": "aggregate.bpf.c",
    "stack": "aggregate.bpf.c",
}
EVENT_MODES = ("trace", "rewrite")  # each hit gives a line
WAIT_SLICE_MS = 50  # how long the watcher stays in C before it looks whether the trace has ended
SLOW_DETACH_S = 1.0  # from here on the start line says it
MASK_64 = (1 << 64) - 1
COMMAND_POLL_S = 0.05  # only where the kernel has no pidfd

T = TypeVar("T")


@dataclass(frozen=True)
class TraceOptions:
    """What is traced and how; the defaults are those of the command line."""

    mode: str = "trace"  # a key of PROGRAM_FILES; in the others the kernel sums and nothing is written
    binary: str | None = None
    debug_file: str | None = None
    functions: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    command: tuple[str, ...] = ()
    duration: float | None = None  # seconds
    max_calls: int | None = None
    max_rate: int | None = None  # calls a second
    sample_each: int | None = None  # one call of so many
    args: bool = True
    results: bool = True
    returns: bool = True
    string_size: int = 256
    depth: int = 2
    elements: int = 64
    raw_words: bool = False
    expressions: tuple[str, ...] = ()  # "EXPR, EXPR …": read only this of the arguments
    stack: int = 0  # frames of the stack with each call and return
    where: str | None = None  # a condition: only calls of which it is true (docs/design.md, "Conditions")
    by: str | None = None  # hist: a value by which calls are split
    split: bool = False  # hist: also how long calls did not run, and why
    mask: str | None = None  # regular expression: names whose values are not shown
    format: str = "text"
    output: str | None = None
    out_fd: int | None = None  # where to write instead of `output`; not closed
    color: str = "auto"
    buffer_size: int = 16 << 20  # bytes
    compact: bool = False  # events take the room they need in the buffer; each costs a copy more
    read_goids: bool = False  # at each hit, without a probe where goroutines end
    buffer: str = ""  # "ring", "perf"; "" chooses
    attach: str = ""  # "multi", "perf"; "" chooses
    quiet: bool = False
    verbose: bool = False
    fail_on_loss: bool = False
    force: bool = False  # also what takes long to end
    dry_run: bool = False
    show_program: bool = False
    rewrite: RewriteRequest | None = None  # with mode "rewrite": what is changed

    @property
    def reading(self) -> ReadOptions:
        return ReadOptions(
            args=self.args,
            results=self.results,
            returns=self.returns,
            string_size=self.string_size,
            depth=self.depth,
            elements=self.elements,
            raw_words=self.raw_words,
            expressions=self.expressions,
            where=self.where,
            by=self.by,
        )


@dataclass(frozen=True)
class OffTimes:
    """What calls spent otherwise than on a CPU. known_ns: of all their time, that of which this is known."""

    known_ns: int
    runnable_ns: int
    blocked_ns: int

    @property
    def on_cpu_ns(self) -> int:
        return self.known_ns - self.runnable_ns - self.blocked_ns


@dataclass(frozen=True)
class Durations:
    """From call to return, of one function. `classes`: [from, to) in ns → calls, in order, empty ones left out."""

    count: int
    total_ns: int
    max_ns: int
    classes: dict[tuple[int, int], int]
    off: OffTimes | None = None  # with TraceOptions.split


class Remainder(Enum):
    """Calls that --by could not give a value."""

    OTHER = "other"  # more values came than are told apart
    NOTHING = "no value"  # a nil pointer on the way, an index past the end, another type
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Split:
    """Durations of the calls of one function that had one value."""

    fid: int
    value: int | bool | str | Remainder
    cut: int  # of a string that was longer than what is told apart: its length in bytes; else 0
    durations: Durations


@dataclass(frozen=True)
class CallerStack:
    """How a function was reached: link addresses, the function first, then return addresses outwards."""

    fid: int
    pid: int
    count: int
    cut: bool  # more frames than these were there: the kernel's table was full
    frames: list[int]


class Sums:
    """What a verb does with sums: overridden by those that have any."""

    interval: float | None = None
    """Seconds between two calls of tick(); None: never."""

    def begin(self, plan: Plan, binary: OpenedBinary) -> None:
        """All probes are in place."""

    def tick(self, collector: Collector, now: float) -> None:
        """`now` in seconds, monotonic."""

    def end(self, collector: Collector, summary: Summary) -> None:
        """Tracing has ended, and the sums can still be read."""


class Signals:
    """What ends a trace early. As a context: Ctrl-C and SIGTERM too, by what the trace is doing when they come."""

    def __init__(self) -> None:
        self.wake_read, self.wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.disable: Callable[[], None] | None = None
        """Set while there is a trace to end; until then a signal ends the set-up."""
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup asks to outlive the terminal. SIGINT is answered even so: a script's shell has its background
            # jobs ignore it, and then means it when it sends it.
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                self._before[signum] = signal.signal(signum, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self.close()

    def close(self) -> None:
        os.close(self.wake_read)
        os.close(self.wake_write)

    def stop(self) -> None:
        """End the trace, as a signal would; before it has begun, as soon as it has."""
        if self.received is None:
            self.received = 0
            if self.disable:
                self.disable()
            self.wake()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self.disable is None:
            _leave_at_once(signum)
        if self.received is not None:
            if signum == signal.SIGINT:
                os._exit(EXIT_INTERRUPTED)
            return
        self.received = signum
        self.disable()
        self.wake()

    def wake(self) -> None:
        try:
            os.write(self.wake_write, b"!")
        except BlockingIOError:
            pass  # full: it will wake anyway


def _leave_at_once(signum: int) -> NoReturn:
    """End while nothing is traced yet. C may be at work in another thread, so nothing is taken down under it:
    the kernel closes what is open, and a command that waits for its start leaves when our end of its pipe goes."""
    try:
        sys.stderr.write("interrupted before tracing began\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError, RuntimeError):
        pass
    os._exit(128 + signum)


def beside(work: Callable[[], T]) -> T:
    """Run C that may take long in another thread, so that signals are answered meanwhile."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Collector:
    """The C collector, one method for each of its functions that are used here."""

    def __init__(
        self,
        options: TraceOptions,
        out_fd: int,
        filter_pids: bool,
        rewriting: Rewriting | None = None,
        split: StatusSite | None = None,
    ) -> None:
        self._module = native.collector()
        self._ffi, self._lib = self._module.ffi, self._module.lib
        ffi, lib = self._ffi, self._lib
        self._version = ffi.new("char[]", __version__.encode())
        buffers = {"": lib.BUFFER_AUTO, "ring": lib.BUFFER_RING, "perf": lib.BUFFER_PERF}
        attachments = {"": lib.ATTACH_AUTO, "multi": lib.ATTACH_MULTI, "perf": lib.ATTACH_PERF}
        modes = {
            "trace": lib.MODE_TRACE,
            "rewrite": lib.MODE_TRACE,
            "count": lib.MODE_COUNT,
            "hist": lib.MODE_HIST,
            "stack": lib.MODE_STACK,
        }
        formats = {"text": lib.FORMAT_TEXT, "jsonl": lib.FORMAT_JSON, "gscope": lib.FORMAT_RECORDING}
        how = ffi.new("struct collector_options *")
        how.mode = modes[options.mode]
        how.buffer = buffers[options.buffer]
        how.attach = attachments[options.attach]
        how.format = formats[options.format] if options.mode in EVENT_MODES else lib.FORMAT_NONE
        how.buffer_size = options.buffer_size
        how.max_calls = options.max_calls or 0
        how.max_rate = options.max_rate or 0
        how.sample_each = options.sample_each or 0
        how.compact = options.compact
        how.read_goids = options.read_goids
        how.force = options.force
        how.filter_pids = filter_pids
        how.color = options.format == "text" and output.wants_color(options.color, out_fd)
        how.no_args, how.no_results, how.no_returns = (
            not options.args,
            not options.results,
            not options.returns,
        )
        how.out_fd = out_fd
        how.string_size, how.depth, how.elements = options.string_size, options.depth, options.elements
        how.stack = options.stack
        how.tracer_version = self._version
        if split is not None:
            how.split.file_off = split.file_offset
            for place, to in ((split.g, how.split.g), (split.status, how.split.status)):
                to.kind = lib.LOC_REGISTER if place.in_register else lib.LOC_STACK
                to.index, to.offset = (place.number, 0) if place.in_register else (0, place.number)
        self._split = split is not None
        if rewriting is not None:
            how.rewrite = ffi.cast("struct rewrite *", rewriting.address)
        self._mask = ffi.new("char[]", os.fsencode(options.mask)) if options.mask is not None else ffi.NULL
        how.mask = self._mask
        self._where = ffi.new("char[]", os.fsencode(options.where)) if options.where is not None else ffi.NULL
        how.where = self._where
        out = ffi.new("struct collector **")
        self._check(lib.collector_create(how, out))
        self._collector = out[0]

    def _check(self, err: Any) -> None:
        take(self._ffi, self._lib, err)

    def add_plan(self, plan: Plan, fd: int) -> None:
        out = self._ffi.new("uint32_t *")
        pointer = self._ffi.cast("struct plan *", plan.address)
        self._check(self._lib.collector_add_plan(self._collector, pointer, fd, out))

    def try_bpf(self) -> None:
        """Make a map and load a program, and forget them."""
        self._check(self._lib.doctor_try(self._lib.DOCTOR_BPF))

    def cflags(self) -> list[str]:
        return text(self._ffi, self._lib.collector_cflags(self._collector)).split()

    def load(self, blob: bytes) -> None:
        data = self._ffi.from_buffer(blob)
        self._check(self._lib.collector_load(self._collector, data, len(blob)))

    def load_report(self) -> str:
        return text(self._ffi, self._lib.collector_load_report(self._collector))

    def allow_pid(self, pid: int) -> None:
        self._check(self._lib.collector_allow_pid(self._collector, pid))

    def set_pid(self, pid: int, allowed: bool) -> None:
        """Also while tracing: this process too from now on, or no more."""
        self._check(self._lib.collector_set_pid(self._collector, pid, allowed))

    def attach(self) -> None:
        self._check(self._lib.collector_attach(self._collector))

    def detach_seconds(self) -> float:
        return float(self._lib.collector_detach_seconds(self._collector))

    def start(self) -> None:
        self._check(self._lib.collector_start(self._collector))

    def wait(self, timeout_ms: int) -> str:
        """What happened: "" (nothing yet), "limit", "closed", "failed", "exited"."""
        lib = self._lib
        names = {
            lib.COLLECTOR_LIMIT: "limit",
            lib.COLLECTOR_CLOSED: "closed",
            lib.COLLECTOR_FAILED: "failed",
            lib.COLLECTOR_EXITED: "exited",
        }
        return names.get(lib.collector_wait(self._collector, timeout_ms), "")

    def failure(self) -> str:
        return text(self._ffi, self._lib.collector_failure(self._collector)) or "writing failed"

    def disable(self) -> None:
        self._lib.collector_disable(self._collector)

    def stop(self) -> None:
        self._check(self._lib.collector_stop(self._collector))

    def summary(self) -> Summary:
        return Summary.read(self._ffi, self._lib.collector_summary(self._collector))

    # ---- sums: while tracing goes on, and after it --------------------------------------------------------

    def count(self, fid: int) -> int:
        """Calls of one function that were summed so far."""
        return int(self._lib.collector_count(self._collector, fid))

    def calls(self, fid: int) -> int:
        """Calls of one function so far, in any mode."""
        return int(self._lib.collector_calls(self._collector, fid))

    def durations(self, n_functions: int) -> list[Durations]:
        """By function (fid)."""
        lib = self._lib
        sums = self._ffi.new("struct collector_durations[]", max(n_functions, 1))
        self._check(lib.collector_durations(self._collector, sums, n_functions))
        return [self._durations(sums[i]) for i in range(n_functions)]

    def _durations(self, sums: Any) -> Durations:
        start = self._lib.duration_class_start
        classes = {(start(k), start(k + 1)): n for k, n in enumerate(sums.classes) if n}
        off = OffTimes(sums.known_ns, sums.runnable_ns, sums.blocked_ns) if self._split else None
        return Durations(sums.count, sums.total_ns, sums.max_ns, classes, off)

    def split_hits(self) -> tuple[int, int]:
        """What TraceOptions.split has cost so far: changes of goroutines' states, and switches of threads, that were
        looked at."""
        hits = self._lib.collector_split_hits(self._collector)
        return hits.states, hits.switches

    def splits(self) -> list[Split]:
        """With TraceOptions.by: one for each function and value, the longest in all first."""
        out, n = self._ffi.new("struct collector_split **"), self._ffi.new("uint32_t *")
        self._check(self._lib.collector_splits(self._collector, out, n))
        try:
            found = [
                Split(s.fid, *self._value(s.group, s.value), self._durations(s.durations))
                for s in (out[0][i] for i in range(n[0]))
            ]
        finally:
            self._lib.free(out[0])
        return sorted(found, key=lambda s: -s.durations.total_ns)

    def _value(self, group: int, key: Any) -> tuple[int | bool | str | Remainder, int]:
        """Of a group; of a string that was cut, its length."""
        lib = self._lib
        remainders = {
            lib.GROUP_OTHER: Remainder.OTHER,
            lib.GROUP_NOTHING: Remainder.NOTHING,
            lib.GROUP_UNREADABLE: Remainder.UNREADABLE,
        }
        if group in remainders:
            return remainders[group], 0
        value = int(key.value)
        if key.kind == lib.GROUP_STRING:
            data = bytes(self._ffi.buffer(key.text))[:value]
            return data.decode("utf-8", "replace"), value if value > lib.GROUP_TEXT else 0
        if key.kind == lib.GROUP_BOOL:
            return bool(value), 0
        return value - (1 << 64) if key.kind == lib.GROUP_SIGNED and value >> 63 else value, 0

    def stacks(self) -> list[CallerStack]:
        """One for each way that led to a function in a process, the most frequent first."""
        out, n = self._ffi.new("struct collector_stack **"), self._ffi.new("uint32_t *")
        self._check(self._lib.collector_stacks(self._collector, out, n))
        try:
            found = [
                CallerStack(
                    s.fid, s.pid, s.count, bool(s.cut), [(f - s.bias) & MASK_64 for f in s.frames[0 : s.n_frames]]
                )
                for s in (out[0][i] for i in range(n[0]))
            ]
        finally:
            self._lib.free(out[0])
        return sorted(found, key=lambda s: -s.count)

    def close(self) -> None:
        if self._collector:
            self._lib.collector_destroy(self._collector)
            self._collector = self._ffi.NULL


class Watcher:
    """Waits in C beside the main thread, and wakes it when something happened there."""

    def __init__(self, collector: Collector, signals: Signals) -> None:
        self.event = ""
        self._collector = collector
        self._signals = signals
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping and not self.event:
            self.event = self._collector.wait(WAIT_SLICE_MS)
        self._signals.wake()

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()


class Stopwatch:
    """How long each phase took, for -v."""

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()
        self.phases: list[tuple[str, float]] = []

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.phases.append((name, now - self.last))
        self.last = now

    def __str__(self) -> str:
        parts = [f"{name} {1000 * seconds:.0f} ms" for name, seconds in self.phases]
        return f"ready after {1000 * (self.last - self.start):.0f} ms: " + ", ".join(parts)


def trace(options: TraceOptions, sums: Sums | None = None) -> int:
    """Run one trace for the command line. Returns the exit code; raises TracerError for what cannot be traced."""
    with Signals() as signals:
        from tracer.progress import Progress

        return run_trace(options, signals, sums or Progress(options))


def run_trace(options: TraceOptions, signals: Signals, sums: Sums, out_fd: int | None = None) -> int:
    """Run one trace in this thread until it ends or `signals` ends it. out_fd: instead of options.output."""
    if out_fd is not None:
        options = dataclasses.replace(options, out_fd=out_fd)
    messages = Messages(quiet=options.quiet, verbose=options.verbose)
    messages.condition = options.where is not None
    with ExitStack() as stack:
        command = Command.find(list(options.command)) if options.command else None
        binary = stack.enter_context(
            open_binary(options.binary, options.pids, command.path if command else None, options.debug_file)
        )
        if options.dry_run and options.rewrite is None:
            plan = stack.enter_context(binary.planned(options.functions, options.excludes, options.reading))
            dry_run(binary, plan, sys.stdout)
            return EXIT_OK
        return _Trace(options, messages, signals, binary, command, sums).run(stack)


class _Trace:
    """The phases of `trace`, with what they hand to each other."""

    def __init__(
        self,
        options: TraceOptions,
        messages: Messages,
        signals: Signals,
        binary: OpenedBinary,
        command: Command | None,
        sums: Sums,
    ) -> None:
        self.options = options
        self.sums = sums
        self.messages = messages
        self.signals = signals
        self.binary = binary
        self.command = command
        self.watch = Stopwatch()
        self.traced: list[str] = []  # for hints; empty where there are many

    def run(self, stack: ExitStack) -> int:
        o, messages = self.options, self.messages
        compiler = stack.enter_context(self._compiler())
        rewriting = None
        if o.rewrite is not None:
            wanted = o.rewrite
            rewriting = stack.enter_context(beside(lambda: Rewriting(self.binary, wanted, o.reading)))
            plan = rewriting.plan
            if o.dry_run:
                rewriting.show(sys.stdout)
                return EXIT_OK
        else:
            plan = stack.enter_context(
                beside(lambda: self.binary.planned(o.functions, o.excludes, o.reading, on_miss=compiler.prepare))
            )
        self.watch.lap("plan")
        self._refuse_nothing(plan)
        self.traced = [f.name for f in plan.functions() if f.sites] if plan.counts()[0] <= FUNCTIONS_MAX else []
        if o.out_fd is not None or o.show_program or o.mode not in EVENT_MODES:
            out_fd = 1 if o.out_fd is None else o.out_fd
        else:
            out_fd = stack.enter_context(output.opened(o.output))
        only_command = self.command is not None and self.binary.is_file(self.command.path)
        split = beside(lambda: find_status_site(self.binary)) if o.split else None
        collector = Collector(o, out_fd, bool(o.pids) or only_command, rewriting, split)
        stack.callback(collector.close)
        collector.add_plan(plan, self.binary.fd)
        if o.show_program:
            return self._show_program(collector, plan)
        self._check_privilege(collector)
        if rewriting is not None:
            rewriting.check(o.pids)
            rewriting.confirm(o.pids, o.command if only_command else (), self.messages)
        blob = beside(lambda: compiler.program(PROGRAM_FILES[o.mode], collector.cflags(), self._filters(plan)))
        self.watch.lap("compile")
        beside(lambda: collector.load(blob))
        self.watch.lap("load")
        messages.detail(collector.load_report())
        if self.command:
            stack.callback(self.command.cancel)
            pid = self.command.fork()
            if only_command:
                collector.allow_pid(pid)
        for pid in o.pids:
            collector.allow_pid(pid)
        beside(collector.attach)
        self.watch.lap("attach")
        self._announce(plan, collector, rewriting)
        self.signals.disable = collector.disable
        stack.callback(setattr, self.signals, "disable", None)
        collector.start()
        if self.signals.received is not None:
            collector.disable()  # the signal came before there was something to disable
        self.sums.begin(plan, self.binary)  # its meta line says that every later call is seen
        self.watch.lap("start")
        messages.detail(str(self.watch))
        return self._until_the_end(collector)

    @contextmanager
    def _compiler(self) -> Iterator[Any]:
        from tracer.program_cache import CachedCompiler

        compiler = CachedCompiler(enabled=not self.options.show_program)
        try:
            yield compiler
        finally:
            compiler.cancel()

    def _refuse_nothing(self, plan: Plan) -> None:
        """An error where no function of the plan can be probed."""
        if plan.counts()[0]:
            return
        name, why = plan.refusals()[0]
        more = len(plan.refusals()) - 1
        raise NothingToTraceError(
            f"{name} cannot be traced: {why}" + (f"; nor can {plural(more, 'other function')}" if more else "")
        )

    def _check_privilege(self, collector: Collector) -> None:
        """Before BCC gets to complain in its own way. Not by the user id: capabilities may do, and root may lack
        them."""
        try:
            collector.try_bpf()
        except TracerError as e:
            message = f"the kernel does not let this user trace: {e.message}"
            hint = (
                "run it with sudo" if os.geteuid() else "root without CAP_BPF and CAP_PERFMON, or a locked down kernel?"
            )
            raise TracerError(message, hint=hint, code=e.code) from None

    def _filters(self, plan: Plan) -> str | None:
        """What the condition became, for the program."""
        from tracer.program import filters_text

        where, by = self.options.where, self.options.by
        return None if where is None and by is None else filters_text(plan.filters(), where, by)

    def _show_program(self, collector: Collector, plan: Plan) -> int:
        from tracer.program import assemble

        flags = " ".join(collector.cflags())
        sys.stdout.write(
            f"/* compiled with: {flags} */\n{assemble(PROGRAM_FILES[self.options.mode], filters=self._filters(plan))}"
        )
        return EXIT_OK

    def _announce(self, plan: Plan, collector: Collector, rewriting: Rewriting | None) -> None:
        o = self.options
        if plan.debug_file:
            self.messages.detail(f"debug information from {printable(plan.debug_file[0])}")
        if (o.args or o.results) and plan.no_dwarf:
            self.messages.without_values(plan.no_dwarf, o.raw_words)
        self.messages.plan_warnings(plan)
        if (o.pids or self.command) and not processes.in_initial_namespace():
            self.messages.warning(
                "process ids here are those of a container; the kernel counts them otherwise, and may find none"
            )
        end, seconds = self._end(), collector.detach_seconds()
        if seconds >= SLOW_DETACH_S:
            end += f", and takes up to {seconds:.0f} s then: this kernel takes probes away one by one"
        if rewriting is not None:
            for warning in rewriting.inlined_warnings():
                self.messages.warning(warning)
            self.messages.note(f"rewriting {rewriting.title}; {end}")
            return
        self.messages.start(self.binary, plan, end)
        if not (o.pids or self.command):
            pids = processes.running(self.binary.identity)
            if pids:
                shown = ", ".join(map(str, pids[:10])) + (" …" if len(pids) > 10 else "")
                self.messages.note(f"{plural(len(pids), 'process')} of it now: {shown}")
            else:
                self.messages.note("no process of it runs now; those that start are traced")

    def _end(self) -> str:
        """When the trace will end, for the start line."""
        o = self.options
        ends = []
        if o.max_calls:
            ends.append(f"ends after {plural(o.max_calls, 'change' if o.rewrite else 'call')}")
        if o.duration:
            ends.append(f"ends after {o.duration:g} s")
        if self.command:
            ends.append("ends with the command")
        return "; ".join(ends) or "Ctrl-C ends"

    def _until_the_end(self, collector: Collector) -> int:
        problem: TracerError | None = None
        watcher = Watcher(collector, self.signals)
        try:
            if self.command:
                self.command.release()
            self._wait(watcher, collector)
        except TracerError as e:
            problem = e  # the command cannot run
        collector.disable()
        beside(watcher.stop)
        if watcher.event == "failed":
            where = self.options.output if self.options.output not in (None, "-") else "standard output"
            problem = TracerError(f"writing the events to {where} failed: {collector.failure()}")
        try:
            beside(collector.stop)
        except TracerError as e:
            problem = problem or e
        summary = collector.summary()
        self.sums.end(collector, summary)
        beside(collector.close)
        if self.command and problem is None:
            self.command.poll()
            self.messages.note(f"{printable(self.command.argv[0])}: {self.command.describe()}")
        if self.options.rewrite is not None:
            problem = problem or self.messages.rewritten(summary)
        else:
            self.messages.summary(summary)
            if not problem and not self.options.quiet:
                self._hints(summary)
        if problem:
            raise problem
        if self.options.fail_on_loss and (summary.lost or not summary.reconciled):
            return EXIT_FAILED
        return EXIT_OK

    def _hints(self, summary: Summary) -> None:
        """What would have shown more, and how to open what was written."""
        from tracer import hints

        o = self.options
        for line in hints.of_values(summary, hints.Bounds(o.string_size, o.depth, o.elements)):
            self.messages.hint(line)
        for line in hints.of_calls(summary, self.binary.path, self.traced, self.binary.debug_file):
            self.messages.hint(line)
        if o.mode == "trace" and o.out_fd is None:
            for line in hints.of_file(o.format, o.output):
                self.messages.note(line)

    def _wait(self, watcher: Watcher, collector: Collector) -> None:
        """Until a signal, the collector's own end, the command's end or the time that was given."""
        deadline = None if self.options.duration is None else time.monotonic() + self.options.duration
        interval = self.sums.interval
        tick = None if interval is None else time.monotonic() + interval
        poll = select.poll()
        poll.register(self.signals.wake_read, select.POLLIN)
        pidfd = self._open_pidfd()
        if pidfd is not None:
            poll.register(pidfd, select.POLLIN)
        try:
            while self.signals.received is None and not watcher.event:
                if self.command and self.command.poll():
                    return
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                if tick is not None and interval is not None:
                    now = time.monotonic()
                    if now >= tick:
                        self.sums.tick(collector, now)
                        tick = max(tick + interval, now)
                    left = max(0.0, tick - now) if left is None else min(left, max(0.0, tick - now))
                if self.command and pidfd is None:
                    left = COMMAND_POLL_S if left is None else min(left, COMMAND_POLL_S)
                # rounded up, else it would turn idly in the last millisecond
                poll.poll(None if left is None else int(1000 * left) + 1)
        finally:
            if pidfd is not None:
                os.close(pidfd)

    def _open_pidfd(self) -> int | None:
        if self.command is None or not hasattr(os, "pidfd_open"):
            return None
        try:
            return os.pidfd_open(self.command.pid)
        except OSError:
            return None
