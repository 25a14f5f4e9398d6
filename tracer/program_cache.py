# SPDX-License-Identifier: Apache-2.0
"""Compiled programs, kept: the second trace of the same kind needs no BCC, which is most of its start."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from tracer import cache
from tracer.program import MAGIC, Compiler, assemble, source_folder


class CachedCompiler:
    """Gives the instructions of a program, kept or new. BCC's process is started only where it is needed."""

    def __init__(self, enabled: bool = True) -> None:
        self._compiler = Compiler()
        self._enabled = enabled
        self._started = False

    def prepare(self) -> None:
        """Start BCC's process now: there will probably be something to compile."""
        if self._enabled and not self._started:
            self._started = True
            self._compiler.start()

    def program(self, name: str, cflags: Sequence[str], filters: str | None = None) -> bytes:
        """The blob for collector_load. filters: program.filters_text() where there is a condition."""
        source = assemble(name, filters=filters)
        key = cache.key(source, list(cflags), *_surroundings())
        kept = cache.find("program", key)
        if kept is not None:
            with kept:
                blob = kept.read()
            if blob.startswith(MAGIC):
                return blob
        blob = self._compiler.compile(source, cflags)
        cache.put("program", key, blob)
        return blob

    def cancel(self) -> None:
        self._compiler.cancel()


def _surroundings() -> list[object]:
    """What else the instructions depend on: BCC, our headers, and the kernel, which BCC asks what it has."""
    parts: list[object] = [tuple(os.uname())]
    spec = importlib.util.find_spec("bcc")
    for folder in (Path(spec.origin).parent if spec and spec.origin else None, source_folder() / "headers"):
        if folder is not None:
            files = sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".h"))
            parts.append([(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files])
    return parts
