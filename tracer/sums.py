# SPDX-License-Identifier: Apache-2.0
"""`count`, `hist` and `stack`: the kernel sums, and this shows the sums while they grow and at the end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from tracer import __version__
from tracer.binary import OpenedBinary
from tracer.collector import CallerStack, Collector, Durations, OffTimes, Remainder, Split
from tracer.errors import printable
from tracer.plan import Frame, Plan, PlannedFunction, Program
from tracer.progress import INTERVAL_S, Line
from tracer.report import plural
from tracer.session import Sums
from tracer.summary import Summary
from tracer.writers.folded import name_text

BAR_WIDTH = 40
PERCENTILES = (50, 90, 99)


def duration_text(ns: float) -> str:
    """Three digits and a unit: 812ns, 37.1µs, 1.25ms, 3.20s."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            value = ns / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{unit}"
    return f"{ns:.0f}ns"


class Shown(Sums):
    """What the three have in common: where it goes, the functions, the progress line on a terminal."""

    verb = ""

    def __init__(self, out: TextIO, json_lines: bool, quiet: bool) -> None:
        self.out = out
        self.json_lines = json_lines
        self.functions: list[PlannedFunction] = []
        self.program_path = self.program_name = ""
        self.debug_file: str | None = None
        self._progress = Line(not quiet)
        if self._progress.shown:
            self.interval = INTERVAL_S
        self._started = 0.0

    def begin(self, plan: Plan, binary: OpenedBinary) -> None:
        self.functions = list(plan.functions())
        self.program_path, self.program_name = binary.path, binary.name
        self.debug_file = binary.debug_file
        self._started = time.monotonic()
        self._progress.begin()
        if self.json_lines:
            functions = [
                {"fid": fid, "name": self.functions[fid].name, "file": f.file, "line": f.line}
                for fid in self.traced()
                for f in (self.functions[fid],)
            ]
            self.line(
                {
                    "type": "meta",
                    "v": 1,
                    "tracer": __version__,
                    "verb": self.verb,
                    "binary": printable(binary.name),
                    "go": plan.go_version,
                    "functions": functions,
                }
            )
            self.out.flush()  # a script waits for it

    def traced(self) -> list[int]:
        """fids of the functions that are probed."""
        return [fid for fid, f in enumerate(self.functions) if f.sites and not f.refused]

    def tick(self, collector: Collector, now: float) -> None:
        self._progress.show(sum(collector.count(fid) for fid in self.traced()), now)

    def end(self, collector: Collector, summary: Summary) -> None:
        self._progress.clear()
        self.show(collector, summary)
        if self.json_lines:
            counters = {name: value for name, value in summary.total.counters.items() if value}
            self.line({"type": "summary", "lost": summary.lost, "duration_s": summary.duration_s, **counters})
        self.out.flush()

    def show(self, collector: Collector, summary: Summary) -> None:
        raise NotImplementedError

    def line(self, row: dict[str, object]) -> None:
        self.out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


class CountShown(Shown):
    """Calls of each function; with an interval also what came since the last time."""

    verb = "count"

    def __init__(
        self, out: TextIO, json_lines: bool, quiet: bool, every: float | None, top: int | None, zeros: bool
    ) -> None:
        super().__init__(out, json_lines, quiet or every is not None)
        if every is not None:
            self.interval = every
        self.every, self.top, self.zeros = every, top, zeros
        self._before: dict[int, int] = {}

    def tick(self, collector: Collector, now: float) -> None:
        if self.every is None:
            super().tick(collector, now)
            return
        counts = {fid: collector.count(fid) for fid in self.traced()}
        since = {fid: n - self._before.get(fid, 0) for fid, n in counts.items()}
        self._before = counts
        self._table(since, now - self._started)
        self.out.flush()

    def show(self, collector: Collector, summary: Summary) -> None:
        counts = {fid: collector.count(fid) for fid in self.traced()}
        if self.every is not None and not self.json_lines:
            self.out.write("total\n")
        self._table(counts, None)

    def _table(self, counts: dict[int, int], at: float | None) -> None:
        rows = sorted(((n, fid) for fid, n in counts.items() if n or self.zeros), key=lambda r: (-r[0], r[1]))
        left_out = rows[self.top :] if self.top else []
        rows = rows[: self.top] if self.top else rows
        if self.json_lines:
            for n, fid in rows:
                row: dict[str, object] = {"type": "count", "fid": fid, "func": self.functions[fid].name, "calls": n}
                if at is not None:
                    row["type"], row["at_s"] = "interval", round(at, 3)
                self.line(row)
            return
        if at is not None:
            self.out.write(time.strftime("%H:%M:%S\n"))
        width = max((len(str(n)) for n, _ in rows), default=1)
        for n, fid in rows:
            self.out.write(f"  {n:>{width}}  {printable(self.functions[fid].name)}\n")
        if left_out:
            self.out.write(f"  … and {plural(len(left_out), 'more function')}, {sum(n for n, _ in left_out)} calls\n")
        if not rows and at is None:
            self.out.write("  no call\n")


def percentile(durations: Durations, percent: float) -> float:
    """Within the class that holds it, by its place among that class's calls. 0 without calls."""
    wanted = durations.count * percent / 100
    seen = 0
    for (low, high), n in durations.classes.items():
        if seen + n >= wanted:
            return min(low + (high - low) * (wanted - seen) / n, float(durations.max_ns))
        seen += n
    return float(durations.max_ns)


def by_octave(durations: Durations) -> dict[int, int]:
    """Power of two (its exponent) → calls at least that long and less than twice that; 0 holds 0 and 1 ns."""
    rows: Counter[int] = Counter()
    for (low, _), n in durations.classes.items():
        rows[max(low.bit_length() - 1, 0)] += n
    return {k: rows[k] for k in range(min(rows), max(rows) + 1)} if rows else {}


class HistShown(Shown):
    """Durations of each function, or of each function and value of `by`."""

    verb = "hist"

    def __init__(
        self,
        out: TextIO,
        json_lines: bool,
        quiet: bool,
        by: str | None = None,
        top: int | None = None,
        split: bool = False,
    ) -> None:
        super().__init__(out, json_lines, quiet)
        self.by, self.top, self.split = by, top, split

    def show(self, collector: Collector, summary: Summary) -> None:
        rows: list[tuple[int, Split | None, Durations]]
        if self.by is not None:
            rows = [(s.fid, s, s.durations) for s in collector.splits()]
        else:
            every = collector.durations(len(self.functions))
            by_total = sorted(self.traced(), key=lambda i: -every[i].total_ns)
            rows = [(fid, None, every[fid]) for fid in by_total if every[fid].count or self.json_lines]
        shown = rows[: self.top] if self.top else rows
        for fid, split, d in shown:
            if self.json_lines:
                self._json(fid, split, d)
            else:
                self._text(fid, split, d)
        if not self.json_lines and len(rows) > len(shown):
            self.out.write(f"… and {len(rows) - len(shown)} more (--top)\n")
        if not self.json_lines and not rows:
            self.out.write("  no call has returned\n")
        if self.split:
            self._cost(*collector.split_hits())

    def _cost(self, states: int, switches: int) -> None:
        if self.json_lines:
            self.line({"type": "split_cost", "states": states, "switches": switches})
        else:
            self.out.write(
                f"--split looked at {plural(states, 'change')} of goroutines' states "
                f"and {switches} switches of threads\n"
            )

    def _json(self, fid: int, split: Split | None, d: Durations) -> None:
        row: dict[str, object] = {"type": "hist", "fid": fid, "func": self.functions[fid].name}
        if split is not None:
            row["by"] = self.by
            if isinstance(split.value, Remainder):
                row["value"], row["notes"] = None, [split.value.value]
            else:
                row["value"] = split.value
                if split.cut:
                    row["notes"] = [f"truncated: {split.cut} bytes"]
        row.update(count=d.count, total_ns=d.total_ns, max_ns=d.max_ns)
        row.update({f"p{p}_ns": round(percentile(d, p)) for p in PERCENTILES})
        if d.off is not None:
            row["split"] = {
                "on_cpu_ns": d.off.on_cpu_ns,
                "runnable_ns": d.off.runnable_ns,
                "blocked_ns": d.off.blocked_ns,
                "unknown_ns": d.total_ns - d.off.known_ns,
            }
        row["classes"] = [[low, high, n] for (low, high), n in d.classes.items()]
        self.line(row)

    def _title(self, fid: int, split: Split | None) -> str:
        name = printable(self.functions[fid].name)
        if split is None:
            return name
        if isinstance(split.value, Remainder):
            return f"{name}, {printable(str(self.by))}: {split.value.value}"
        value = printable(json.dumps(split.value, ensure_ascii=False))
        return f"{name}, {printable(str(self.by))} = {value}" + (f"… ({split.cut} bytes)" if split.cut else "")

    def _text(self, fid: int, split: Split | None, d: Durations) -> None:
        middle = " ".join(f"p{p} {duration_text(percentile(d, p))}" for p in PERCENTILES)
        self.out.write(
            f"{self._title(fid, split)}: {plural(d.count, 'call')}, "
            f"mean {duration_text(d.total_ns / d.count)}, {middle}, max {duration_text(d.max_ns)}\n"
        )
        if d.off is not None:
            self.out.write("  " + _split_text(d, d.off) + "\n")
        rows = by_octave(d)
        most = max(rows.values())
        for k, n in rows.items():
            low = 0 if k == 0 else 1 << k
            bar = "█" * round(BAR_WIDTH * n / most) or ("▏" if n else "")
            self.out.write(f"  {duration_text(low):>7} – {duration_text(2 << k):<7} {bar:<{BAR_WIDTH}}  {n}\n")
        self.out.write("\n")


def _split_text(d: Durations, off: OffTimes) -> str:
    """Of a call, and of all time."""
    parts = [("on-CPU", off.on_cpu_ns), ("runnable", off.runnable_ns), ("blocked", off.blocked_ns)]
    if unknown := d.total_ns - off.known_ns:
        parts.append(("not known", unknown))
    total = max(d.total_ns, 1)
    return ", ".join(f"{name} {duration_text(ns / d.count)} ({100 * ns / total:.0f} %)" for name, ns in parts)


class StackShown(Shown):
    """Who calls: ways to each function, the most frequent first."""

    verb = "stack"

    def __init__(self, out: TextIO, style: str, quiet: bool, top: int | None, frames: int) -> None:
        super().__init__(out, style == "jsonl", quiet)
        self.style, self.top, self.max_frames = style, top, frames

    def show(self, collector: Collector, summary: Summary) -> None:
        with Program(self.program_path, self.program_name, self.debug_file) as program:
            names = _Symbols(program)
            merged: dict[tuple[int, tuple[Frame | int, ...]], tuple[int, bool]] = {}
            for s in collector.stacks():
                key = s.fid, tuple(names.frames(s, self.functions[s.fid].name)[: self.max_frames])
                n, cut = merged.get(key, (0, False))
                merged[key] = n + s.count, cut or s.cut
            rows = sorted(merged.items(), key=lambda item: -item[1][0])
            shown = rows[: self.top] if self.top else rows
            for (fid, frames), (n, cut) in shown:
                self._one(fid, frames, n, cut)
            if self.style == "text":
                if len(rows) > len(shown):
                    self.out.write(f"… and {plural(len(rows) - len(shown), 'more stack')} (--top)\n")
                if not rows:
                    self.out.write("  no call\n")

    def _one(self, fid: int, frames: Sequence[Frame | int], n: int, cut: bool) -> None:
        if self.json_lines:
            shown: list[object] = [
                {"func": f.function, "file": f.file, "line": f.line, **({"inlined": True} if f.inlined else {})}
                if isinstance(f, Frame)
                else {"addr": f"{f:#x}"}
                for f in frames
            ]
            row: dict[str, object] = {
                "type": "stack",
                "fid": fid,
                "func": self.functions[fid].name,
                "count": n,
                "frames": shown,
            }
            if cut:
                row["notes"] = ["partial: the kernel's table of stacks was full"]
            self.line(row)
        elif self.style == "folded":
            self.out.write(";".join(name_text(_name(f)) for f in reversed(frames)) + f" {n}\n")
        else:
            self.out.write(f"{plural(n, 'call')}\n")
            self.out.writelines(f"    {printable(_place(f))}\n" for f in frames)
            if cut:
                self.out.write("    … not kept: the kernel's table of stacks was full\n")
            self.out.write("\n")


def _name(frame: Frame | int) -> str:
    return frame.function if isinstance(frame, Frame) else f"{frame:#x}"


def _place(frame: Frame | int) -> str:
    if isinstance(frame, int):
        return f"{frame:#x}"
    where = f"  {frame.file}:{frame.line}" if frame.file else ""
    return frame.function + where + ("  (inlined)" if frame.inlined else "")


class _Symbols:
    """Frames of link addresses, each looked up once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._known: dict[int, list[Frame | int]] = {}

    def frames(self, stack: CallerStack, own: str) -> list[Frame | int]:
        # the call was of the function itself, also where the probed instruction belongs to what was inlined into it
        first = self._at(stack.frames[0])[-1]
        found = [Frame(own, first.file, first.line) if isinstance(first, Frame) else first]
        for addr in stack.frames[1:]:
            found += self._at(addr - 1)  # a return address is behind the call: one byte before it is the call's line
        return found

    def _at(self, addr: int) -> Sequence[Frame | int]:
        if addr not in self._known:
            self._known[addr] = [*self._program.frames_at(addr)] or [addr]
        return self._known[addr]
