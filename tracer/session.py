# SPDX-License-Identifier: Apache-2.0
"""One trace, start to end: plan → compile → load → attach → run the command → wait → stop → summary.

C does the work in threads of its own, and what may take long (load, attach, drain, detach) runs beside the main
thread here too, which only waits: so a signal is answered at once, whatever C is doing.
"""

from __future__ import annotations

import dataclasses
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tracer import output, processes, threads
from tracer.binary import OpenedBinary, open_binary
from tracer.collector import EVENT_MODES, Collector
from tracer.command import Command
from tracer.errors import (
    EXIT_FAILED,
    EXIT_OK,
    NothingToTraceError,
    TracerError,
    printable,
)
from tracer.hints import FUNCTIONS_MAX
from tracer.options import TraceOptions
from tracer.plan import Plan
from tracer.report import Messages, dry_run, plural
from tracer.rewriting import Rewriting
from tracer.signals import Signals, beside
from tracer.splitting import find_status_site
from tracer.summary import Summary

PROGRAM_FILES = {
    "trace": "call.bpf.c",
    "rewrite": "rewrite.bpf.c",
    "count": "aggregate.bpf.c",
    "hist": "aggregate.bpf.c",
    "stack": "aggregate.bpf.c",
}
WAIT_SLICE_MS = 50  # how long the watcher stays in C before it looks whether the trace has ended
SLOW_DETACH_S = 1.0  # from here on the start line says it
COMMAND_POLL_S = 0.05  # only where the kernel has no pidfd


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


class Watcher:
    """Waits in C beside the main thread, and wakes it when something happened there."""

    def __init__(self, collector: Collector, signals: Signals) -> None:
        self.event = ""
        self._collector = collector
        self._signals = signals
        self._stopping = False
        self._thread = threads.start(self._run)

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
        path = None  # of the file that events go to
        if o.out_fd is not None or o.show_program or o.mode not in EVENT_MODES:
            out_fd = 1 if o.out_fd is None else o.out_fd
        else:
            path = o.output
            out_fd = stack.enter_context(output.opened(path, keep=True))
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
        output.empty(path, out_fd)  # no refusal and no "no" takes away the events of the last time
        blob = beside(lambda: compiler.program(PROGRAM_FILES[o.mode], collector.cflags(), self._filters(plan)))
        self.watch.lap("compile")
        beside(lambda: collector.load(blob))
        self.watch.lap("load")
        messages.detail(collector.load_report())
        if warning := collector.load_warning():
            messages.warning(warning)
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
        if self.binary.not_kept:
            self.messages.detail(f"the plan is not kept for the next time: {self.binary.not_kept}")
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
        self.messages.closed = watcher.event == "closed"
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
            told = self.messages.rewritten(summary)
            problem = problem or told
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
                self.signals.take_wakes()
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
