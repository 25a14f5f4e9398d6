# SPDX-License-Identifier: Apache-2.0
"""Builds Go programs with pinned Go versions, and keeps them: one source, version and mode is built once.

The versions stand for what changed in the files: 1.15 the stack ABI and .zdebug_*, 1.17 the register ABI,
1.19 the pclntab of 1.18, 1.21 `push %rbp` prologues, 1.24 swiss maps, 1.26 DWARF 5 and new section names,
1.27 the newest.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRACEE = ROOT / "examples" / "tracee"

# scripts/bootstrap.sh reads these lines too.
VERSIONS = {
    "1.15": "1.15.15",
    "1.17": "1.17.13",
    "1.19": "1.19.13",
    "1.21": "1.21.13",
    "1.24": "1.24.7",
    "1.26": "1.26.8",
    "1.27": "1.27.0",
}
MODES: dict[str, list[str]] = {
    "default": [],
    "pie": ["-buildmode=pie"],
    "stripped": ["-ldflags=-s -w"],
    "stripped-pie": ["-ldflags=-s -w", "-buildmode=pie"],
    "nodwarf": ["-ldflags=-w"],
    "nopt": ["-gcflags=-N -l"],
    "race": ["-race"],
    "external": ["-ldflags=-linkmode=external"],
    "uncompressed": ["-ldflags=-compressdwarf=false"],
    "cover": ["-cover"],
    "paths": ["-trimpath=false"],
    "external-pie": ["-ldflags=-linkmode=external", "-buildmode=pie"],
    "c-shared": ["-buildmode=c-shared"],
    "plugin": ["-buildmode=plugin"],
    "external-nodwarf": ["-ldflags=-linkmode=external -w"],
}
BUILD_PATIENCE = 1200  # seconds


class BuildError(Exception):
    """A toolchain, or what a build needs of the machine, could not be had: the message says why."""


class SourceError(Exception):
    """A program does not compile."""


def cache_dir() -> Path:
    """Where built programs are kept: GOPHERSCOPE_TEST_CACHE, else a folder in the user's cache."""
    own = os.environ.get("GOPHERSCOPE_TEST_CACHE")
    base = (
        Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gopherscope" / "tests"
    )
    base.mkdir(parents=True, exist_ok=True)
    return base


@contextlib.contextmanager
def building(key: str) -> Iterator[None]:
    """Nobody else builds this meanwhile. The first build of a version compiles its library, and another process may be
    at it: that is not the time of the test that comes first, whose alarm (pytest-timeout) goes on afterwards.
    """
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        with (cache_dir() / f"lock-{key[0]}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)


def goroot(version: str) -> str:
    """The GOROOT of "1.24" (pinned above) or of an exact version."""
    exact = VERSIONS.get(version, version)
    run = subprocess.run([ROOT / "scripts" / "go-toolchain.sh", exact], capture_output=True, text=True)
    if run.returncode:
        raise BuildError(run.stderr.strip())
    return run.stdout.strip()


def _files(source: Path | str) -> dict[str, bytes]:
    """The files of a program: a folder's, one file, or the text of a main.go."""
    if isinstance(source, str):
        return {"main.go": source.encode()}
    if source.is_file():
        return {"main.go": source.read_bytes()}
    return {p.name: p.read_bytes() for p in sorted(source.iterdir()) if p.suffix in (".go", ".s", ".mod", ".sum")}


def go_program(
    source: Path | str, version: str = "1.26", mode: str = "default", cgo: bool = False, experiment: str = ""
) -> Path:
    """The path of the program, built when it is not in the cache. Raises BuildError, SourceError.

    experiment: as GOEXPERIMENT."""
    files = _files(source)
    files.setdefault("go.mod", b"module example.com/program\n\ngo 1.15\n")
    exact = VERSIONS.get(version, version)
    minor = int(exact.split(".")[1])
    asked = (sorted(files.items()), exact, MODES[mode], cgo, *([experiment] if experiment else []))
    key = hashlib.sha256(repr(asked).encode()).hexdigest()[:20]
    folder = cache_dir() / f"{exact}-{mode}-{key}"
    program = folder / "program"
    if program.exists():
        return program
    with building(key):
        if program.exists():
            return program
        root = goroot(version)
        with tempfile.TemporaryDirectory(dir=cache_dir()) as text:
            work = Path(text)
            for name, content in files.items():
                (work / name).write_bytes(content)
            env = dict(
                os.environ,
                GOROOT=root,
                GOTOOLCHAIN="local",
                GO111MODULE="on",
                CGO_ENABLED="1" if cgo else "0",
            )
            env["GOEXPERIMENT"] = experiment
            # Set, so that a user's own flags do not count: old versions fail on those that they do not know.
            env["GOFLAGS"] = "-trimpath" + (" -buildvcs=false" if minor >= 18 else "")
            if minor == 19:
                env["GODEBUG"] = "goindex=0"  # its module index fails on a GOROOT inside the module cache
            run = subprocess.run(
                [f"{root}/bin/go", "build", "-o", "program", *MODES[mode], "."],
                cwd=work,
                env=env,
                capture_output=True,
                text=True,
                timeout=BUILD_PATIENCE,
            )
            if run.returncode:
                at_fault = re.search(r"^\./[^:\n]+\.(go|s):\d", run.stderr, re.M)
                raise (SourceError if at_fault else BuildError)(f"Go {exact}, {mode}: {run.stderr.strip()}")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o755)
            (work / "program").rename(program)
    return program


def tracee(version: str = "1.26", mode: str = "default") -> Path:
    """The demo program, examples/tracee."""
    return go_program(TRACEE, version, mode)
