# SPDX-License-Identifier: Apache-2.0
"""What the tests in the guest share with the script that boots it: programs, what the kernel allows, facts found."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import go_versions
from tracing import Tracer, Tracing, check_accounting

sys.path.append(str(Path(__file__).resolve().parent.parent / "matrix"))
import zoo

PROGRAMS = Path(__file__).resolve().parent / "programs"
COUNTS = Path(__file__).resolve().parent.parent / "live" / "programs" / "counts"
REWRITE = COUNTS.parent / "rewrite"
INLINING = COUNTS.parent / "inlining"
OFFCPU = COUNTS.parent / "offcpu"

# A text in which every eight bytes tell where they stand.
CONSTANT = "".join(f"{i:07d} " for i in range(1 << 19))
UNTOUCHED_BYTES = 23

DEMO_VERSIONS = ("1.15", "1.26")

# A spread of `make matrix`: the stack convention and the older maps, the newer of both, position-independent code.
ZOO = (("1.15", "default"), ("1.26", "default"), ("1.24", "PIE"))
ZOO_ROUNDS = 2
ZOO_CALLS = {"1.15": 677, "1.26": 753, "1.24": 753}  # in so many rounds

# By software emulation, with the host's other work beside it.
LONG = 200.0


def demo(version: str) -> Path:
    return go_versions.go_program(go_versions.TRACEE, version)


def counts() -> Path:
    return go_versions.go_program(COUNTS)


def offcpu() -> Path:
    return go_versions.go_program(OFFCPU)


def returns() -> Path:
    return go_versions.go_program(COUNTS.parent / "returns")


def web() -> Path:
    return go_versions.go_program(COUNTS.parent / "web", "1.26")


def inlining(version: str) -> Path:
    return go_versions.go_program(INLINING, version)


def rewritten(version: str, mode: str = "default") -> Path:
    return go_versions.go_program(REWRITE, version, mode, cgo=mode == "race")


def shapes() -> Path:
    return go_versions.go_program(PROGRAMS / "shapes")


def untouched() -> Path:
    """A program with a large constant, which is made here."""
    source = (PROGRAMS / "untouched" / "main.go").read_text() + f'\nconst constant = "{CONSTANT}"\n'
    return go_versions.go_program(source)


def untouched_text() -> str:
    at = len(CONSTANT) // 2
    return CONSTANT[at : at + UNTOUCHED_BYTES]


# The function, the most of a string, the buffer: from no step to a hundred, and from small records to the largest.
SHAPES = [
    ("none", 256, "ring"),
    ("one", 256, "ring"),
    ("two", 4096, "ring"),
    ("five", 1, "ring"),
    ("many", 4096, "ring"),
    ("many", 64, "perf"),
    ("deep", 256, "ring"),
]


# What these are filtered by: a condition that waits for the return is the most that can stand before the steps.
SHAPES_WHERE = [("two", 'b == "beta" && duration > 0'), ("deep", "len(pairs) == 2 && duration > 0")]

KINDS = 'b=false, i8=-128, u16=65535, c=9, i64=-1, s="literal of", p=nil'
PLACES = 'p.Method="PUT", p.Retries=-1, p.Price=0.5, p.Inner.B=7, p.Items[1]=22, p.Next.Retries=1, xs[2]=77'

EDGES = 'p.Method="12345678"'

# With a condition: on arguments, for what is set at the call, at the return, or instead of the call; and on results.
WHERE = {
    "call": ("target", ("--set", "n=2021", "--where", "keep >= 25003 && n >= -75024")),
    "return": ("target", ("--set-result", "r1=7", "--where", "keep > 900 && n != -1009")),
    "result": ("target", ("--set-result", "r1=7", "--where", "r1 < -500 && keep < 902")),
    "both": ("target", ("--set", "n=2021", "--set-result", "r1=7", "--where", "keep >= 500")),
    "fail": ("read", ("--fail", "err=io.ErrUnexpectedEOF", "--where", "n > 798")),
    "skip": ("read", ("--skip", "err=io.ErrUnexpectedEOF", "--where", "n <= 100 || n == 1009")),
}

# What the tests of rewriting change: function and options, which decide the program that is compiled.
REWRITES = [
    ("target", ("--set", "n=2021")),
    ("target", ("--set-result", "r1=7")),
    ("read", ("--fail", "err=io.EOF")),
    ("read", ("--skip", "err=io.EOF")),
    ("text", ("--set", 's="new!"')),
    ("deep", ("--set", "n=2021")),
    ("kinds", ("--set", KINDS)),
    ("kinds", ("--set", f"{KINDS}, e=io.EOF")),
    ("handle", ("--set", PLACES)),
    ("edge", ("--set", EDGES)),
    ("down", ("--set", "err=io.EOF")),
    ("read", ("--skip", "err=main.ErrUnset")),
    *WHERE.values(),
]


# Of tests/live/programs/returns: verb, function, condition.
CONDITIONED = {
    "float": ("trace", "main.deferred", ("--where", "n > 10")),
    "call": ("hist", "main.risky", ("--where", "n > 10")),
    "value": ("hist", "main.risky", ("--by", "n")),
    "result": ("count", "main.risky", ("--where", "n > 10 && r < 10")),
}
RETURNING = ("main.deferred", "main.*d")


def shape_options(function: str, size: int) -> tuple[str, ...]:
    return ("--func", f"main.{function}", "-Z", str(size), "--elements", "128")


def build_all() -> None:
    """On the host, where there are compilers and room for them."""
    for version in DEMO_VERSIONS:
        demo(version)
        inlining(version)
        for mode in ("default", "pie", "race"):
            rewritten(version, mode)
    for version, build in ZOO:
        zoo.program(version, build)
    counts()
    offcpu()
    returns()
    web()
    shapes()
    untouched()


@functools.cache
def allowed(check: str) -> bool:
    """What `doctor` finds out, without its other checks."""
    from tracer import native

    module = native.collector()
    err = module.lib.doctor_try(getattr(module.lib, "DOCTOR_" + check.upper()))
    if err:
        module.lib.err_destroy(err)
    return not err


def private_stacks() -> bool:
    """Has each program of type kprobe one stack a CPU here (collector/doctor.h)?"""
    from tracer import native

    return bool(native.collector().lib.doctor_private_stacks())


def attachments() -> list[str]:
    """How probes can be attached here."""
    return ["multi"] * allowed("cookie_multi") + ["perf"] * allowed("cookie_perf")


def buffers() -> list[str]:
    """How events can arrive here."""
    return ["ring"] * allowed("ring_buffer") + ["perf"] * allowed("perf_buffer")


def note(name: str, value: Any) -> None:
    """Keep a fact for the table and docs/kernels.md."""
    out = os.environ.get("GOPHERSCOPE_VM_FACTS")
    if out:
        with Path(out).open("a") as file:
            file.write(json.dumps({"name": name, "value": value}) + "\n")


VERIFIER = re.compile(r"(\w+): (\d+) instructions, the verifier followed (\d+) of (\d+)")


def note_verifier(stderr: str, kind: str = "") -> dict[str, tuple[int, int, int]]:
    """What `-v` says of each program: its instructions, those that the verifier followed, and how many it may."""
    found = {name: (int(size), int(followed), int(limit)) for name, size, followed, limit in VERIFIER.findall(stderr)}
    for name, numbers in found.items():
        if not kind or name != "goroutine_exit":  # which is the same in all
            note(f"verifier {kind}{name}", numbers)
    return found


def last_event(tracing: Tracing) -> dict[str, Any]:
    """The summary, without reading the hundred thousand lines before it."""
    with tracing.events_path.open("rb") as file:
        file.seek(-min(tracing.events_path.stat().st_size, 1 << 16), os.SEEK_END)
        summary: dict[str, Any] = json.loads(file.read().splitlines()[-1])
    assert summary["type"] == "summary"
    return summary


def run_counts(tracer: Tracer, mode: str, n: int, *options: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Trace a run of `counts` from before its start to its end; the summary, which must reconcile."""
    tracing = tracer.start(
        *("--func", "main.target", "-f", "jsonl", *options, "--", counts(), "-mode", mode, "-n", n, "-wait=false"),
        env=env,
    )
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    summary = last_event(tracing)
    check_accounting(summary)
    total = summary["totals"]
    assert tracing.count("call") == total["calls_written"]
    assert tracing.count("return") == total["returns_written"] + total["unwound"]
    return summary


def cost_of_a_call(tracer: Tracer, program: Path, n: int, *options: str, env: dict[str, str]) -> tuple[float, Any]:
    """ns for one call of `n`, by the program's own clock, and the totals. The tracer stands still meanwhile: only
    the kernel's side is measured, and the buffer must hold it all. Nothing is filtered: no other process of the file
    may run."""
    target = tracer.program(program, "-n", n)
    assert target.line() == "ready"
    tracing = tracer.start("-b", program, *options, "-f", "jsonl", "--buffer", "64M", env=env).attached()
    tracing.process.send_signal(19)  # SIGSTOP
    target.go()
    said = target.finish(LONG).split()
    tracing.process.send_signal(18)  # SIGCONT
    run = tracing.stop(LONG)
    assert run.status == 0, run.stderr
    total = last_event(tracing)["totals"]
    return int(said[said.index("ns") + 1]) / n, total
