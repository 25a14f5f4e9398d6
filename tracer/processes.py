# SPDX-License-Identifier: Apache-2.0
"""Which processes run a file, and whether a given one does.

A process runs a file when its /proc/PID/exe is that inode: names prove nothing (containers, replaced
files, symbolic links).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import NothingToTraceError, TracerError, UsageError

# Inode of the initial pid namespace (include/linux/proc_ns.h, PROC_PID_INIT_INO): BPF programs see its pids.
INITIAL_PID_NS = 0xEFFFFFFC


@dataclass(frozen=True)
class FileIdentity:
    """One inode: device as st_dev has it, and number."""

    dev: int
    ino: int


def identity(path: str) -> FileIdentity:
    """Of the file that the path leads to. OSError as stat raises it."""
    st = os.stat(path)  # noqa: PTH116 - a path through /proc must not be normalised
    return FileIdentity(st.st_dev, st.st_ino)


def executable_path(pid: int, proc: str = "/proc") -> str:
    """A path that opens what the process runs: also where the file was replaced or lies in a container."""
    return f"{proc}/{pid}/exe"


def running(file: FileIdentity, proc: str = "/proc") -> list[int]:
    """Processes that run this file, in order. Those that we may not look into are left out."""
    found = []
    for entry in os.listdir(proc):  # noqa: PTH208 - thousands of entries, only names are needed
        if not entry.isascii() or not entry.isdigit():
            continue
        try:
            if identity(executable_path(int(entry), proc)) == file:
                found.append(int(entry))
        except OSError:
            continue  # a kernel thread, gone, or not ours
    return sorted(found)


def _executable_identity(pid: int, proc: str) -> FileIdentity:
    """Of what the process runs; an error that says what is the matter with the process otherwise."""
    if not Path(proc, str(pid)).exists():
        raise NothingToTraceError(f"no process {pid}", hint="`ps` or `pgrep` list those that run")
    try:
        return identity(executable_path(pid, proc))
    except PermissionError:
        hint = "run as root (sudo)" if os.geteuid() else None
        raise TracerError(f"cannot look into process {pid}: permission denied", hint=hint) from None
    except OSError:
        # a kernel thread has no executable, a zombie has it no more
        raise NothingToTraceError(f"process {pid} runs no program: it has ended, or it is a kernel thread") from None


def binary_of(pid: int, proc: str = "/proc") -> str:
    """Path of the file that the process runs.

    The name that a person knows where it still leads to the same inode, else the path through /proc, which
    opens a file that was replaced or deleted, and one that only the process's container can see.
    """
    through_proc = executable_path(pid, proc)
    file = _executable_identity(pid, proc)
    try:
        name = os.readlink(through_proc)  # noqa: PTH115
        if identity(name) == file:
            return name
    except OSError:
        pass
    return through_proc


def check_runs(pid: int, binary: str, file: FileIdentity | None = None, proc: str = "/proc") -> None:
    """Raise unless the process exists and runs this file (`file`: of an opened binary)."""
    theirs = _executable_identity(pid, proc)
    if file is None:
        try:
            file = identity(binary)
        except OSError as e:
            raise UsageError(f"cannot open {binary!r}: {e.strerror}") from None
    if theirs == file:
        return
    try:
        name = os.readlink(executable_path(pid, proc))  # noqa: PTH115
    except OSError:
        name = "another program"
    if name.removesuffix(" (deleted)") == os.path.realpath(binary):
        raise NothingToTraceError(
            f"process {pid} runs an older {binary!r}: the file was replaced after its start",
            hint="leave -b out: the process's own file is then read through /proc",
        )
    raise NothingToTraceError(
        f"process {pid} does not run {binary!r} but {name!r}",
        hint="leave -b out to trace what the process runs",
    )


def in_initial_namespace(proc: str = "/proc") -> bool:
    """Whether our pids are those that BPF programs see. False in a container with pids of its own."""
    try:
        return os.stat(f"{proc}/self/ns/pid").st_ino == INITIAL_PID_NS  # noqa: PTH116
    except OSError:
        return True
