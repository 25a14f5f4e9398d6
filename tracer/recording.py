# SPDX-License-Identifier: Apache-2.0
"""Recordings (collector/recording.h): read back as events, or written in another format. Needs no root."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tracer import native, output, threads
from tracer.errors import TracerError, UsageError, take, text
from tracer.summary import Summary

Event = dict[str, Any]
"""One line of the JSON format (docs/design.md, "JSON lines")."""


class Recording:
    """A file that `trace -o FILE.gscope` made. It is checked while it is read, like any file from elsewhere."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.summary: Summary | None = None
        """What the trace counted, once the recording was read to its end."""
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as e:
            raise UsageError(f"cannot open {path!r}: {getattr(e, 'strerror', e)}") from None

    @classmethod
    def of_fd(cls, fd: int, name: str) -> Recording:
        """One that is open already; closed with this."""
        recording = cls.__new__(cls)
        recording.path, recording.summary, recording._fd = name, None, fd
        return recording

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def write(self, format: str, out_fd: int, color: str = "never") -> None:
        """As "text" or "jsonl". TracerError where the file is damaged: what stands before the damage is written."""
        module = native.collector()
        ffi, lib = module.ffi, module.lib
        how = ffi.new("struct collector_options *")
        how.format = {"text": lib.FORMAT_TEXT, "jsonl": lib.FORMAT_JSON}[format]
        how.color = format == "text" and output.wants_color(color, out_fd)
        how.out_fd = out_fd
        out = ffi.new("struct collector **")
        try:
            take(ffi, lib, lib.collector_replay(self._fd, how, out))
            failure = text(ffi, lib.collector_failure(out[0]))
            if failure:
                raise TracerError(f"writing failed: {failure}")
            if lib.collector_summary(out[0]):
                self.summary = Summary.read(ffi, lib.collector_summary(out[0]))
        except TracerError as e:
            raise TracerError(f"{self.path!r}: {e.message}", e.exit_code, e.hint, code=e.code) from None
        finally:
            if out[0]:
                lib.collector_destroy(out[0])

    def events(self) -> Iterator[Event]:
        """Each line of the JSON format, in order. TracerError at the place where the file is damaged."""
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        problems: list[BaseException] = []

        def run() -> None:
            try:
                self.write("jsonl", write_fd)
            except BaseException as e:
                problems.append(e)
            finally:
                os.close(write_fd)

        thread = threads.start(run)
        try:
            with os.fdopen(read_fd, encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)
        finally:
            thread.join()  # the pipe is closed by now: it ends
        if problems:
            raise problems[0]
