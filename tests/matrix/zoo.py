# SPDX-License-Identifier: Apache-2.0
"""The zoo as a program: built with any Go version in any way, run under the tracer, and the two compared."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import go_versions  # noqa: E402
from compare import Limits, Tally, compare, read_lines  # noqa: E402
from tracing import command, environment  # noqa: E402

# Every minor version that is promised, each by its last release that the tests know or that was there.
VERSIONS = {
    **{f"1.{n}": exact for n, exact in ((16, "1.16.15"), (18, "1.18.10"), (20, "1.20.14"), (22, "1.22.12"))},
    **{f"1.{n}": exact for n, exact in ((23, "1.23.12"), (25, "1.25.5"))},
    **go_versions.VERSIONS,
}
MINORS = sorted(VERSIONS, key=lambda v: int(v.split(".")[1]))


@dataclass(frozen=True)
class Build:
    """A way to build: a mode of go_versions, and whether values can be expected."""

    mode: str
    cgo: bool = False
    values: bool = True
    said: str = ""


BUILDS = {
    "default": Build("default", said="`go build`"),
    "-N -l": Build("nopt", said="`-gcflags='-N -l'`"),
    "PIE": Build("pie", said="`-buildmode=pie`"),
    "external": Build("external", cgo=True, said="cgo, `-ldflags=-linkmode=external`"),
    "uncompressed": Build("uncompressed", said="`-ldflags=-compressdwarf=false`"),
    "race": Build("race", cgo=True, said="`-race`"),
    "-w": Build("nodwarf", values=False, said="`-ldflags=-w`"),
    "-s -w": Build("stripped", values=False, said="`-ldflags='-s -w'`"),
}

FUNCTIONS = ("--func", "main.z*", "--func", "main.(*z*")


def program(version: str, build: str) -> Path:
    """Path of the zoo, built when it is not in the cache. Raises go_versions.BuildError."""
    exact = VERSIONS[version]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for path in (HERE / "zoo").iterdir():
            if path.suffix in (".go", ".s"):
                (folder / path.name).write_bytes(path.read_bytes())
        # The language of its own version: generics need no less than 1.18.
        (folder / "go.mod").write_text(f"module example.com/zoo\n\ngo {version}\n")
        return go_versions.go_program(folder, exact, BUILDS[build].mode, BUILDS[build].cgo)


class TracerError(Exception):
    """The tracer did not end well."""


def trace(zoo: Path, folder: Path, seed: int = 1, rounds: int = 7, options: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """Run the zoo under the tracer: the path of its own lines and of the tracer's."""
    own, traced = folder / "zoo.jsonl", folder / "trace.jsonl"
    # Room for all that comes, however little time the tracer is given: records of interfaces take the most there is.
    buffer = "64M" if rounds < 3 else "256M"
    run = subprocess.run(
        [
            *command(*FUNCTIONS, *options, "--buffer", buffer, "-q", "-f", "jsonl", "-o", traced),
            *("--", str(zoo), "-seed", str(seed), "-rounds", str(rounds), "-o", str(own)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(None),
        cwd=folder,
        timeout=600,
    )
    if run.returncode or not own.exists():
        raise TracerError(f"status {run.returncode}: {run.stderr[-2000:]}")
    return own, traced


def check(version: str, build: str, seed: int = 1, rounds: int = 7, options: tuple[str, ...] = ()) -> Tally:
    """Build, trace, compare."""
    zoo = program(version, build)
    with tempfile.TemporaryDirectory() as text:
        own, traced = trace(zoo, Path(text), seed, rounds, options)
        return compare(read_lines(own), read_lines(traced), Limits(), BUILDS[build].values)
