# SPDX-License-Identifier: Apache-2.0
"""The file that is traced: found from -b, -p or the command, held open, and planned (or its plan found again)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Callable

from tracer import __version__, cache, native, processes
from tracer.errors import TracerError, UsageError
from tracer.plan import FileId, Plan, Program, ReadOptions, separate_debug_file
from tracer.processes import FileIdentity


@dataclass(frozen=True)
class _Entry:
    """Of the cache: its key, and the separate debug file that a plan under it is made of (as Plan.debug_file)."""

    key: str
    debug_file: tuple[str, FileId] | None


def _file_id(st: os.stat_result) -> FileId:
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns


@contextmanager
def _opened(path: str) -> Iterator[int]:
    # O_NONBLOCK: a named pipe must not keep us waiting for a writer
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        yield fd
    finally:
        os.close(fd)


def _content_of(path: str) -> str | None:
    """What stands for the bytes of a file, or None."""
    try:
        with _opened(path) as fd:
            return cache.content(fd)
    except (OSError, ValueError):
        return None


class OpenedBinary:
    """path opens it (it may lead through /proc); name is what people call it; fd stays open as long as this."""

    def __init__(self, path: str, name: str, fd: int, debug_file: str | None = None) -> None:
        self.path = path
        self.debug_file = debug_file
        self.name = name
        self.fd = fd
        st = os.fstat(fd)
        self.identity = FileIdentity(st.st_dev, st.st_ino)
        self.file_id = _file_id(st)
        self.not_kept = ""
        """Why plans of this file are not kept, where that is for the file's sake."""

    def is_file(self, path: str) -> bool:
        """Whether the path leads to this very file."""
        try:
            return processes.identity(path) == self.identity
        except OSError:
            return False

    @contextmanager
    def _closing(self, plan: Plan) -> Iterator[Plan]:
        try:
            yield plan
        finally:
            plan.close()

    def planned(
        self,
        patterns: Sequence[str],
        excludes: Sequence[str],
        options: ReadOptions,
        on_miss: Callable[[], None] = lambda: None,
    ) -> AbstractContextManager[Plan]:
        """Plan of the functions, closed at the end of the context.

        on_miss: called before the long way is taken, where no plan was kept from an earlier run.
        """
        return self._closing(self._plan(patterns, excludes, options, on_miss))

    def _plan(
        self,
        patterns: Sequence[str],
        excludes: Sequence[str],
        options: ReadOptions,
        on_miss: Callable[[], None],
    ) -> Plan:
        entry = self._entry(patterns, excludes, options, on_miss)
        plan = self._kept(entry.key) if entry else None
        if plan is not None:
            return plan
        on_miss()
        with Program(self.path, self.name, self.debug_file) as program:
            plan = program.plan(patterns, excludes, options)
        # Without debug information, some may be installed until the next time.
        if entry and plan.has_dwarf and self._is_of(plan, entry):
            cache.put("plan", entry.key, plan.write)
        return plan

    def _is_of(self, plan: Plan, entry: _Entry) -> bool:
        """Whether it was made of the very files that the entry stands for."""
        return plan.file_id == self.file_id == _file_id(os.fstat(self.fd)) and plan.debug_file == entry.debug_file

    def _entry(
        self,
        patterns: Sequence[str],
        excludes: Sequence[str],
        options: ReadOptions,
        on_miss: Callable[[], None],
    ) -> _Entry | None:
        """What stands for a request on this file: for its bytes, wherever they are, for those of its debug file, and
        for the rules by which they are planned. None where nothing can be kept."""
        if cache.folder() is None:
            return None
        self.not_kept = cache.why_not_by_content(self.fd)
        if self.not_kept:
            return None
        content = cache.content(self.fd, on_miss)
        rules = _content_of(native.offsets().__file__)
        if content is None or rules is None or _file_id(os.fstat(self.fd)) != self.file_id:
            return None
        try:
            path = self.debug_file or separate_debug_file(self.path)
            debug_file, debug = (None, None) if path is None else self._debug_file(path)
        except (TracerError, OSError, ValueError):
            return None  # planning says what is wrong
        if debug_file is not None and debug is None:
            return None
        found = debug_file and (debug_file[0], debug)
        key = cache.key(__version__, rules, content, found, list(patterns), list(excludes), options)
        return _Entry(key, debug_file)

    def _debug_file(self, path: str) -> tuple[tuple[str, FileId], str | None]:
        """The debug file's path and version, and what stands for its bytes; None where nothing may."""
        with _opened(path) as fd:
            debug_file = path, _file_id(os.fstat(fd))
            if why := cache.why_not_by_content(fd):
                self.not_kept = f"its debug file {path}: {why}"
                return debug_file, None
            return debug_file, cache.content(fd)

    def _kept(self, key: str) -> Plan | None:
        entry = cache.find("plan", key)
        if entry is None:
            return None
        with entry:
            try:
                return Plan.read(entry.fileno(), self.path, self.file_id)
            except TracerError:
                cache.drop("plan", key)
                return None


@contextmanager
def open_binary(
    binary: str | None, pids: Sequence[int], command: str | None, debug_file: str | None = None
) -> Iterator[OpenedBinary]:
    """The binary that -b names, else that of the first process, else the command's file.

    debug_file: where its debug information is (--debug-file).

    Raises where a process does not run it (NothingToTraceError), or it cannot be opened (UsageError).
    """
    if binary is not None:
        path = name = binary
    elif pids:
        path = processes.binary_of(pids[0])
        name = path if not path.startswith("/proc/") else f"the program of process {pids[0]}"
    elif command is not None:
        path = name = command
    else:
        raise UsageError("which program? give -b FILE, -p PID or -- COMMAND")
    if "\0" in path:
        raise UsageError("a file name holds no NUL byte")
    try:
        # O_NONBLOCK: a named pipe must not keep us waiting for a writer
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as e:
        raise UsageError(f"cannot open {path!r}: {e.strerror}") from None
    try:
        opened = OpenedBinary(path, name, fd, debug_file)
        for pid in pids:
            processes.check_runs(pid, path, opened.identity)
        yield opened
    finally:
        os.close(fd)
