# SPDX-License-Identifier: Apache-2.0
"""The C collector, and what it sums."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tracer import __version__, native, output
from tracer.errors import take, text
from tracer.options import TraceOptions
from tracer.plan import Plan
from tracer.rewriting import Rewriting
from tracer.splitting import StatusSite
from tracer.summary import Summary

EVENT_MODES = ("trace", "rewrite")  # each hit gives a line
MASK_64 = (1 << 64) - 1


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

    def load_warning(self) -> str | None:
        """Where the kernel does not take the whole program: what that leaves out."""
        if not self._lib.collector_shortened(self._collector):
            return None
        return (
            "this kernel's verifier cannot follow the whole program: of one call's nested values "
            f"{self._lib.TURNS_SHORT} parts are read, the others are null (record full)"
        )

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
