# SPDX-License-Identifier: Apache-2.0
"""Formats made of events: one module each, with write(events, out) and HOW_TO_OPEN.

text and jsonl are written by C while tracing (collector/text.c, json.c). These are made of a recording when the
trace has ended, so that what Python takes for an event costs the trace nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

from tracer.recording import Event

# Format → what it is, for --help.
FORMATS = {
    "csv": "a table: one row a call and one a return",
    "chrome": "a timeline for Perfetto or chrome://tracing, a track for each goroutine",
    "speedscope": "a timeline for speedscope",
    "folded": "time by traced callers, one line each: for flame graphs",
    "pprof": "the same, for `go tool pprof`",
}


class Writer(Protocol):
    """What a module in this package offers."""

    HOW_TO_OPEN: str
    """{} stands for the file's name."""

    def write(self, events: Iterator[Event], out: BinaryIO) -> None: ...


def writer(name: str) -> Writer:
    return cast(Writer, importlib.import_module(f"tracer.writers.{name}"))
