# SPDX-License-Identifier: Apache-2.0
"""What `rewrite` is about to change: planned and refused by offsets/rewrite.h, held against this kernel, confirmed."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tracer import native, processes
from tracer.binary import OpenedBinary
from tracer.errors import EXIT_FAILED, EXIT_NOTHING, TracerError, printable, printable_lines, take, text
from tracer.plan import Plan, Program, ReadOptions
from tracer.report import Messages

LOCKDOWN = Path("/sys/kernel/security/lockdown")
CAP_SYS_ADMIN = 21  # include/uapi/linux/capability.h
NEWER_KERNEL = "newer kernels let programs write registers (Linux 7.2 does)"


def lockdown() -> str:
    """ "none", "integrity", "confidentiality"; "" where the kernel has no lockdown or does not tell."""
    try:
        words = LOCKDOWN.read_text().split()
    except OSError:
        return ""
    return next((w.strip("[]") for w in words if w.startswith("[")), "")


@dataclass(frozen=True)
class RewriteRequest:
    """The assignments as they were typed (struct rewrite_request)."""

    function: str
    set: tuple[str, ...] = ()
    set_results: tuple[str, ...] = ()
    skip: str | None = None
    fail: str | None = None
    yes: bool = False  # nobody is asked


@dataclass(frozen=True)
class Change:
    """One assignment."""

    name: str
    type: str
    shown: str  # the new value as a person writes it
    place: str
    written: str  # its bytes, or where they come from
    entry: bool
    implied: bool
    variable: int  # link address of the variable it is set to; 0: none
    needs_memory: bool
    needs_registers: bool

    def __str__(self) -> str:
        return f"{self.name}={self.shown}"


class _PartPlan(Plan):
    """The plan that a rewrite owns."""

    def close(self) -> None:
        self.pointer = self._o.ffi.NULL


class Rewriting:
    """Owned here, used by the collector, which it must outlive."""

    def __init__(self, binary: OpenedBinary, request: RewriteRequest, reading: ReadOptions) -> None:
        self._o = native.offsets()
        self.binary = binary
        self.request = request
        self.where = reading.where
        with Program(binary.path, binary.name, binary.debug_file) as program:
            self.first_address = program.first_address
            self._rewrite = self._create(program, reading)
        self.plan: Plan = _PartPlan(self._rewrite.plan)

    def _create(self, program: Program, reading: ReadOptions) -> Any:
        ffi, lib = self._o.ffi, self._o.lib
        r = self.request
        kept: list[Any] = []

        def one(value: str | None) -> Any:
            if value is None:
                return ffi.NULL
            kept.append(ffi.new("char[]", os.fsencode(value)))
            return kept[-1]

        def many(values: Sequence[str]) -> Any:
            kept.append(ffi.new("const char *[]", [one(v) for v in values]))
            return kept[-1]

        request = ffi.new("struct rewrite_request *")
        request.function = one(r.function)
        request.set, request.n_set = many(r.set), len(r.set)
        request.set_results, request.n_set_results = many(r.set_results), len(r.set_results)
        request.skip, request.fail = one(r.skip), one(r.fail)
        how = ffi.new("struct plan_options *")
        how.string_size, how.depth, how.elements = reading.string_size, reading.depth, reading.elements
        how.where = one(reading.where)
        out = ffi.new("struct rewrite **")
        try:
            take(ffi, lib, lib.rewrite_create(program.pointer, request, how, out))
        except TracerError as e:
            if e.code == "not_found" and not any(True for _ in program.functions((r.function,))):
                raise program.nothing_matches((r.function,)) from None
            if e.code == "unsupported" and e.exit_code == EXIT_NOTHING:
                e.exit_code = EXIT_FAILED  # the function is there: it is the change that is refused
            raise
        return out[0]

    def __enter__(self) -> Rewriting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.plan.close()
        if self._rewrite:
            self._o.lib.rewrite_destroy(self._rewrite)
            self._rewrite = self._o.ffi.NULL

    @property
    def address(self) -> int:
        """For the other extension module's `struct rewrite *`."""
        return int(self._o.ffi.cast("uintptr_t", self._rewrite))

    @property
    def changes(self) -> list[Change]:
        ffi, lib = self._o.ffi, self._o.lib
        found = []
        for kind in (lib.SITE_ENTRY, lib.SITE_RETURN):
            site = self._rewrite.site[kind]
            for i in range(site.n_changes):
                c = site.changes[i]
                written = [self._bytes(site.writes[k]) for k in range(c.first_write, c.first_write + c.n_writes)]
                found.append(
                    Change(
                        name=text(ffi, c.name),
                        type=text(ffi, c.type),
                        shown=text(ffi, c.shown),
                        place=text(ffi, c.place),
                        written=", ".join(written),
                        entry=kind == lib.SITE_ENTRY,
                        implied=bool(c.implied),
                        variable=c.variable,
                        needs_memory=bool(c.needs & lib.REWRITE_NEEDS_MEMORY),
                        needs_registers=bool(c.needs & lib.REWRITE_NEEDS_REGISTERS),
                    )
                )
        return found

    def _bytes(self, w: Any) -> str:
        lib = self._o.lib
        if w.source == lib.WRITE_VARIABLE:
            return f"the two words at {w.word[0]:#x}"
        if w.source == lib.WRITE_ADDRESS:
            return f"address {w.word[0]:#x} (a constant of the program), length {w.word[1]}"
        if w.source == lib.WRITE_STRING:
            return f"in place {bytes(w.bytes[0 : w.len]).hex(' ') or 'nothing'}, length {w.len}"
        if w.len:
            return bytes(w.bytes[0 : w.len]).hex(" ")
        return " and ".join(f"{w.word[k]:#x}" for k in range(w.n_words))

    @property
    def title(self) -> str:
        """ "main.f in ./server: a1=2021"."""
        r = self._rewrite
        changes = [str(c) for c in self.changes if not c.implied]
        what = ", ".join(changes)
        if r.skip:
            what = f"skipped, returning {what or 'zero'}"
        if self.where is not None:
            what += f", where {self.where}"
        return printable(f"{self.request.function} in {self.binary.name}: {what}")

    # ---- refusing -------------------------------------------------------------------------------------------

    def _try(self, name: str) -> TracerError | None:
        """Why this kernel does not let programs do that."""
        module = native.collector()
        try:
            take(module.ffi, module.lib, module.lib.doctor_try(getattr(module.lib, name)))
        except TracerError as e:
            return e
        return None

    def refusals(self) -> Iterator[TracerError]:
        """What of it this kernel refuses, by trying."""
        changes = self.changes
        in_memory = [c.name for c in changes if c.needs_memory]
        in_registers = [f"{c.name} is in {c.place}" for c in changes if c.needs_registers]
        why = self._try("DOCTOR_PROBE_WRITE_USER") if in_memory else None
        if why is not None:
            yield _no_memory(in_memory, why)
        needs = bool(self._rewrite.needs & self._o.lib.REWRITE_NEEDS_REGISTERS)
        why = self._try("DOCTOR_CONTEXT_WRITE") if needs else None
        if why is not None:
            what = "; ".join(in_registers) or "a call that is skipped"
            yield TracerError(
                f"{what}: this kernel lets no program write registers: {why.message}",
                hint=f"{NEWER_KERNEL}; what lies behind a pointer, or on the stack as up to Go 1.16, is memory, "
                "which needs a kernel without lockdown",
            )

    def check(self, pids: Sequence[int]) -> None:
        """Raise for what this kernel refuses, and for a variable that is nil, before anything is attached."""
        for refusal in self.refusals():
            raise refusal
        for change in self.changes:
            for pid in pids if change.variable else ():
                if self._word(pid, change.variable) == 0:
                    raise TracerError(f"{change.shown} is nil in process {pid}: {change.name} cannot be set to it")

    def _word(self, pid: int, address: int) -> int | None:
        """The word at a link address of the program in a process; None where it cannot be told."""
        try:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                memory.seek(address + self._bias(pid))
                return int(struct.unpack("<Q", memory.read(8))[0])
        except (OSError, struct.error, ValueError, OverflowError):  # a forged address is beyond what can be sought
            return None

    def _bias(self, pid: int) -> int:
        """Load bias: where the beginning of the file is mapped, from where it was linked to be."""
        if self.first_address is None:
            raise ValueError
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-[0-9a-f]+ \S+ 00000000 \S+ (\d+) ", line)
            if match and int(match[2]) == self.binary.identity.ino:
                return int(match[1], 16) - self.first_address
        raise ValueError

    # ---- confirming -----------------------------------------------------------------------------------------

    def confirm(self, pids: Sequence[int], command: Sequence[str], messages: Messages) -> None:
        """Name each process that will be changed, and ask. Raises unless the answer is yes."""
        lines = [f"rewrite {self.title}"]
        if command:
            lines.append("  in the command that is started now: " + printable(" ".join(command)))
        else:
            found = list(pids) or processes.running(self.binary.identity)
            lines += [f"  in process {pid}: {_command_line(pid)}" for pid in found]
            if not pids:
                lines.append("  in every process of this file that starts while this runs")
        if self.request.yes:
            for line in lines:
                messages.note(line)
            return
        try:
            asked = sys.stdin.isatty() and sys.stderr.isatty()
        except (AttributeError, ValueError):
            asked = False
        if not asked:
            raise TracerError(
                "nobody confirms that a running program is to be changed", hint="give --yes, or answer at a terminal"
            )
        sys.stderr.write(printable_lines("\n".join(lines)) + "\nchange it? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise TracerError("not confirmed: nothing was changed")

    # ---- --dry-run ------------------------------------------------------------------------------------------

    def show(self, out: TextIO) -> None:
        """Site, place and bytes of each change, and what it needs of the kernel."""
        function = next(self.plan.functions())
        out.write(printable(f"{function.name}{function.signature}") + "\n")
        changes = self.changes
        for entry in (True, False):
            mine = [c for c in changes if c.entry == entry]
            if not mine and not (entry and self._rewrite.skip):
                continue
            for site in function.sites:
                if site.entry != entry:
                    continue
                kind = "skip  " if self._rewrite.skip else "entry " if entry else "return"
                out.write(f"  {kind} {site.addr:#x}  file offset {site.file_offset:#x}  {site.insn}\n")
            for c in mine:
                out.write(
                    printable(f"    {c.name} {c.type}  in {c.place}  ← {c.shown}: {c.written or 'no bytes'}") + "\n"
                )
        if self.where is not None:
            out.write(printable(f"  only where {self.where}") + "\n")
        for warning in self.warnings():
            out.write(f"  warning: {warning}\n")
        needs = []
        if any(c.needs_memory for c in changes):
            needs.append("that programs write a process's memory")
        if self._rewrite.needs & self._o.lib.REWRITE_NEEDS_REGISTERS:
            needs.append("that programs write registers")
        out.write(f"  needs of the kernel: {' and '.join(needs) or 'nothing'}\n")
        if os.geteuid() == 0:
            for refusal in self.refusals():
                out.write(f"  refused here: {printable(refusal.message)}\n")

    def inlined_warnings(self) -> Iterator[str]:
        if self._rewrite.may_be_inlined:
            yield "callers may have the body inlined: those calls are not changed"

    def warnings(self) -> Iterator[str]:
        function = next(self.plan.functions())
        yield from self.inlined_warnings()
        for line in function.warnings:
            yield printable(line)


def _no_memory(names: Sequence[str], why: TracerError) -> TracerError:
    """bpf_probe_write_user() is refused for two reasons (kernel/trace/bpf_trace.c, bpf_tracing_func_proto): want of a
    capability, and lockdown, which also stands without a file that tells it."""
    message = f"{', '.join(names)} cannot be written: this kernel lets no program write a process's memory"
    state = lockdown()
    if why.code == "privilege":
        return TracerError(f"{message}: {why.message}", hint=why.hint)
    if not _has_capability(CAP_SYS_ADMIN):
        return TracerError(f"{message}: the capability CAP_SYS_ADMIN is missing", hint="run as root (sudo)")
    if state == "none":
        return TracerError(f"{message}: {why.message}", hint=why.hint)
    return TracerError(
        f"{message}: kernel lockdown is on" + (f" ({state})" if state else ", which refuses bpf_probe_write_user"),
        hint="boot without lockdown (Secure Boot off, or lockdown=none)",
    )


def _has_capability(bit: int) -> bool:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return True
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> bit & 1)


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "ended"
    return printable(" ".join(w.decode("utf-8", "backslashreplace") for w in words))


def error_variables(binary: OpenedBinary) -> list[str]:
    """Names of the program's package-level variables of type error, sorted."""
    o = native.offsets()
    ffi, lib = o.ffi, o.lib
    out, n = ffi.new("struct rewrite_variable **"), ffi.new("size_t *")
    with Program(binary.path, binary.name, binary.debug_file) as program:
        take(ffi, lib, lib.rewrite_variables(program.pointer, out, n))
        try:
            return [text(ffi, out[0][i].name) for i in range(n[0])]
        finally:
            lib.rewrite_variables_free(out[0], n[0])
