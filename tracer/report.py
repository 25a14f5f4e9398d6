# SPDX-License-Identifier: Apache-2.0
"""What is said to people on stderr, and the plan as --dry-run shows it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from tracer.binary import OpenedBinary
from tracer.errors import TracerError, printable, printable_lines
from tracer.plan import Plan, PlannedFunction, Site, Value
from tracer.summary import FunctionSummary, Summary

WARNINGS_MAX = 10  # without -v; a pattern can match thousands of functions
FUNCTIONS_MAX = 10  # lines of the summary, the busiest functions first


def plural(n: int, noun: str) -> str:
    """ "1 call", "2 calls", "3 processes"."""
    if n == 1:
        return f"1 {noun}"
    return f"{n} {noun}{'es' if noun.endswith('s') else 's'}"


class Messages:
    """stderr, by how much is wanted there. A closed stderr is nobody's problem."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.condition = False
        """There is one (--where): what it left out is said."""
        self.closed = False
        """Whoever read the events has gone."""

    def _write(self, line: str) -> None:
        try:
            sys.stderr.write(printable_lines(line) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass

    def note(self, line: str) -> None:
        if not self.quiet:
            self._write(line)

    def hint(self, line: str) -> None:
        self.note(f"hint: {line}")

    def warning(self, line: str) -> None:
        self.note(f"warning: {line}")

    def detail(self, lines: str) -> None:
        """Only with -v."""
        if self.verbose:
            for line in lines.splitlines():
                self._write(f"  {line}")

    # ---- the start ------------------------------------------------------------------------------------------

    def plan_warnings(self, plan: Plan) -> None:
        """What is left out, and what cannot be read, with the reasons."""
        if self.quiet:
            return
        if plan.goroutines_unknown:
            self.warning(f"goroutines are not shown: {printable(plan.goroutines_unknown)}")
        if plan.ends_unknown:
            self.warning(f"some calls that do not return end as unknown: {printable(plan.ends_unknown)}")
        lines = list(plan_warnings(plan))
        shown = lines if self.verbose else lines[:WARNINGS_MAX]
        for line in shown:
            self.warning(line)
        if len(lines) > len(shown):
            self.note(f"… and {plural(len(lines) - len(shown), 'more warning')} (-v shows all)")

    def without_values(self, why: str, raw_words: bool) -> None:
        """Arguments and results were wanted, and there is no debug information to tell what they are."""
        what = "types and names of arguments and results are not known" if raw_words else "no arguments and results"
        self.warning(f"{what}: {printable(why)}")
        more = "" if raw_words else ", or see the bare words with --raw-words"
        self.note(f"hint: build it without -w and -s, name its separate debug file with --debug-file{more}")

    def start(self, binary: OpenedBinary, plan: Plan, end: str) -> None:
        functions, entries, returns = plan.counts()
        sites = f"{entries} entry" + (f", {plural(returns, 'return site')}" if returns else ", returns not probed")
        version = f", {plan.go_version}" if plan.go_version else ""
        self.note(f"tracing {plural(functions, 'function')} ({sites}) in {printable(binary.name)}{version}; {end}")

    # ---- the end --------------------------------------------------------------------------------------------

    def summary(self, s: Summary) -> None:
        """The counts; what went wrong is said also with -q."""
        if not self.quiet:
            self._counts(s)
        if s.lost:
            self._write(
                f"warning: {plural(s.lost, 'event')} lost; a larger --buffer, fewer functions or fewer values help"
            )
        if not s.reconciled:
            self._write("error: THE COUNTS DO NOT ADD UP: hits and events differ; this is a defect of the tracer")
            for f in (*s.functions, s.total):
                self._write(f"  {printable(f.name) or 'total'}: " + _all_counters(f))

    def rewritten(self, s: Summary) -> TracerError | None:
        """What was changed. The error for what was not, or what nobody could be told of."""
        t = s.total
        parts = [plural(t["changed"], "change")]
        for counters, word in (
            (("unchanged",), "not written"),
            (("sampled", "sampled_returns"), "left alone by --rate"),
            (("limited", "limited_returns"), "past --max-changes"),
        ):
            n = sum(t[c] for c in counters)
            if n:
                parts.append(f"{n} {word}")
        # Of a call that is changed twice, or that its entry only decides for its return, both are counted.
        if n := max(t["filtered"], t["filtered_returns"]):
            parts.append(f"{n} not wanted by --where" if self.condition else f"{n} of other processes")
        self.note(f"{', '.join(parts)}; {plural(s.lost, 'event')} lost, {s.duration_s:.1f} s")
        if self.condition and not self.quiet:
            self._condition(t)
        self.detail(_all_counters(t))
        if not s.reconciled:  # with -q too, and whatever else went wrong
            self._write("error: THE COUNTS DO NOT ADD UP: hits and events differ; this is a defect of the tracer")
            self._write(f"  total: {_all_counters(t)}")
        if t["unchanged"]:
            n = t["unchanged"]
            return TracerError(f"{n} of {plural(n + t['changed'], 'change')} could not be written; the events say why")
        if s.misses:
            return TracerError(f"the kernel passed over {plural(s.misses, 'hit')}: those calls kept their values")
        if s.lost:
            return TracerError(
                f"{plural(s.lost, 'event')} lost: the changes were made, and are not told one by one",
                hint="whoever read the events went away before the end"
                if self.closed
                else "a larger --buffer, or fewer changes with --rate",
            )
        return None if s.reconciled else TracerError("how much was changed is not known for certain")

    def _condition(self, total: FunctionSummary) -> None:
        """What --where could not decide."""
        if total["undecidable"]:
            self._write(f"{plural(total['undecidable'], 'call')} left out because what --where asks could not be read")
        if total["unfinished"]:
            self._write(
                f"{plural(total['unfinished'], 'call')} left out that had not returned, for which --where waits"
            )

    def _counts(self, s: Summary) -> None:
        filtered = f"{s.total['filtered']} filtered, " if self.condition else ""
        self._write(f"{_counted(s.total)}; {filtered}{s.lost} lost, {s.duration_s:.1f} s")
        if self.condition:
            self._condition(s.total)
        busy = sorted((f for f in s.functions if f["entry_hits"]), key=lambda f: -f["entry_hits"])
        if len(s.functions) > 1:
            shown = busy if self.verbose else busy[:FUNCTIONS_MAX]
            for f in shown:
                self._write(f"  {printable(f.name)}: {_counted(f)}")
            if len(busy) > len(shown):
                self._write(f"  … and {plural(len(busy) - len(shown), 'more function')} (-v shows all)")
        if self.verbose:
            self._write("  " + _all_counters(s.total))
            for e in s.program_errors:
                why = errno.errorcode.get(-e.error, str(e.error))
                self._write(f"  {e.file}:{e.line}: {why}, {plural(e.count, 'time')}")


def _counted(f: FunctionSummary) -> str:
    calls, returns = f["calls_written"] + f["counted"], f["returns_written"] + f["counted_returns"]
    parts = [plural(calls, "call"), plural(returns, "return")]
    for counter, word in (
        ("sampled", "left out by --sample"),
        ("limited", "past a limit"),
        ("unwound", "unwound"),
        ("unpaired", "returns without a call"),
        ("read_failures", "unreadable"),
    ):
        if f[counter]:
            parts.append(f"{f[counter]} {word}")
    return ", ".join(parts)


def _all_counters(f: FunctionSummary) -> str:
    return " ".join(f"{name}={value}" for name, value in f.counters.items() if value)


def plan_warnings(plan: Plan) -> Iterator[str]:
    """One line each, without doubles: functions left out, values that cannot be read."""
    seen: set[str] = set()
    for f in plan.functions():
        for line in _function_warnings(f):
            line = printable(line)
            if line not in seen:
                seen.add(line)
                yield line


def _function_warnings(f: PlannedFunction) -> Iterator[str]:
    if f.refused or not f.sites:
        yield f"{f.name} is not traced: {f.refused or 'no site was found'}"
        return
    for warning in f.warnings:
        yield f"{f.name}: {warning}"
    for site in f.sites:
        for value in site.values:
            if value.unreadable:
                when = "at entry" if site.entry else "at return"
                part = "" if not value.places else "in part "
                yield f"{f.name}: {value.name} {value.type} {part}cannot be read {when}: {', '.join(value.unreadable)}"


# ---- --dry-run ----------------------------------------------------------------------------------------------


def dry_run(binary: OpenedBinary, plan: Plan, out: TextIO) -> None:
    """Functions, sites, what would be read."""
    functions, entries, returns = plan.counts()
    version = f", {plan.go_version}" if plan.go_version else ""
    out.write(
        f"{printable(os.fspath(binary.name))}{version}: {plural(functions, 'function')}, "
        f"{plural(entries, 'entry site')}, {plural(returns, 'return site')}\n"
    )
    for f in plan.functions():
        where = f"  {f.file}:{f.line}" if f.file else ""
        out.write("\n" + printable(f.name + f.signature) + "\n")
        out.write(printable(f"  {f.abi}{where}") + "\n")
        if f.refused or not f.sites:
            out.write(printable(f"  not traced: {f.refused or 'no site was found'}") + "\n")
        for site in f.sites:
            _show_site(site, out)
        for warning in f.warnings:
            out.write(printable(f"  warning: {warning}") + "\n")


def _show_site(site: Site, out: TextIO) -> None:
    kind = "entry " if site.entry else "return"
    cost = "emulated" if site.emulated else "single step"
    reads = f", {plural(site.n_steps, 'read')}" if site.n_steps else ""
    out.write(f"  {kind} {site.addr:#x}  file offset {site.file_offset:#x}  {site.insn} ({cost}){reads}\n")
    width = max((len(v.name) for v in site.values), default=0)
    for value in site.values:
        out.write(printable(f"    {value.name:<{width}}  {value.type}  {value_places(value)}") + "\n")


def value_places(value: Value) -> str:
    """Where the pieces of a value are read, and why some are not."""
    parts = list(value.places) + [f"<{why}: not readable here>" for why in value.unreadable]
    return ", ".join(parts) or "no bytes"
