# SPDX-License-Identifier: Apache-2.0
"""One set of probes for each executable: more processes are added to it, ended ones are taken from it, and with the
last one it goes.

Probes stand in a file, not in a process, so two processes of one executable share them, also in two containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Optional, Protocol

from tracer.discover.criteria import Criterion
from tracer.discover.kinds import GENERIC, Kind
from tracer.discover.procfs import Process
from tracer.discover.watcher import Match
from tracer.errors import TracerError
from tracer.processes import FileIdentity

EXECUTABLES_MAX = 256  # traced at once: each has programs, a buffer and two threads


class Tracing(Protocol):
    """Probes in one executable."""

    def add(self, process: Process, criterion: Criterion) -> None: ...

    def remove(self, process: Process) -> None: ...

    def close(self) -> None: ...


KindOf = Callable[[Process], Kind]
MakeTracing = Callable[[Process, Kind], Optional[Tracing]]  # None: nothing that could be traced in it


@dataclass
class Executable:
    identity: FileIdentity
    path: str
    kind: Kind
    tracing: Tracing | None
    why_not: str = ""  # where it is not traced
    processes: dict[int, Process] = field(default_factory=dict)
    told: bool = False  # that it is traced


class Attacher:
    """kind_of: what made the executable of a process. make: probes for it; TracerError says why there are none.

    report: told of each executable and process that comes and goes, with one line for people.
    traced: told of each executable's probes once the events of its first process come through.

    What fails with one executable is reported, and ends nothing else.
    """

    def __init__(
        self,
        kind_of: KindOf,
        make: MakeTracing,
        report: Callable[[str], None] = lambda line: None,
        traced: Callable[[Tracing, Process], None] = lambda tracing, process: None,
    ) -> None:
        self._kind_of = kind_of
        self._make = make
        self._report = report
        self._traced = traced
        self._executables: dict[FileIdentity, Executable] = {}
        self._of_pid: dict[int, FileIdentity] = {}
        self._waiting: dict[int, Match] = {}  # processes of executables that were refused
        self.refused = 0  # executables beyond EXECUTABLES_MAX
        self.unexpected = 0  # failures that are nobody's words: defects of the tracer, and want of memory

    @property
    def executables(self) -> list[Executable]:
        return list(self._executables.values())

    def feed(self, matches: Iterable[Match]) -> None:
        for match in matches:
            if match.criterion is None:
                self.remove(match.process)
            else:
                self.add(match.process, match.criterion)
        if self._waiting and self._has_room():
            self._try_again()

    def add(self, process: Process, criterion: Criterion) -> None:
        executable = self._executables.get(process.exe)
        if executable is None:
            if not self._has_room():
                self._refuse(Match(process, criterion))
                return
            executable = self._start(process)
        executable.processes[process.pid] = process
        self._of_pid[process.pid] = process.exe
        if executable.tracing is not None:
            with self._failing(f"process {process.pid}"):
                executable.tracing.add(process, criterion)
                if not executable.told:
                    executable.told = True
                    self._traced(executable.tracing, process)

    def remove(self, process: Process) -> None:
        self._waiting.pop(process.pid, None)
        executable = self._executables.get(self._of_pid.pop(process.pid, process.exe))
        if executable is None or executable.processes.pop(process.pid, None) is None:
            return
        if executable.tracing is not None:
            with self._failing(f"process {process.pid}"):
                executable.tracing.remove(process)
        if not executable.processes:
            del self._executables[executable.identity]
            if executable.tracing is not None:
                with self._failing(executable.path):
                    executable.tracing.close()
                self._report(f"{executable.path}: its last process has ended")

    def close(self) -> None:
        for executable in self._executables.values():
            if executable.tracing is not None:
                with self._failing(executable.path):
                    executable.tracing.close()
        self._executables.clear()
        self._of_pid.clear()
        self._waiting.clear()

    def _has_room(self) -> bool:
        return sum(e.tracing is not None for e in self._executables.values()) < EXECUTABLES_MAX

    def _try_again(self) -> None:
        for match in list(self._waiting.values()):
            if match.criterion is not None and (match.process.exe in self._executables or self._has_room()):
                del self._waiting[match.process.pid]
                self.add(match.process, match.criterion)

    def _refuse(self, match: Match) -> None:
        """Until there is room."""
        if not any(waiting.process.exe == match.process.exe for waiting in self._waiting.values()):
            self.refused += 1
            if self.refused == 1:
                self._report(f"more than {EXECUTABLES_MAX} executables: the others wait until one of them has ended")
        self._waiting[match.process.pid] = match

    def _start(self, process: Process) -> Executable:
        executable = Executable(process.exe, process.exe_path, Kind(GENERIC, "not looked at"), None)
        with self._failing(f"{process.exe_path} (process {process.pid}): not traced", executable):
            executable.kind = self._kind_of(process)
            executable.tracing = self._make(process, executable.kind)
        self._executables[process.exe] = executable
        return executable

    @contextmanager
    def _failing(self, what: str, executable: Executable | None = None) -> Iterator[None]:
        """Report what fails in here. executable: that is not traced then."""
        try:
            yield
            return
        except TracerError as e:
            why = e.message
        except Exception as e:
            self.unexpected += 1
            why = f"{type(e).__name__}: {e}".rstrip(": ")
        self._report(f"{what}: {why}")
        if executable is not None:
            executable.why_not = why
