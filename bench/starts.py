# SPDX-License-Identifier: Apache-2.0
"""From exec to the first event, and peak memory: the first time and warm, a small program and a large one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import go_versions
from measure import GO, ROOT, at_most, median, row, table
from peers import dlv, version
from programs import biggest, go_compiler
from tracing import Tracer, command, environment

ROUNDS = 9
EVENT_ROUNDS = 3
PLAN = """
import sys, time
from tracer.binary import open_binary
from tracer.plan import ReadOptions
from tracer import native
native.offsets()
begin = time.perf_counter()
with open_binary(sys.argv[1], (), None) as binary, binary.planned([sys.argv[2]], [], ReadOptions()) as plan:
    print(time.perf_counter() - begin)
"""
ANEW = {"GOPHERSCOPE_CACHE": "off"}


def start(tracer: Tracer) -> None:
    table("From exec to attached (demo binary, until the meta line is there)")
    program = go_versions.tracee(GO)

    def once(env: dict[str, str]) -> float:
        begin = time.monotonic()
        tracing = tracer.start("-b", program, "--func", "main.ebpfDemo", "-f", "jsonl", "-q", env=env).attached()
        took = time.monotonic() - begin
        tracing.stop()
        return took

    once({})
    at_most("compiled and planned anew", median([once(ANEW) for _ in range(ROUNDS)]), 0.5, "s", ".3f")
    at_most("from what was kept of the run before", median([once({}) for _ in range(ROUNDS)]), 0.5, "s", ".3f")


def plan(tracer: Tracer) -> None:
    compiler = go_compiler()
    size = compiler.stat().st_size / 1e6
    function = "cmd/compile/internal/ssa.Compile"
    table(f"The plan of one function in a {size:.0f} MB binary ({function} of Go's compiler)")

    def once(env: dict[str, str]) -> float:
        run = subprocess.run(
            [sys.executable, "-c", PLAN, compiler, function],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        )
        return 1000 * float(run.stdout)

    anew = median([once(ANEW) for _ in range(ROUNDS)])
    once({})
    kept = median([once({}) for _ in range(ROUNDS)])
    at_most("made anew", anew, 150, "ms", ".1f")
    at_most("from the cache", kept, 30, "ms", ".1f")


class First(NamedTuple):
    seconds: float  # from exec to the first event
    peak: int  # bytes: the most that the tracer and its children held at once, the traced program left out


def first_event(argv: Sequence[str], marks: Sequence[bytes], env: dict[str, str], target: Path, cwd: Path) -> First:
    """Run a tracer that starts a program, until it has written one of `marks`, then to its end."""
    out = cwd / "first"
    begin = time.monotonic()
    with out.open("wb") as file:
        process = subprocess.Popen(
            argv, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, cwd=cwd
        )
    peak, seen = 0, 0.0
    while process.poll() is None:
        peak = max(peak, held(process.pid, target))
        if not seen and any(mark in out.read_bytes() for mark in marks):
            seen = time.monotonic() - begin
        time.sleep(0.001)
    if not seen:
        if not any(mark in out.read_bytes() for mark in marks):
            raise SystemExit(f"error: no event from {argv[:4]}: {out.read_text(errors='replace')[-500:]}")
        seen = time.monotonic() - begin
    return First(seen, peak)


def held(pid: int, target: Path) -> int:
    """Resident bytes of a process and its descendants, but for those that run `target`, and for the copy of the process
    itself that waits to become `target`: its pages are the same."""
    total, pending = 0, [pid]
    while pending:
        one = pending.pop()
        try:
            pending += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
            is_copy = (
                one != pid and Path(f"/proc/{one}/cmdline").read_bytes() == Path(f"/proc/{pid}/cmdline").read_bytes()
            )
            if not is_copy and not Path(f"/proc/{one}/exe").samefile(target):
                total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        except OSError:
            pass  # it has ended
    return total


def first(tracer: Tracer) -> None:
    small, large = go_versions.tracee(GO), biggest()
    for program, function, arguments, limits in (
        (small, "main.ebpfDemo", ["-n", "1"], ((0.35, 150), (0.12, 60))),
        (large, "main.main", ["-V"], ((0.8, 150), (0.3, 100))),
    ):
        size = program.stat().st_size / 1e6
        table(f"From exec to the first event, and peak memory ({function}, {size:.1f} MB, {EVENT_ROUNDS} rounds)")
        ours = command("--func", function, "-f", "jsonl", "-q", "--", program, *arguments)
        first_event(ours, [b'{"type":"call"'], environment(None), program, tracer.folder)
        for (what, env), (seconds, memory) in zip((("the first time", ANEW), ("warm", {})), limits):
            runs = [
                first_event(ours, [b'{"type":"call"'], environment(env), program, tracer.folder)
                for _ in range(EVENT_ROUNDS)
            ]
            at_most(f"first event, {what}", median([r.seconds for r in runs]), seconds, "s", ".3f")
            at_most(f"peak memory, {what}", max(r.peak for r in runs) / 1e6, memory, "MB", ".0f")
        # dlv refuses optimised code; the large one is not
        unoptimised = go_versions.tracee(GO, "nopt") if program == small else program
        for name, argv, marks, target in peers(program, unoptimised, function, arguments):
            if argv is None:
                row(name, "absent")
                continue
            runs = [first_event(argv, marks, dict(os.environ), target, tracer.folder) for _ in range(3)]
            row(name, f"{median([r.seconds for r in runs]):.3f} s, {max(r.peak for r in runs) / 1e6:.0f} MB")


def peers(
    program: Path, unoptimised: Path, function: str, arguments: list[str]
) -> list[tuple[str, list[str] | None, list[bytes], Path]]:
    found: list[tuple[str, list[str] | None, list[bytes], Path]] = []
    path = shutil.which("bpftrace")
    probe = f'uprobe:{program}:"{function}" {{ printf("event\\n"); }}'
    found.append(
        (
            f"bpftrace {version([path, '--version'])}" if path else "bpftrace",
            [path, "-B", "none", "-e", probe, "-c", " ".join([str(program), *arguments])] if path else None,
            [b"event"],
            program,
        )
    )
    path = dlv()
    pattern = "^" + function.replace(".", r"\.") + "$"
    found.append(
        (
            f"dlv {version([path, 'version'])} trace --ebpf" if path else "dlv",
            [path, "trace", "--ebpf", "--exec", str(unoptimised), pattern, "--", *arguments] if path else None,
            [b"> goroutine", b"> (1)"],
            unoptimised,
        )
    )
    return found
