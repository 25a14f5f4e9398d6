# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells at once: a process executed a file, ended, bound a port, began to listen.

Hints of where to look, never the truth: an event can be lost, and the poll finds what it told of. Which of them this
kernel has is found out by trying.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tracer import native
from tracer.errors import TracerError, take, text

PROGRAM = "watch.bpf.c"
BATCH = 256


@dataclass(frozen=True)
class KernelEvent:
    source: str  # one of KernelEvents.SOURCES
    pid: int
    port: int  # of a bind; 0: not told


class KernelEvents:
    """TracerError where this kernel has none of them, or does not let us."""

    SOURCES = ("exec", "exit", "listen", "bind")

    def __init__(self) -> None:
        from tracer.program_cache import CachedCompiler

        module = native.collector()
        self._ffi, self._lib = module.ffi, module.lib
        self._watch = self._ffi.NULL
        take(self._ffi, self._lib, self._lib.doctor_try(self._lib.DOCTOR_BPF))
        compiler = CachedCompiler()
        try:
            blob = compiler.program(PROGRAM, [])
        finally:
            compiler.cancel()
        out = self._ffi.new("struct watch **")
        take(self._ffi, self._lib, self._lib.watch_open(blob, len(blob), out))
        self._watch = out[0]
        self._events = self._ffi.new("struct watch_event[]", BATCH)

    @property
    def missing(self) -> dict[str, str]:
        """Source → why this kernel does not tell it."""
        why = {}
        for index, source in enumerate(self.SOURCES):
            reason = text(self._ffi, self._lib.watch_missing(self._watch, index))
            if reason:
                why[source] = reason
        return why

    def fileno(self) -> int:
        """Readable when there are events."""
        return int(self._lib.watch_fd(self._watch))

    def take(self) -> Iterator[KernelEvent]:
        while True:
            n = self._lib.watch_take(self._watch, self._events, BATCH)
            for i in range(n):
                e = self._events[i]
                if e.kind < len(self.SOURCES):
                    yield KernelEvent(self.SOURCES[e.kind], e.pid, e.port)
            if n < BATCH:
                return

    def lost(self) -> int:
        return int(self._lib.watch_lost(self._watch))

    def close(self) -> None:
        if self._watch:
            self._lib.watch_close(self._watch)
            self._watch = self._ffi.NULL


def open_kernel_events() -> tuple[KernelEvents | None, str]:
    """(None, why) where there are none."""
    try:
        return KernelEvents(), ""
    except TracerError as e:
        return None, e.message
