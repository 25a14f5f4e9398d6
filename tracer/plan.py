# SPDX-License-Identifier: Apache-2.0
"""Programs and plans: the Python side of offsets/. Needs no root, and runs nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tracer import native
from tracer.errors import EXIT_USAGE, NothingToTraceError, TracerError, UsageError, take, text

SUGGESTIONS_MAX = 3

FileId = tuple[int, int, int, int, int]
"""(device, inode, size, mtime, ctime) of a file; times in ns."""

# In the order of record.regs (bpf_c/record.h).
REGISTER_NAMES = ("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11", "rdx")


@dataclass(frozen=True)
class FunctionName:
    """One function of a program's own table."""

    name: str
    entry: int  # link address
    size: int  # bytes up to the next function
    abi0: bool


@dataclass(frozen=True)
class Frame:
    """One frame of a stack, as its source names it."""

    function: str
    file: str  # "" where the tables do not tell
    line: int  # 0 where they do not tell
    inlined: bool = False  # it has no frame of its own: its code stands in the next one's


@dataclass(frozen=True)
class InlinedCopy:
    """One place where the compiler put a function's body instead of a call."""

    name: str  # of the function that was copied; of a generic one "F[...]"
    into: str  # the function whose code holds the copy
    addr: int  # link address of the first instruction
    file: str  # where the call stands in the source; "" where the tables do not tell
    line: int


@dataclass(frozen=True)
class ReadOptions:
    """What a plan is to read (struct plan_options)."""

    args: bool = True
    results: bool = True
    returns: bool = True
    optional: bool = True  # without debug information: no values, instead of an error
    raw_words: bool = False  # the words of functions whose types are not known
    each_hit: bool = False  # sums and samples: no functions whose first instruction is a loop's head
    string_size: int = 256
    depth: int = 2
    elements: int = 64
    expressions: tuple[str, ...] = ()  # instead of whole arguments: "EXPR, EXPR …", see offsets/expression.h
    where: str | None = None  # which calls are wanted, see offsets/plan_where.h
    by: str | None = None  # a value by which calls are summed


class Program:
    """A Go program's file, opened. `path` may lead through /proc; `name` is what people call it."""

    def __init__(self, path: str, name: str | None = None, debug_file: str | None = None) -> None:
        """debug_file: where its debug information is; None: in itself, or where such files are looked for."""
        self._o = native.offsets()
        self.path = path
        self.name = name or path
        ffi, lib = self._o.ffi, self._o.lib
        self._check_readable(path)
        debug = ffi.NULL
        if debug_file is not None:
            self._check_readable(debug_file)
            debug = ffi.new("char[]", os.fsencode(debug_file))
        out = ffi.new("struct program **")
        take(ffi, lib, lib.program_open(os.fsencode(path), debug, out))
        self._program = out[0]

    @staticmethod
    def _check_readable(path: str) -> None:
        """A file that is missing or unreadable is the command line's fault, whatever its bytes would be."""
        if "\0" in path:
            raise UsageError("a file name holds no NUL byte")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as e:
            raise UsageError(f"cannot open {path!r}: {e.strerror}") from None
        os.close(fd)
        if os.path.isdir(path):  # noqa: PTH112
            raise UsageError(f"{path!r} is a folder")

    def close(self) -> None:
        if self._program:
            self._o.lib.program_destroy(self._program)
            self._program = self._o.ffi.NULL

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pointer(self) -> Any:
        return self._program

    @property
    def is_pie(self) -> bool:
        return bool(self._program.elf.pie)

    @property
    def first_address(self) -> int | None:
        """Link address of the file's first byte: 0, or what the linker was told; None where it is not mapped."""
        elf = self._program.elf
        segments = (elf.segments[i] for i in range(elf.n_segments))
        return next((int(s.vaddr) for s in segments if s.offset == 0), None)

    @property
    def go_version(self) -> str:
        """ "go1.26.8"; "" where the file does not tell."""
        build = self._program.build
        return text(self._o.ffi, build.version) if build else ""

    @property
    def modules(self) -> dict[str, str]:
        """Path → version of the modules that it was built from, its own too ("(devel)" or "" where it has none)."""
        build, ffi = self._program.build, self._o.ffi
        if not build:
            return {}
        deps = {text(ffi, build.deps[i].path): text(ffi, build.deps[i].version) for i in range(build.n_deps)}
        own = text(ffi, build.main_module.path)
        return {own: text(ffi, build.main_module.version), **deps} if own else deps

    @property
    def file_id(self) -> FileId:
        """(device, inode, size, mtime, ctime) of the file as it was opened; times in ns."""
        i = self._program.elf.id
        return i.dev, i.ino, i.size, i.mtime_ns, i.ctime_ns

    @contextmanager
    def _matcher(self, patterns: Sequence[str]) -> Iterator[Any]:
        ffi, lib = self._o.ffi, self._o.lib
        texts, keep = _string_array(ffi, patterns)
        out = ffi.new("struct func_matcher **")
        take(ffi, lib, lib.func_matcher_create(texts, len(keep), out))
        try:
            yield out[0]
        finally:
            lib.func_matcher_destroy(out[0])

    def functions(self, patterns: Sequence[str] = ()) -> Iterator[FunctionName]:
        """Those that match a pattern (all without one), in order of address. The same name can come twice."""
        ffi, lib = self._o.ffi, self._o.lib
        table = self._program.funcs
        with self._matcher(patterns) as matcher:
            for i in range(table.n):
                f = table.v[i]
                if not patterns or lib.func_matcher_match(matcher, f.name):
                    yield FunctionName(text(ffi, f.name), f.entry, f.end - f.entry, bool(f.abi0))

    def inlined(self, patterns: Sequence[str] = ()) -> list[InlinedCopy]:
        """Copies of the functions that match, where the compiler put them into others, by the code that they are in.

        TracerError (code "not_found") where the file does not tell.
        """
        ffi, lib = self._o.ffi, self._o.lib
        out, n = ffi.new("struct inlined_copy **"), ffi.new("size_t *")
        with self._matcher(patterns) as matcher:
            take(
                ffi,
                lib,
                lib.func_table_inlined(self._program.funcs, matcher if patterns else ffi.NULL, out, n),
            )
        try:
            return [
                InlinedCopy(text(ffi, c.name), text(ffi, getattr(c, "in").name), c.addr, text(ffi, c.file), c.line)
                for c in (out[0][i] for i in range(n[0]))
            ]
        finally:
            lib.free(out[0])

    def frames_at(self, addr: int) -> list[Frame]:
        """What stands at a link address: calls that were inlined there, the innermost first, then the function that
        holds it. Empty where no function does."""
        ffi, lib = self._o.ffi, self._o.lib
        f = lib.func_table_find_addr(self._program.funcs, addr)
        if not f:
            return []
        v = ffi.new("struct func_frame[]", lib.FUNC_FRAMES_MAX)
        n = lib.func_table_frames(self._program.funcs, f, addr, v, lib.FUNC_FRAMES_MAX)
        return [Frame(text(ffi, v[i].func), text(ffi, v[i].file), v[i].line, i + 1 < n) for i in range(n)]

    def suggest(self, name: str) -> list[str]:
        """Names that are nearly this one, the nearest first."""
        ffi, lib = self._o.ffi, self._o.lib
        out = ffi.new("const char *[]", SUGGESTIONS_MAX)
        n = lib.func_table_suggest(self._program.funcs, os.fsencode(name), out, SUGGESTIONS_MAX)
        return [text(ffi, out[i]) for i in range(min(n, SUGGESTIONS_MAX))]

    def nothing_matches(self, patterns: Sequence[str]) -> NothingToTraceError:
        """The error for patterns that match no function, with what may have been meant."""
        shown = ", ".join(repr(p) for p in patterns)
        noun = "function" if len(patterns) == 1 and not any(c in patterns[0] for c in "*?") else "no function matches"
        message = f"{noun} {shown} not found in {self.name}" if noun == "function" else f"{noun} {shown} in {self.name}"
        near: list[str] = []
        for pattern in patterns:
            bare = pattern.strip("*?")
            near += [s for s in self.suggest(bare or pattern) if s not in near]
        hint = "did you mean " + " or ".join(repr(s) for s in near[:SUGGESTIONS_MAX]) + "? " if near else ""
        return NothingToTraceError(message, hint + f"see: gopherscope list -b {self.name}")

    def plan(self, patterns: Sequence[str], excludes: Sequence[str], options: ReadOptions) -> Plan:
        """Plan what matches any of the patterns and none of the excludes."""
        ffi, lib = self._o.ffi, self._o.lib
        want, keep_want = _string_array(ffi, patterns)
        leave, keep_leave = _string_array(ffi, excludes)
        how = ffi.new("struct plan_options *")
        for field in dataclasses.fields(options):
            if field.name not in ("expressions", "where", "by"):
                setattr(how, field.name, getattr(options, field.name))
        texts, keep_texts = _string_array(ffi, options.expressions)
        how.expressions = texts
        how.n_expressions = len(options.expressions)
        condition = ffi.NULL if options.where is None else ffi.new("char[]", os.fsencode(options.where))
        value = ffi.NULL if options.by is None else ffi.new("char[]", os.fsencode(options.by))
        how.where, how.by = condition, value
        out = ffi.new("struct plan **")
        try:
            take(
                ffi,
                lib,
                lib.plan_create(self._program, want, len(patterns), leave, len(excludes), how, out),
            )
        except TracerError as e:
            if e.code == "not_found" and not any(True for _ in self.functions(patterns)):
                raise self.nothing_matches(patterns) from None
            if e.exit_code == EXIT_USAGE and not e.hint and not e.place:
                e.hint = "gopherscope --help"
            raise
        finally:
            del keep_want, keep_leave, texts, keep_texts, condition, value
        return Plan(out[0])


def separate_debug_file(path: str) -> str | None:
    """The file that Program(path) would find by itself and try for debug information."""
    o = native.offsets()
    out = o.ffi.new("char **")
    take(o.ffi, o.lib, o.lib.program_debug_file(os.fsencode(path), out))
    if not out[0]:
        return None
    try:
        return os.fsdecode(o.ffi.string(out[0]))
    finally:
        o.lib.free(out[0])


def _string_array(ffi: Any, strings: Sequence[str]) -> tuple[Any, list[Any]]:
    """(const char *[], what must be kept alive with it)."""
    kept = [ffi.new("char[]", os.fsencode(s)) for s in strings]
    return ffi.new("const char *[]", kept), kept


@dataclass(frozen=True)
class Value:
    """A parameter or result at one site, for people."""

    name: str
    type: str
    places: tuple[str, ...]  # "rax", "sp+0x20", "read 2 +8", "constant 0x0"; one for each piece
    unreadable: tuple[str, ...]  # reasons, of the pieces that cannot be read


@dataclass(frozen=True)
class Site:
    entry: bool
    addr: int  # link address
    file_offset: int
    insn: str
    emulated: bool
    n_steps: int
    lists: bool  # the steps lead to lists, run for each element or by an interface's type
    values: tuple[Value, ...]


Variables = tuple[tuple[str, str], ...]
"""(name, type) of parameters or results, in order."""


@dataclass(frozen=True)
class PlannedFunction:
    name: str
    entry: int  # link address of the first instruction
    file: str
    line: int
    abi: str
    signature: str
    params: Variables | None  # None: not known
    results: Variables | None
    never_returns: bool  # its calls end by a panic, by Goexit or with the process
    refused: str  # why it is not probed; "" if it is
    warnings: tuple[str, ...]
    sites: tuple[Site, ...]


@dataclass(frozen=True)
class Filter:
    """Bodies of C functions (offsets/where_c.c); "" where there is nothing to be asked then."""

    enter: str  # at the entry: is the call wanted, as far as it can be told?
    leave: str  # at a return
    by: str  # by which value is it summed?


class Plan:
    """Where to probe and what to read; owned here, used by the collector. Must outlive the collector."""

    def __init__(self, pointer: Any) -> None:
        self._o = native.offsets()
        self.pointer = pointer

    @classmethod
    def read(cls, fd: int, path: str, file_id: FileId) -> Plan:
        """One that was kept, read from where the descriptor stands. Everything in it is checked.

        path, file_id: of the file that it is used for, which may be another copy than that it was made of.
        """
        o = native.offsets()
        out = o.ffi.new("struct plan **")
        take(o.ffi, o.lib, o.lib.plan_read_fd(fd, out))
        plan = cls(out[0])
        try:
            take(o.ffi, o.lib, o.lib.plan_set_file(plan.pointer, os.fsencode(path), [file_id]))
        except BaseException:
            plan.close()
            raise
        return plan

    def write(self, fd: int) -> None:
        take(self._o.ffi, self._o.lib, self._o.lib.plan_write_fd(self.pointer, fd))

    def close(self) -> None:
        if self.pointer:
            self._o.lib.plan_destroy(self.pointer)
            self.pointer = self._o.ffi.NULL

    def __enter__(self) -> Plan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> int:
        """For another extension module's `struct plan *`."""
        return int(self._o.ffi.cast("uintptr_t", self.pointer))

    @property
    def lib(self) -> Any:
        """Names of constants in what `pointer` leads to."""
        return self._o.lib

    @property
    def go_version(self) -> str:
        return self._string(self.pointer.binary.go_version)

    @property
    def has_dwarf(self) -> bool:
        """Whether the file has debug information, without which no types are known."""
        return bool(self.pointer.binary.has_dwarf)

    @property
    def no_dwarf(self) -> str:
        """Why there is no debug information; "" where there is some, or nothing that needs it was asked."""
        return self._string(self.pointer.binary.dwarf_why)

    @property
    def debug_file(self) -> tuple[str, FileId] | None:
        """The separate file that the debug information came from, and which version of it (as file_id)."""
        pointer = self._o.lib.plan_string(self.pointer, self.pointer.binary.debug_file)
        path = os.fsdecode(self._o.ffi.string(pointer)) if pointer else ""
        i = self.pointer.binary.debug_id
        return (path, (i.dev, i.ino, i.size, i.mtime_ns, i.ctime_ns)) if path else None

    @property
    def goroutines_unknown(self) -> str:
        """Why goroutine ids cannot be read; "" where they can."""
        return self._string(self.pointer.binary.g_why)

    @property
    def ends_unknown(self) -> str:
        """Why it cannot be told of some calls that do not return how they end; "" where it can of all."""
        return self._string(self.pointer.binary.unwinds_why)

    @property
    def file_id(self) -> FileId:
        i = self.pointer.binary.id
        return i.dev, i.ino, i.size, i.mtime_ns, i.ctime_ns

    def counts(self) -> tuple[int, int, int]:
        """(functions that are probed, entry sites, return sites)."""
        p = self.pointer
        entry = self._o.lib.SITE_ENTRY
        entries = sum(1 for i in range(p.n_sites) if p.sites[i].kind == entry)
        functions = sum(1 for i in range(p.n_funcs) if p.funcs[i].n_sites)
        return functions, entries, p.n_sites - entries

    def refusals(self) -> list[tuple[str, str]]:
        """(function, why) of those that are not probed."""
        p = self.pointer
        return [
            (self._string(p.funcs[i].name), self._string(p.funcs[i].refused) or "no site was found")
            for i in range(p.n_funcs)
            if not p.funcs[i].n_sites
        ]

    def functions(self) -> Iterator[PlannedFunction]:
        for i in range(self.pointer.n_funcs):
            yield self._function(self.pointer.funcs[i])

    def filters(self) -> list[Filter]:
        """What a condition and a value to sum by became. A site names one by its place here, from 1 on."""
        p = self.pointer
        return [
            Filter(
                self._string(p.filters[i].enter),
                self._string(p.filters[i].leave),
                self._string(p.filters[i].by),
            )
            for i in range(p.n_filters)
        ]

    # ---- reading the flat arrays ----------------------------------------------------------------------------

    def _string(self, offset: int) -> str:
        return text(self._o.ffi, self._o.lib.plan_string(self.pointer, offset))

    def _type(self, index: int) -> str:
        types = self.pointer.types
        return self._string(types.v[index].name) if index < types.n else "?"

    def _function(self, f: Any) -> PlannedFunction:
        p = self.pointer
        return PlannedFunction(
            name=self._string(f.name),
            entry=f.entry,
            file=self._string(f.file),
            line=f.line,
            abi="ABI0" if f.abi == self._o.lib.GO_ABI0 else "ABIInternal",
            signature=self._signature(f),
            params=self._vars(f, f.first_param, f.n_params),
            results=self._vars(f, f.first_result, f.n_results),
            never_returns=bool(f.never_returns),
            refused=self._string(f.refused),
            warnings=tuple(self._string(p.warnings[i]) for i in range(f.first_warning, f.first_warning + f.n_warnings)),
            sites=tuple(self._site(p.sites[i]) for i in range(f.first_site, f.first_site + f.n_sites)),
        )

    def _vars(self, f: Any, first: int, n: int) -> Variables | None:
        if not f.has_types:
            return None
        pairs = (self.pointer.vars[i] for i in range(first, first + n))
        return tuple((self._string(v.name), self._type(v.type)) for v in pairs)

    def _signature(self, f: Any) -> str:
        params = self._vars(f, f.first_param, f.n_params)
        results = self._vars(f, f.first_result, f.n_results)
        if params is None:
            return "(…)"
        groups = [params, results] if results else [params]
        return " ".join("(" + ", ".join(" ".join(v) for v in group) + ")" for group in groups)

    def _site(self, s: Any) -> Site:
        p = self.pointer
        return Site(
            entry=s.kind == self._o.lib.SITE_ENTRY,
            addr=s.addr,
            file_offset=s.file_off,
            insn=self._string(s.insn),
            emulated=bool(s.emulated),
            n_steps=s.n_steps,
            lists=bool(s.deep),
            values=tuple(self._value(p.values[i], s) for i in range(s.first_value, s.first_value + s.n_values)),
        )

    def _value(self, v: Any, site: Any) -> Value:
        pieces = [self.pointer.pieces[i] for i in range(v.first_piece, v.first_piece + v.n_pieces)]
        reasons = dict.fromkeys(self._reason(x, site) for x in pieces if x.reason != self._o.lib.PLAN_OK)
        places = tuple(self._place(x) for x in pieces if x.reason == self._o.lib.PLAN_OK)
        type_ = self.pointer.ways[v.first_way + v.n_ways - 1].type if v.n_ways else v.type
        return Value(self._string(v.name), self._type(type_), places, tuple(reasons))

    def _place(self, piece: Any) -> str:
        lib, at = self._o.lib, piece.at
        if at.kind == lib.LOC_REGISTER:
            return REGISTER_NAMES[at.index] if at.index < len(REGISTER_NAMES) else f"register {at.index}"
        if at.kind in (lib.LOC_STACK, lib.LOC_SP):
            return f"sp{at.offset:+#x}"
        if at.kind == lib.LOC_CHUNK:
            return f"read {at.index} {at.offset:+#x}"
        if at.kind == lib.LOC_CONSTANT:
            return f"constant {piece.constant:#x}"
        return "nowhere"

    def _reason(self, piece: Any, site: Any) -> str:
        lib = self._o.lib
        callers = (self.pointer.callers[i] for i in range(site.first_caller, site.first_caller + site.n_callers))
        calls = sum(1 for c in callers if piece.came_in == c.reg + 1)
        known = f", known at {calls} direct call{'s' if calls > 1 else ''}" if calls else ""
        reasons = {
            lib.PLAN_IN_FLOAT_REG: f"in xmm{piece.detail}",
            lib.PLAN_CLOBBERED: "its register is overwritten there",
            lib.PLAN_NOT_DECODED: "not decoded",
            lib.PLAN_TOO_LARGE: "more than a record holds",
            lib.PLAN_UNPLACED: "parameters before it are missing from the debug information",
        }
        return reasons.get(piece.reason, f"reason {piece.reason}") + known
