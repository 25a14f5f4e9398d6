# SPDX-License-Identifier: Apache-2.0
"""Measures the tracer on this machine: `make bench`. Root.

Absolute times differ between machines and from run to run, so what a call costs is given as a ratio to an
empty BPF program on the same instruction, both measured in this run, in turns; of several rounds the median
counts. Nothing is asserted: the figures asked for stand beside the ones measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import go_versions  # noqa: E402
from tracing import Tracer, of_type  # noqa: E402

LOOP = ROOT / "bench" / "programs" / "loop"
COUNTS = ROOT / "tests" / "live" / "programs" / "counts"
GO = "1.26"
CALLS = 300_007
ROUNDS = 9


def row(what: str, value: str, wanted: str = "") -> None:
    print(f"  {what:<62} {value:>22}" + (f"   asked: {wanted}" if wanted else ""), flush=True)


@contextmanager
def tracers() -> Iterator[Tracer]:
    # The memory file system, where there is one: what is measured is the tracer, not a disk.
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        tracer = Tracer(Path(folder))
        try:
            yield tracer
        finally:
            tracer.end_all()


def own_copy(tracer: Tracer, program: Path) -> Path:
    """A copy for this run alone: a trace shows every process of its file, those of a test that runs meanwhile too."""
    return Path(shutil.copy(program, tracer.folder / "program"))


def entry_site(program: Path, function: str) -> tuple[int, str]:
    """File offset and instruction of the entry site that the tracer chooses."""
    out = subprocess.run(
        [ROOT / "build" / "offsets", "plan", program, function], capture_output=True, text=True, check=True
    )
    plan = json.loads(out.stdout)
    sites = find_sites(plan)
    site = next(s for s in sites if s["kind"] == "entry")
    return int(str(site["file_offset"]), 0), str(site["insn"])


def find_sites(value: object) -> list[dict[str, object]]:
    """The first member "sites" of a JSON value."""
    if isinstance(value, dict):
        if "sites" in value:
            return list(value["sites"])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            if found := find_sites(each):
                return found
    return []


class Nanoseconds(NamedTuple):
    """Of one call, as the program itself measures it."""

    clock: float  # what passes; with few CPUs the tracer's own threads take their share of them
    cpu: float  # what the calling thread spends, the kernel's part of it included


def loop(tracer: Tracer, program: Path, function: str, calls: int) -> Nanoseconds:
    target = tracer.program(program, "-func", function, "-n", calls)
    assert target.line() == "ready"
    target.go()
    clock, cpu = target.finish(timeout=600).split()[-2:]
    return Nanoseconds(float(clock), float(cpu))


@contextmanager
def empty_probe(program: Path, function: str) -> Iterator[None]:
    offset, _ = entry_site(program, function)
    probe = subprocess.Popen(
        [sys.executable, ROOT / "bench" / "empty_probe.py", program, str(offset)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert probe.stdin and probe.stdout
    if probe.stdout.readline() != "attached\n":
        raise SystemExit("error: the empty program could not be attached")
    try:
        yield
    finally:
        probe.stdin.close()
        probe.wait()


def cost(tracer: Tracer) -> None:
    version = go_versions.VERSIONS[GO]
    print(f"\nWhat a call costs ({CALLS} calls in a tight loop, median of {ROUNDS} rounds, Go {version})")
    program = own_copy(tracer, go_versions.go_program(LOOP, GO))
    out = tracer.folder / "events"
    for function, what, wanted in (
        ("ints", "two ints", 1.3),
        ("text", "two ints and a 16-byte string", 1.6),
        ("values", "a struct behind a pointer and a slice of 8", 2.2),
    ):
        _, instruction = entry_site(program, f"main.{function}")
        bare, empty, ours = [], [], []
        for _ in range(ROUNDS):
            bare.append(loop(tracer, program, function, 20_000_003))
            with empty_probe(program, f"main.{function}"):
                empty.append(loop(tracer, program, function, CALLS))
            tracing = tracer.start(
                *("-b", program, "--func", f"main.{function}", "--no-results", "-f", "jsonl", "-q"),
                *("--buffer", "256M", "-o", out),
            ).attached()
            ours.append(loop(tracer, program, function, CALLS))
            run = tracing.stop()
            summary = json.loads(out.read_text().splitlines()[-1])
            assert run.status == 0 and summary["lost"] == 0, (run, summary)
            out.unlink()
        print(f"  {what}:")
        row("  no probe", f"{statistics.median(ns.cpu for ns in bare):.1f} ns")
        row(f"  empty program at `{instruction}`", f"{statistics.median(ns.cpu for ns in empty):.0f} ns")
        row("  arguments, goroutine, time (--no-results)", f"{statistics.median(ns.cpu for ns in ours):.0f} ns")
        ratio = statistics.median(o.cpu / e.cpu for o, e in zip(ours, empty))
        row("  ratio, CPU time of the calling thread", f"{ratio:.2f} x", f"at most {wanted} x")
        ratio = statistics.median(o.clock / e.clock for o, e in zip(ours, empty))
        row(f"  ratio by the clock ({os.cpu_count()} CPUs, shared with the tracer's threads)", f"{ratio:.2f} x")


def counts(tracer: Tracer) -> None:
    print("\nCounting")
    program = own_copy(tracer, go_versions.go_program(COUNTS, GO))
    for what, mode, n, options, wanted in (
        ("growing stacks", "grow", 100_003, ("--buffer", "64M"), "100003 of 100003"),
        ("tight loop, --buffer 256M", "tight", 1_000_003, ("--buffer", "256M"), "0 lost of 1000003"),
    ):
        out = tracer.folder / "events"
        tracing = tracer.start(
            *("-b", program, "--func", "main.target", "--no-results", "-f", "jsonl", "-q", "-o", out, *options)
        ).attached()
        target = tracer.program(program, "-mode", mode, "-n", n, "-wait=false")
        target.finish(timeout=600)
        tracing.stop(timeout=600)
        written = tracing.count("call")
        (summary,) = of_type([json.loads(tail(out))], "summary")
        row(what, f"{written} of {n}, {summary['lost']} lost", wanted)
        out.unlink()


def tail(path: Path) -> str:
    """The last line."""
    with path.open("rb") as f:
        f.seek(max(0, path.stat().st_size - (1 << 20)))
        return f.read().splitlines()[-1].decode()


def start(tracer: Tracer) -> None:
    print("\nFrom exec to attached (demo binary, until the meta line is there)")
    program = go_versions.tracee(GO)

    def once(env: dict[str, str]) -> float:
        begin = time.monotonic()
        tracing = tracer.start("-b", program, "--func", "main.ebpfDemo", "-f", "jsonl", "-q", env=env).attached()
        took = time.monotonic() - begin
        tracing.stop()
        return took

    once({})
    anew = statistics.median(once({"GOPHERSCOPE_CACHE": "off"}) for _ in range(ROUNDS))
    kept = statistics.median(once({}) for _ in range(ROUNDS))
    row("compiled and planned anew", f"{anew:.3f} s", "at most 0.5 s")
    row("from what was kept of the run before", f"{kept:.3f} s", "at most 0.5 s")


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


def go_compiler() -> Path:
    """Go's own compiler with its debug information: the one in the toolchain has none."""
    target = go_versions.cache_dir() / f"compile-{go_versions.VERSIONS[GO]}"
    if not target.exists():
        go = Path(go_versions.goroot(GO)) / "bin" / "go"
        half = target.with_name(f"{target.name}.{os.getpid()}")
        subprocess.run([go, "build", "-o", half, "cmd/compile"], check=True, env={**os.environ, "GOFLAGS": ""})
        half.rename(target)
    return target


def plan(tracer: Tracer) -> None:
    compiler = go_compiler()
    size = compiler.stat().st_size / 1e6
    function = "cmd/compile/internal/ssa.Compile"
    print(f"\nThe plan of one function in a {size:.0f} MB binary ({function} of Go's compiler)")

    def once(env: dict[str, str]) -> float:
        run = subprocess.run(
            [sys.executable, "-c", PLAN, compiler, function],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        )
        return float(run.stdout)

    anew = statistics.median(once({"GOPHERSCOPE_CACHE": "off"}) for _ in range(ROUNDS))
    once({})
    kept = statistics.median(once({}) for _ in range(ROUNDS))
    row("made anew", f"{anew * 1e3:.1f} ms", "at most 150 ms")
    row("from the cache", f"{kept * 1e3:.1f} ms", "at most 30 ms")


BENCHES = {"cost": cost, "counts": counts, "start": start, "plan": plan}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=sorted(BENCHES), help="only this one; again for more")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("error: the bench puts probes, which needs root: make bench", file=sys.stderr)
        return 1
    if not shutil.which("go"):
        print("error: no go on PATH: the programs to measure cannot be built", file=sys.stderr)
        return 1
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs")
    for name in args.only or BENCHES:
        with tracers() as tracer:
            BENCHES[name](tracer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
