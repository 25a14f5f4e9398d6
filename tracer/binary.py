# SPDX-License-Identifier: Apache-2.0
"""The file that is traced: found from -b, -p or the command, held open, and planned (or its plan found again)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Callable

from tracer import __version__, cache, native, processes
from tracer.errors import TracerError, UsageError
from tracer.plan import FileId, Plan, Program, ReadOptions
from tracer.processes import FileIdentity

DEBUG_FOLDER = "GOPHERSCOPE_DEBUG_FOLDER"  # offsets/debug_file.c


def _file_id(st: os.stat_result) -> FileId:
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns


def _content_of(path: str) -> str | None:
    """What stands for the bytes of a file, or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    try:
        return cache.content(fd)
    finally:
        os.close(fd)


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
        key = self._key(patterns, excludes, options, on_miss)
        plan = self._kept(key) if key else None
        if plan is not None:
            return plan
        on_miss()
        with Program(self.path, self.name, self.debug_file) as program:
            plan = program.plan(patterns, excludes, options)
        # Without debug information, some may be installed until the next time.
        if key and plan.has_dwarf and plan.file_id == self.file_id == _file_id(os.fstat(self.fd)):
            self._keep(key, plan)
        return plan

    def _key(
        self,
        patterns: Sequence[str],
        excludes: Sequence[str],
        options: ReadOptions,
        on_miss: Callable[[], None],
    ) -> str | None:
        """What stands for a request on this file: for its bytes, wherever they are, and for the rules by which they
        are planned. None where nothing can be kept."""
        content = cache.content(self.fd, on_miss)
        if content is None or _file_id(os.fstat(self.fd)) != self.file_id:
            return None
        rules = _content_of(native.offsets().__file__)
        given = None if self.debug_file is None else _content_of(self.debug_file)
        if rules is None or (self.debug_file is not None and given is None):
            return None
        debug = (self.debug_file, given, os.environ.get(DEBUG_FOLDER))
        return cache.key(__version__, rules, content, debug, list(patterns), list(excludes), options)

    @staticmethod
    def _keep(key: str, plan: Plan) -> None:
        debug = "" if plan.debug_file is None else _content_of(plan.debug_file[0])
        if debug is None:
            return
        head = debug.ljust(64).encode("ascii")

        def write(fd: int) -> None:
            os.write(fd, head)
            plan.write(fd)

        cache.put("plan", key, write)

    def _kept(self, key: str) -> Plan | None:
        """The plan that was kept, if the debug information that it was made of is still the same."""
        entry = cache.find("plan", key)
        if entry is None:
            return None
        with entry:
            try:
                debug = entry.read(64).decode("ascii").strip()
                plan = Plan.read(entry.fileno(), self.path, self.file_id)
            except (TracerError, UnicodeDecodeError):
                cache.drop("plan", key)
                return None
        if plan.debug_file is None or _content_of(plan.debug_file[0]) == debug:
            return plan
        plan.close()
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
