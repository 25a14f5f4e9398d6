# SPDX-License-Identifier: Apache-2.0
"""Discovery as it runs: look at all processes at each poll, and at one as soon as the kernel tells of it.

A process that has just executed or bound a port is looked at again a few times: it may bind before it listens, and its
socket is in the kernel's table only a moment after the event.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tracer.discover.attacher import Attacher
from tracer.discover.criteria import Criterion
from tracer.discover.kernel_events import KernelEvents
from tracer.discover.procfs import Look
from tracer.discover.watcher import Matcher, Watcher

LOOK_AGAIN_S = (0.0, 0.03, 0.2, 1.0)  # after an event
LOOKS_MAX = 4096  # processes that wait for one; of more, the poll takes care


class Discovery:
    """watcher → matcher → attacher. One thread calls all of it.

    A look that fails (no descriptor is left) changes nothing, and is made good by the next poll.
    """

    def __init__(
        self,
        criteria: Sequence[Criterion],
        attacher: Attacher,
        poll_s: float = 5.0,
        events: KernelEvents | None = None,
        proc: str = "/proc",
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._watcher = Watcher()
        self._matcher = Matcher(criteria)
        self._attacher = attacher
        self._poll_s = poll_s
        self._events = events
        self._proc = proc
        self._next_poll = 0.0
        self._due: dict[int, list[float]] = {}  # process → when to look at it
        self._warn = warn
        self.looks_skipped = self.looks_failed = 0

    def poll(self) -> None:
        """Look at every process."""
        with self._looking():
            processes = Look(self._proc, self._matcher.wants_ports).processes()
            self._attacher.feed(self._matcher.feed(self._watcher.see_all(processes)))
        self._next_poll = time.monotonic() + self._poll_s

    def look_at(self, pid: int) -> None:
        """Look at one process."""
        with self._looking():
            process = Look(self._proc, self._matcher.wants_ports).process(pid)
            self._attacher.feed(self._matcher.feed(self._watcher.see(pid, process)))

    @contextmanager
    def _looking(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            self.looks_failed += 1
            if self.looks_failed == 1:
                self._warn(f"cannot look at processes: {e.strerror or e}; the next poll tries again")

    def replace(self, criteria: Sequence[Criterion]) -> None:
        wanted_ports = self._matcher.wants_ports
        self._attacher.feed(self._matcher.replace(criteria))
        if self._matcher.wants_ports != wanted_ports:
            self.poll()

    def step(self, timeout: float | None = None, wake_fd: int | None = None) -> bool:
        """Wait for what comes first (poll, look, event of the kernel, timeout) and do it. True: wake_fd is readable."""
        now = time.monotonic()
        if now >= self._next_poll:
            self.poll()
            now = time.monotonic()
        until = self._next_poll
        if self._due:
            until = min(until, min(times[0] for times in self._due.values()))
        if timeout is not None:
            until = min(until, now + timeout)
        poll = select.poll()
        if self._events is not None:
            poll.register(self._events.fileno(), select.POLLIN)
        if wake_fd is not None:
            poll.register(wake_fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0, int(1000 * (until - now)) + 1))}
        if self._events is not None and self._events.fileno() in ready:
            self._take_events()
        self._look_where_due()
        return wake_fd in ready

    def _take_events(self) -> None:
        assert self._events is not None
        now = time.monotonic()
        own = os.getpid()
        for event in self._events.take():
            if event.pid == own:
                continue
            delays = (0.0,) if event.source == "exit" else LOOK_AGAIN_S
            if event.pid not in self._due and len(self._due) >= LOOKS_MAX:
                self.looks_skipped += 1
                continue
            self._due[event.pid] = [now + delay for delay in delays]

    def _look_where_due(self) -> None:
        now = time.monotonic()
        for pid in [pid for pid, times in self._due.items() if times[0] <= now]:
            later = [t for t in self._due[pid] if t > now]
            if later:
                self._due[pid] = later
            else:
                del self._due[pid]
            self.look_at(pid)

    def close(self) -> None:
        self._attacher.close()
        if self._events is not None:
            self._events.close()
