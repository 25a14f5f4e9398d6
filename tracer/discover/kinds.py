# SPDX-License-Identifier: Apache-2.0
"""What an executable was made by: Go, a virtual machine or interpreter, Rust, or anything else.

Go is told by its table of functions, which stays in stripped files. A Go program in which only functions of package
runtime are found, of those that a rule could use, passes bytes on: a proxy, which counts as generic. The others are
told by the libraries that the process has mapped, else by marks that their run-time systems leave in the file.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tracer.errors import TracerError
from tracer.plan import Program

GO, JAVA, DOTNET, PYTHON, RUBY, NODEJS, RUST, GENERIC = (
    "go",
    "java",
    "dotnet",
    "python",
    "ruby",
    "nodejs",
    "rust",
    "generic",
)
MAPS_MAX = 8 << 20  # bytes of /proc/PID/maps that are read
SCAN_MAX = 256 << 20  # bytes of a file in which marks are looked for
BLOCK = 1 << 20  # of them at once

# A file among the mappings whose name begins so.
_LIBRARIES = (
    (JAVA, ("libjvm.so",)),
    (DOTNET, ("libcoreclr.so", "libmonosgen-", "libhostfxr.so")),
    (RUBY, ("libruby.so", "libruby-", "libruby2", "libruby3")),
    (NODEJS, ("libnode.so",)),
    (PYTHON, ("libpython2", "libpython3", "libpython.")),
)
# Names that a run-time system linked into the program exports, or texts that it holds.
_MARKS = (
    (JAVA, (b"JNI_CreateJavaVM\0", b"Graal.IsolateMutex", b"graal_create_isolate\0")),
    (NODEJS, (b"node_module_register\0", b"napi_module_register\0")),
    (PYTHON, (b"\0Py_BytesMain\0", b"\0Py_InitializeFromConfig\0")),
    (RUBY, (b"\0ruby_run_node\0", b"\0ruby_sysinit\0")),
    (DOTNET, (b"DotNetRuntimeInfo\0", b"DotNetRuntimeDebugHeader\0")),
    # the path of the standard library's sources, in the places that panics name: stripped files too
    (RUST, (b"/rustc/", b"library/std/src/panicking.rs", b"rust_begin_unwind\0")),
)


@dataclass(frozen=True)
class Kind:
    name: str
    why: str  # by what it was told, for people
    go_version: str = ""
    failed: bool = field(default=False, compare=False)  # the file could not be looked at: another time it may be told


def kind_of(path: str, maps: str | None = None, usable: Collection[str] = ()) -> Kind:
    """path: of the executable, as we can open it. maps: text of /proc/PID/maps of a process that runs it.

    usable: functions that rules could use (names, without wildcards); empty: any makes a Go program.
    """
    try:
        with Program(path) as program:
            return _go_kind(program, usable)
    except TracerError as e:
        if e.code not in ("not_go", "not_elf", "arch", "malformed", "unsupported"):
            return Kind(GENERIC, e.message, failed=True)
    by_library = _by_libraries(maps or "")
    if by_library:
        return by_library
    return _by_marks(path)


def _go_kind(program: Program, usable: Collection[str]) -> Kind:
    version = program.go_version
    if not usable:
        return Kind(GO, "its table of functions", version)
    wanted = set(usable)
    found = {f.name for f in program.functions() if f.name in wanted}
    if any(not name.startswith("runtime.") for name in found):
        return Kind(GO, "its table of functions", version)
    return Kind(GENERIC, "a Go program without a library that is known: only functions of runtime are found", version)


def _by_libraries(maps: str) -> Kind | None:
    names = {line.rpartition("/")[2] for line in maps.splitlines() if "/" in line}
    for kind, prefixes in _LIBRARIES:
        for name in sorted(names):
            if name.startswith(prefixes):
                return Kind(kind, f"{name} is mapped")
    return None


def _by_marks(path: str) -> Kind:
    try:
        with Path(path).open("rb") as f:
            if os.fstat(f.fileno()).st_size == 0:
                return Kind(GENERIC, "an empty file")
            found = _first_mark(f.fileno())
            if found:
                return Kind(found[0], f"the file holds {found[1].strip(bytes(1)).decode()!r}")
    except (OSError, ValueError) as e:
        return Kind(GENERIC, f"its file cannot be read: {e}", failed=True)
    return Kind(GENERIC, "nothing tells what made it")


def _first_mark(fd: int) -> tuple[str, bytes] | None:
    """The first of the marks, in their order, that the file holds. It is not mapped: it may shrink meanwhile."""
    wanted = [(kind, mark) for kind, marks in _MARKS for mark in marks]
    overlap = max(len(mark) for _, mark in wanted) - 1
    found, tail = None, b""
    for start in range(0, SCAN_MAX, BLOCK):
        block = os.pread(fd, min(BLOCK, SCAN_MAX - start), start)
        if not block or not wanted:
            break
        data = tail + block
        for i, (kind, mark) in enumerate(wanted):
            if mark in data:
                found, wanted = (kind, mark), wanted[:i]
                break
        tail = data[-overlap:]
    return found


def maps_of(pid: int, proc: str = "/proc") -> str:
    """What a process has mapped; "" where it is gone, or not ours to look into."""
    try:
        with Path(f"{proc}/{pid}/maps").open("rb") as f:
            return f.read(MAPS_MAX).decode("utf-8", "replace")
    except OSError:
        return ""
