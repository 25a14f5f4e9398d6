# SPDX-License-Identifier: Apache-2.0
"""Traces from Python, live or recorded.

    import tracer

    with tracer.trace("./server", func="main.handle", duration=10) as t:
        for call in t:
            print(call.func, call.args, call.results, call.duration_ns)
    print(t.summary.lost)

    with tracer.open_recording("run.gscope") as t:
        slow = [call for call in t if (call.duration_ns or 0) > 1_000_000]

Values are as in the JSON lines (docs/design.md): what cannot be read is None and has a remark in `notes`. What goes
wrong is a tracer.errors.TracerError, whose `exit_code` is the command line's. A trace needs the same rights as
`gopherscope trace`; a recording needs none.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

from tracer.collector import Collector
from tracer.errors import TracerError
from tracer.options import TraceOptions
from tracer.recording import Event, Recording
from tracer.session import Sums, run_trace
from tracer.signals import Signals
from tracer.summary import Summary

__all__ = ["Call", "RecordedTrace", "Trace", "open_recording", "trace"]


@dataclass(frozen=True)
class Call:
    """One call, complete: it has returned, or was left otherwise, or its returns are not traced."""

    func: str
    args: dict[str, Any]
    results: dict[str, Any]  # {} where it did not return, or returns are not traced
    notes: dict[str, list[str]]  # of arguments and results: path → remarks
    pid: int
    tid: int
    goid: int | None
    begin_ns: int  # CLOCK_MONOTONIC
    duration_ns: int | None  # None where it did not return, or returns are not traced
    stack: tuple[dict[str, Any], ...]  # of the call, innermost first: func, file, line, inlined; () without stack=N
    unwound: str  # "panic", "goexit", "exit", "detached", "unknown"; "" where it returned


def _complete(call: Event, end: Event | None) -> Call:
    end = end or {}
    return Call(
        func=call["func"],
        args=call["args"],
        results=end.get("results") or {},
        notes={**call["notes"], **end.get("notes", {})},
        pid=call["pid"],
        tid=call["tid"],
        goid=call["goid"],
        begin_ns=call["ts"],
        duration_ns=end.get("duration_ns"),
        stack=tuple(call.get("stack", ())),
        unwound=end.get("unwound", ""),
    )


def _calls(events: Iterator[Event]) -> Iterator[Call]:
    """In order of their ends; calls of functions whose returns are not traced, at once."""
    open_calls: dict[int, Event] = {}
    returning: set[int] = set()
    for event in events:
        if event["type"] == "meta":
            returning |= {f["fid"] for f in event["functions"] if f["returns"]}
        elif event["type"] == "call" and event["fid"] not in returning:
            yield _complete(event, None)
        elif event["type"] == "call":
            open_calls[event["call"]] = event
        elif event["type"] == "return" and event["call"] in open_calls:
            yield _complete(open_calls.pop(event["call"]), event)


class _Ending(Sums):
    """Keeps the summary."""

    summary: Summary | None = None

    def end(self, collector: Collector, summary: Summary) -> None:
        self.summary = summary


class Trace:
    """A live trace: probes are in place from `with` on. Iterate over it once, for calls or for events()."""

    def __init__(self, options: TraceOptions) -> None:
        self._options = options
        self._signals: Signals | None = None
        self._ending = _Ending()
        self._problem: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._lines: IO[str] | None = None
        self._first: list[Event] = []

    @property
    def summary(self) -> Summary:
        """What was counted; after the trace has ended."""
        if self._ending.summary is None:
            raise ValueError("the trace has not ended")
        return self._ending.summary

    def __enter__(self) -> Trace:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._lines = os.fdopen(read_fd, encoding="utf-8")
        self._signals = Signals()

        def run() -> None:
            try:
                assert self._signals
                run_trace(self._options, self._signals, self._ending, out_fd=write_fd)
            except BaseException as e:
                self._problem = e
            finally:
                os.close(write_fd)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        line = self._lines.readline()  # the meta line: all probes are in place
        if not line:
            self._finish()
            raise self._problem or TracerError("the trace ended before it began")
        self._first = [json.loads(line)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        assert self._lines
        for _ in self._lines:  # nobody wants it, but what writes must not wait for a reader
            pass
        self._finish()
        if self._problem and error is None:
            raise self._problem

    def _finish(self) -> None:
        assert self._thread and self._lines and self._signals
        self._thread.join()
        self._lines.close()
        self._signals.close()

    def stop(self) -> None:
        """End it: what was seen until now can still be iterated over. From any thread; again is harmless."""
        if self._signals:
            self._signals.stop()

    def events(self) -> Iterator[Event]:
        """Each line of the JSON format, as it comes, until the trace ends."""
        assert self._lines, "the trace is not started: use `with`"
        first, self._first = self._first, []
        yield from first
        for line in self._lines:
            yield json.loads(line)

    def __iter__(self) -> Iterator[Call]:
        return _calls(self.events())


class RecordedTrace:
    """A recording, as often as wanted."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._recording = Recording(os.fspath(path))

    def __enter__(self) -> RecordedTrace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recording.__exit__(kind, error, trace)

    @property
    def summary(self) -> Summary:
        """What the trace counted; after an iteration to the end."""
        if self._recording.summary is None:
            raise ValueError("the recording was not read to its end")
        return self._recording.summary

    def events(self) -> Iterator[Event]:
        """Each line of the JSON format. TracerError at the place where the file is damaged."""
        return self._recording.events()

    def __iter__(self) -> Iterator[Call]:
        return _calls(self.events())


def trace(
    binary: str | os.PathLike[str] | None = None,
    *,
    func: str | Sequence[str],
    exclude: str | Sequence[str] = (),
    pid: int | Sequence[int] = (),
    command: Sequence[str] = (),
    **options: Any,
) -> Trace:
    """Trace the functions that any of `func` matches, in every process of `binary`, in `pid`, or in `command`.

    options: those of tracer.options.TraceOptions: duration (seconds), max_calls, args, results, returns, string_size
    (bytes), depth, elements, stack (frames), buffer_size (bytes) …
    """

    def several(value: Any) -> tuple[Any, ...]:
        return (value,) if isinstance(value, (str, int)) else tuple(value)

    return Trace(
        TraceOptions(
            binary=None if binary is None else os.fspath(binary),
            functions=several(func),
            excludes=several(exclude),
            pids=several(pid),
            command=tuple(map(str, command)),
            format="jsonl",
            quiet=True,
            **options,
        )
    )


def open_recording(path: str | os.PathLike[str]) -> RecordedTrace:
    """A file that `trace -o FILE.gscope` made."""
    return RecordedTrace(path)
