# SPDX-License-Identifier: Apache-2.0
"""A signal that ends a trace wakes the main thread, whichever thread the kernel gives it to."""

from __future__ import annotations

import os
import select
import signal
import threading

from tracer import threads
from tracer.signals import Signals


def test_a_signal_that_another_thread_takes() -> None:
    ended = threading.Event()
    taker = threading.Thread(target=ended.wait)  # made before: it takes what is blocked here
    with Signals() as signals:
        disabled: list[bool] = []
        signals.disable = lambda: disabled.append(True)
        taker.start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            poll = select.poll()
            poll.register(signals.wake_read, select.POLLIN)
            os.kill(os.getpid(), signal.SIGINT)
            assert poll.poll(5000)
            signals.take_wakes()
            assert (signals.received, disabled) == (signal.SIGINT, [True])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ended.set()
            taker.join()


def test_own_threads_take_none() -> None:
    masks: list[set[signal.Signals]] = []
    threads.start(lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))).join()
    assert set(threads.WHAT_ENDS) <= masks[0]
    assert not set(threads.WHAT_ENDS) & signal.pthread_sigmask(signal.SIG_BLOCK, [])
