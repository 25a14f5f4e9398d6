# SPDX-License-Identifier: Apache-2.0
"""Children that end with the script: where a signal ends Python at once, they and their QEMU go on without it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SLICE_S = 0.2
PATIENCE_S = 30  # from a signal to the end: pytest takes down what its tests began

_ended = threading.Event()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    _ended.set()
    sys.exit(128 + number)


def take_signals() -> None:
    """From here on a signal is a SystemExit in the main thread, and ends what others wait() for. What was ignored, as
    by nohup, stays so."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def ending() -> bool:
    """Has a signal come? Then nothing more is to be begun."""
    return _ended.is_set()


def wait(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Its exit status; 124 where the time was over. However this is left, the process has ended."""
    limit = time.monotonic() + seconds
    try:
        while process.poll() is None and not ending() and time.monotonic() < limit:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SLICE_S)
        status = process.poll()
    finally:
        _stop(process)
    return 124 if status is None else status


def _stop(process: subprocess.Popen[bytes]) -> None:
    """By SIGINT, which pytest and vm/run.py clean up after; harder where it does not help."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        try:
            process.send_signal(number)
        except PermissionError:  # sudo: it passes on what root sends
            subprocess.run(["sudo", "-n", "kill", f"-{int(number)}", str(process.pid)], check=False)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
