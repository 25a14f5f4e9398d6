# SPDX-License-Identifier: Apache-2.0
"""Traces whose format is made of events: recorded first, or read while they run (tree)."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from tracer import output, threads
from tracer.errors import TracerError, printable
from tracer.recording import Recording
from tracer.writers import writer

if TYPE_CHECKING:
    from tracer.options import TraceOptions


def convert(recording: Recording, format: str, out: str | None, quiet: bool) -> None:
    """Write a recording in one of tracer.writers' formats, and tell how to open it."""
    made = writer(format)
    with output.opened(out) as fd, os.fdopen(os.dup(fd), "wb") as file:
        made.write(recording.events(), file)
    if not quiet and out not in (None, "-"):
        sys.stderr.write(f"{printable(str(out))}: {made.HOW_TO_OPEN.format(printable(str(out)))}\n")


def traced_and_converted(options: TraceOptions) -> int:
    """Record, then convert: what the format costs, it costs when the trace has ended."""
    from tracer.session import trace

    with tempfile.TemporaryFile() as file:
        status = trace(dataclasses.replace(options, format="gscope", out_fd=file.fileno(), output=None))
        if file.tell() or os.fstat(file.fileno()).st_size:
            with Recording.of_fd(os.dup(file.fileno()), "the trace") as recording:
                convert(recording, options.format, options.output, options.quiet)
    return status


def traced_as_tree(options: TraceOptions) -> int:
    """Trees are shown while the trace runs, as soon as each is whole."""
    import json

    from tracer.session import trace
    from tracer.writers import tree

    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    problems: list[BaseException] = []

    with output.opened(options.output) as fd, os.fdopen(os.dup(fd), "w", encoding="utf-8", errors="replace") as out:

        def run() -> None:
            try:
                with os.fdopen(read_fd, encoding="utf-8") as lines:
                    tree.write_text((json.loads(line) for line in lines), out)
            except BaseException as e:
                problems.append(e)

        thread = threads.start(run)
        try:
            status = trace(dataclasses.replace(options, format="jsonl", out_fd=write_fd, output=None))
        finally:
            os.close(write_fd)
            thread.join()
        _raise(problems)
    return status


def _raise(problems: list[Any]) -> None:
    """A reader that went away is a normal end; a disk that is full is not."""
    for problem in problems:
        if isinstance(problem, BrokenPipeError):
            continue
        if isinstance(problem, OSError):
            raise TracerError(f"writing failed: {problem.strerror}") from None
        raise problem
