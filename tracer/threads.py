# SPDX-License-Identifier: Apache-2.0
"""Threads that leave signals to the main thread.

A signal of a process goes to any of its threads that takes it: to another than the main one where that has one to be
dealt with already (complete_signal() in kernel/signal.c). Python runs its handlers in the main thread, which would go
on to wait.
"""

from __future__ import annotations

import signal
import threading
from typing import Callable

WHAT_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def start(run: Callable[[], None], name: str | None = None) -> threading.Thread:
    """A daemon thread of `run`, begun."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WHAT_ENDS)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread
