# SPDX-License-Identifier: Apache-2.0
"""What ends a trace early, and how it is answered while C is at work."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any, Callable, NoReturn, TypeVar

from tracer import threads
from tracer.errors import EXIT_INTERRUPTED

T = TypeVar("T")


class Signals:
    """What ends a trace early. As a context: Ctrl-C and SIGTERM too, by what the trace is doing when they come."""

    def __init__(self) -> None:
        self.wake_read, self.wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.disable: Callable[[], None] | None = None
        """Set while there is a trace to end; until then a signal ends the set-up."""
        self.received: int | None = None
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Signals:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup asks to outlive the terminal. SIGINT is answered even so: a script's shell has its background
            # jobs ignore it, and then means it when it sends it.
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                self._before[signum] = signal.signal(signum, self._on_signal)
        # also what another thread takes wakes this one, in which Python runs the handler
        self._wakeup_before = signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *exc: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self.close()

    def close(self) -> None:
        os.close(self.wake_read)
        os.close(self.wake_write)

    def stop(self) -> None:
        """End the trace, as a signal would; before it has begun, as soon as it has."""
        if self.received is None:
            self.received = 0
            if self.disable:
                self.disable()
            self.wake()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self.disable is None:
            _leave_at_once(signum)
        if self.received is not None:
            if signum == signal.SIGINT:
                os._exit(EXIT_INTERRUPTED)
            return
        self.received = signum
        self.disable()
        self.wake()

    def take_wakes(self) -> None:
        """Whatever they were for is known by now."""
        try:
            os.read(self.wake_read, 4096)
        except BlockingIOError:
            pass

    def wake(self) -> None:
        try:
            os.write(self.wake_write, b"!")
        except BlockingIOError:
            pass  # full: it will wake anyway


def _leave_at_once(signum: int) -> NoReturn:
    """End while nothing is traced yet. C may be at work in another thread, so nothing is taken down under it:
    the kernel closes what is open, and a command that waits for its start leaves when our end of its pipe goes."""
    try:
        sys.stderr.write("interrupted before tracing began\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError, RuntimeError):
        pass
    os._exit(128 + signum)


def beside(work: Callable[[], T]) -> T:
    """Run C that may take long in another thread, so that signals are answered meanwhile."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as e:
            errors.append(e)

    threads.start(run).join()
    if errors:
        raise errors[0]
    return results[0]
