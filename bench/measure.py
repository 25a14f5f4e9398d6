# SPDX-License-Identifier: Apache-2.0
"""What the benches share: programs and probes to measure, and the rows that they print and `--doc` writes down."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tracing import Program, Tracer

ROOT = Path(__file__).resolve().parent.parent

LOOP = ROOT / "bench" / "programs" / "loop"
GO = "1.26"


class Row(NamedTuple):
    what: str
    value: str
    wanted: str  # "" where nothing was asked
    reached: bool | None  # None: nothing was asked, or it cannot be told here


@dataclass
class Table:
    title: str
    rows: list[Row] = field(default_factory=list)
    group: str = ""


TABLES: list[Table] = []
"""All that was measured in this run, in order."""

group = ""  # of the table that comes next: run.py sets it


def table(title: str) -> None:
    print(f"\n{title}", flush=True)
    TABLES.append(Table(title, group=group))


def row(what: str, value: str, wanted: str = "", reached: bool | None = None) -> None:
    verdict = "" if reached is None else "   reached" if reached else "   NOT reached"
    print(f"  {what:<62} {value:>22}" + (f"   asked: {wanted}{verdict}" if wanted else ""), flush=True)
    TABLES[-1].rows.append(Row(what, value, wanted, reached))


def at_most(what: str, value: float, limit: float, unit: str, form: str = ".2f") -> None:
    row(what, f"{value:{form}} {unit}", f"at most {limit:g} {unit}", value <= limit)


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


def own_copy(tracer: Tracer, program: Path, name: str = "program") -> Path:
    """A copy for this run alone: a trace shows every process of its file, those of a test that runs meanwhile too."""
    return Path(shutil.copy(program, tracer.folder / name))


class Sites(NamedTuple):
    """File offsets of a function's places, and the instructions there."""

    first: int  # its first instruction
    entry: int  # where the tracer probes calls
    entry_insn: str
    returns: list[int]
    return_insn: str


def sites(program: Path, function: str) -> Sites:
    out = subprocess.run(
        [ROOT / "build" / "offsets", "plan", program, function], capture_output=True, text=True, check=True
    )
    (planned,) = json.loads(out.stdout)["functions"]
    entry = next(s for s in planned["sites"] if s["kind"] == "entry")
    ends = [s for s in planned["sites"] if s["kind"] == "return"]
    at = int(entry["file_offset"], 0)
    return Sites(
        at - (int(entry["addr"], 0) - int(planned["entry"], 0)),
        at,
        str(entry["insn"]),
        [int(s["file_offset"], 0) for s in ends],
        str(ends[0]["insn"]),
    )


class Nanoseconds(NamedTuple):
    """Of one call, as the program itself measures it."""

    clock: float  # what passes; with few CPUs the tracer's own threads take their share of them
    cpu: float  # what the calling threads spend, the kernel's part of it included


def told(output: str) -> Nanoseconds:
    """What programs/loop and programs/growth print last."""
    clock, cpu = output.split()[-2:]
    return Nanoseconds(float(clock), float(cpu))


def start_loop(tracer: Tracer, program: Path, *options: object) -> Program:
    target = tracer.program(program, *options)
    assert target.line() == "ready"
    return target


def loop(tracer: Tracer, program: Path, function: str, calls: int, *options: object) -> Nanoseconds:
    target = start_loop(tracer, program, "-func", function, "-n", calls, *options)
    target.go()
    return told(target.finish(timeout=600))


@contextmanager
def empty_probe(program: Path, offsets: Sequence[int]) -> Iterator[None]:
    probe = subprocess.Popen(
        [sys.executable, ROOT / "bench" / "empty_probe.py", program, *map(str, offsets)],
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


class Traced(NamedTuple):
    ns: Nanoseconds
    written: int
    summary: dict[str, object]
    cpu_s: float  # the tracer's own, while the program called


def traced(tracer: Tracer, program: Path, options: Sequence[object], run: Callable[[], Nanoseconds]) -> Traced:
    """One loop with the tracer attached: `options` begin with the verb where it is not trace."""
    out = tracer.folder / "events"
    out.unlink(missing_ok=True)
    tracing = tracer.start(*options, "-b", program, "-f", "jsonl", "-q", "-o", out).attached()
    before = cpu_seconds(tracing.process.pid)
    ns = run()
    used = cpu_seconds(tracing.process.pid) - before
    ended = tracing.stop(timeout=600)
    assert ended.status == 0, ended.stderr
    summary = json.loads(last_line(out))
    assert summary["lost"] == 0, summary
    return Traced(ns, tracing.count("call"), summary, used)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process (/proc/PID/schedstat counts the first thread alone)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def last_line(path: Path) -> str:
    with path.open("rb") as f:
        f.seek(max(0, path.stat().st_size - (1 << 20)))
        return f.read().splitlines()[-1].decode()


def median(values: Iterator[float] | Sequence[float]) -> float:
    return statistics.median(values)


def seconds(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin
