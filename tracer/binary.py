# SPDX-License-Identifier: Apache-2.0
"""The file that is traced: found from -b, -p or the command, held open, and planned (or its plan found again)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Callable

from tracer import __version__, cache, native, processes
from tracer.errors import TracerError, UsageError
from tracer.plan import Plan, Program, ReadOptions
from tracer.processes import FileIdentity

FileId = tuple[int, int, int, int, int]


def _file_id(st: os.stat_result) -> FileId:
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns


def _id_of(path: str) -> FileId | None:
    try:
        return _file_id(os.stat(path))  # noqa: PTH116
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
        # the module's own time stands for the rules by which it plans, which change while it is being written
        rules = os.stat(native.offsets().__file__).st_mtime_ns  # noqa: PTH116
        debug = None if self.debug_file is None else (self.debug_file, _id_of(self.debug_file))
        key = cache.key(__version__, rules, self.path, self.file_id, debug, list(patterns), list(excludes), options)
        kept = cache.find("plan", key)
        if kept is not None:
            try:
                plan = Plan.read(str(kept))
            except TracerError:
                cache.drop(kept)
            else:
                if plan.file_id == self.file_id and self._debug_is_same(plan):
                    return plan
                plan.close()
                cache.drop(kept)
        on_miss()
        with Program(self.path, self.name, self.debug_file) as program:
            plan = program.plan(patterns, excludes, options)
        cache.put("plan", key, plan.write)
        return plan

    @staticmethod
    def _debug_is_same(plan: Plan) -> bool:
        """Whether a kept plan has the debug information that would be found now."""
        if plan.debug_file is None:
            return plan.has_dwarf  # without any it may have been installed since
        path, file_id = plan.debug_file
        return _id_of(path) == file_id


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
