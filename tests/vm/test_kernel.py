# SPDX-License-Identifier: Apache-2.0
"""The tracer on the kernel that runs: every way of attaching and every buffer it has, and what it alone allows."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import guest
import pytest
from tracing import ROOT, Tracer, Tracing, check_accounting, of_type, until

pytestmark = pytest.mark.vm

WAYS = guest.ways()
WAY_IDS = ["-".join(way) for way in WAYS]
ATTACHMENTS = list(dict.fromkeys(attach for attach, _ in WAYS))
N = 100_003
TARGET = ("--func", "main.target", "-f", "jsonl")
LONG = 300.0


def last_event(tracing: Tracing) -> dict[str, Any]:
    """The summary, without reading the hundred thousand lines before it."""
    with tracing.events_path.open("rb") as file:
        file.seek(-min(tracing.events_path.stat().st_size, 1 << 16), os.SEEK_END)
        summary: dict[str, Any] = json.loads(file.read().splitlines()[-1])
    assert summary["type"] == "summary"
    return summary


def run_counts(tracer: Tracer, mode: str, n: int, *options: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Trace a run of `counts` from before its start to its end; the summary, which must reconcile."""
    program = guest.counts()
    tracing = tracer.start(*TARGET, *options, "--", program, "-mode", mode, "-n", n, "-wait=false", env=env)
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    summary = last_event(tracing)
    check_accounting(summary)
    for kind in ("call", "return"):
        assert tracing.count(kind) == summary["totals"][f"{kind}s_written"] + (
            summary["totals"]["unwound"] if kind == "return" else 0
        )
    return summary


def test_doctor() -> None:
    """It says that tracing works here; the report is kept for docs/kernels.md."""
    run = subprocess.run(
        [sys.executable, "-m", "tracer", "doctor", "-f", "json"], capture_output=True, text=True, cwd=ROOT
    )
    report = json.loads(run.stdout)
    guest.note("doctor", report)
    assert (run.returncode, report["works"]) == (0, True), report["why"]


@pytest.mark.parametrize("version", guest.DEMO_VERSIONS)
@pytest.mark.parametrize("attach", ATTACHMENTS)
def test_demo(attach: str, version: str, tracer: Tracer, tmp_path: Path) -> None:
    """The README's lines, exactly but for the time."""
    program, out = guest.demo(version), tmp_path / "events"
    run = tracer(
        *("-v", "--func", "main.ebpfDemo", "-o", out, "--", program, "-n", 3, "-pause", "1ms"),
        env={"TRACER_ATTACH": attach},
        timeout=LONG,
    )
    assert run.status == 0, run.stderr
    lines = [re.sub(r"^\S+  |  [\d.]+(ns|µs|ms|s)$", "", line) for line in out.read_text().splitlines()]
    call = "G1  main.ebpfDemo(a1=100, a2=true, a3=66.88)"
    back = 'G1  main.ebpfDemo → (r1=100, r2=200, r3="test for ebpf")'
    assert lines == [call, back] * 3
    for name, size, followed in re.findall(r"(\w+): (\d+) instructions, the verifier followed (\d+)", run.stderr):
        guest.note(f"verifier {name}", [int(size), int(followed)])


@pytest.mark.parametrize(("attach", "buffer"), WAYS, ids=WAY_IDS)
def test_growing_stacks(attach: str, buffer: str, tracer: Tracer) -> None:
    """Each of 100,003 calls once and with its own return, while stacks grow and goroutines change threads."""
    env = {"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer}
    summary = run_counts(tracer, "grow", N, "--buffer", "64M", env=env)
    total = summary["totals"]
    assert (total["calls_written"], total["returns_written"], total["unpaired"], total["unwound"]) == (N, N, 0, 0)
    assert summary["lost"] == 0


def test_results_fit_their_calls(tracer: Tracer) -> None:
    """target(n, 1) returns n: a return that was given to another call would show another number."""
    n = 5_003
    program = guest.counts()
    tracing = tracer.start(*TARGET, "--", program, "-mode", "goroutines", "-n", n, "-wait=false")
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    events = tracing.events()
    called = {e["call"]: (e["goid"], e["args"]["n"]) for e in of_type(events, "call")}
    returned = {e["call"]: (e["goid"], *e["results"].values()) for e in of_type(events, "return")}
    assert called == returned
    assert {args for _, args in called.values()} == set(range(n))


@pytest.mark.parametrize("buffer", [b for b in ("ring", "perf") if any(b == way[1] for way in WAYS)])
@pytest.mark.parametrize("size", ["64M", "64K"])
def test_accounting_with_sixteen_threads(size: str, buffer: str, tracer: Tracer) -> None:
    """Nothing is missing unsaid, also where the buffer is far too small."""
    env = {"GOMAXPROCS": "16", "TRACER_BUFFER": buffer}
    summary = run_counts(tracer, "goroutines", 50_021, "--buffer", size, env=env)
    total = summary["totals"]
    assert total["entry_hits"] - total["duplicates"] == total["return_hits"] == 50_021
    assert total["calls_written"] + total["calls_lost"] == 50_021
    if size == "64M" and buffer == "ring":
        assert (summary["lost"], total["unpaired"], total["unwound"]) == (0, 0, 0)


@pytest.mark.parametrize("attach", ATTACHMENTS)
def test_one_process_of_two(attach: str, tracer: Tracer) -> None:
    """-p: only that process, whichever of its threads calls."""
    program = guest.counts()
    wanted, other = (tracer.program(program, "-mode", "goroutines", "-n", n) for n in (503, 307))
    assert (wanted.line(), other.line()) == ("ready", "ready")
    tracing = tracer.start("-p", wanted.pid, *TARGET, env={"TRACER_ATTACH": attach}).attached()
    for target in (other, wanted):
        target.go()
        target.finish()
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    for kind in ("call", "return"):
        assert Counter(e["pid"] for e in of_type(run.events, kind)) == {wanted.pid: 503}
    check_accounting(run.events[-1])


def cost_of_a_call(tracer: Tracer, perform: str) -> float:
    """ns for one call and its return. The tracer stands still meanwhile: only the kernel's side is measured."""
    program = guest.counts()
    target = tracer.program(program, "-n", N)
    assert target.line() == "ready"
    tracing = tracer.start("-p", target.pid, *TARGET, "--buffer", "64M", env={"TRACER_PERFORM_RET": perform})
    tracing.attached()
    tracing.process.send_signal(19)  # SIGSTOP
    target.go()
    said = target.finish(LONG).split()
    tracing.process.send_signal(18)  # SIGCONT
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    total = last_event(tracing)["totals"]
    assert said[said.index("calls") + 1] == str(N)
    assert (total["calls_written"], total["returns_written"], total["unpaired"]) == (N, N, 0)
    return int(said[said.index("ns") + 1]) / N


@pytest.mark.skipif(not guest.allowed("context_write"), reason="this kernel lets no program write registers")
def test_returns_that_the_program_performs(tracer: Tracer) -> None:
    """Counted exactly, with and without; what it saves is told, not asserted."""
    rounds = [(cost_of_a_call(tracer, "1"), cost_of_a_call(tracer, "0")) for _ in range(3)]
    performed, stepped = (statistics.median(column) for column in zip(*rounds))
    guest.note("performed return", {"performed_ns": performed, "stepped_ns": stepped, "ratio": performed / stepped})
    print(f"call and return: {performed:.0f} ns performed, {stepped:.0f} ns single-stepped: {performed / stepped:.3f}")


@pytest.mark.parametrize("attach", ATTACHMENTS)
@pytest.mark.parametrize("sleepable", ["1", "0"])
def test_memory_that_was_never_touched(sleepable: str, attach: str, tracer: Tracer) -> None:
    """The right value where programs may sleep, else the reason; once the program has read it, the value."""
    program = guest.untouched()
    target = tracer.program(program)
    assert target.line() == "ready"
    env = {"TRACER_SLEEPABLE": sleepable, "TRACER_ATTACH": attach}
    tracing = tracer.start("-p", target.pid, "--func", "main.show", "-f", "jsonl", env=env).attached()
    target.go()
    assert (target.line(), target.line()) == (guest.untouched_text(), "called")
    until(lambda: tracing.count("call") == 2, "two calls", LONG)
    target.finish()
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    first, second = of_type(run.events, "call")
    assert (second["args"], second["notes"]) == ({"s": guest.untouched_text(), "n": 2}, {})
    if sleepable == "1" and guest.allowed("sleepable"):
        assert (first["args"], first["notes"]) == ({"s": guest.untouched_text(), "n": 1}, {})
    else:
        assert (first["args"], first["notes"]) == ({"s": None, "n": 1}, {"s": ["unreadable: not resident"]})
    if attach == ATTACHMENTS[0]:
        guest.note(f"untouched, sleepable={sleepable}", first["notes"].get("s", ["read"])[0])


def test_many_programs_load(tracer: Tracer) -> None:
    """A deep plan needs the largest program; what the verifier says of it is kept."""
    program = guest.counts()
    for patterns, options in ((("main.*",), ()), (("fmt.*", "os.(*File).*", "bufio.*"), ("--depth", "4"))):
        func = [word for pattern in patterns for word in ("--func", pattern)]
        run = tracer("-v", "-b", program, *func, *options, "-d", "0.1", "-f", "jsonl", "--force", timeout=LONG)
        assert run.status == 0, run.stderr
        for name, size, followed in re.findall(r"(\w+): (\d+) instructions, the verifier followed (\d+)", run.stderr):
            guest.note(f"verifier {name}", [int(size), int(followed)])


def test_probes_taken_away_one_by_one(tracer: Tracer) -> None:
    """By perf events many probes must be asked for; how long some take to go is kept."""
    env = {"TRACER_ATTACH": "perf"}
    refused = tracer("-b", guest.counts(), "--func", "runtime.*", "--no-args", "--no-results", env=env, timeout=LONG)
    assert refused.status == 1, refused
    assert re.match(r"error: .*\d+ probes.* s, .*\nhint: .*--force", refused.stderr), refused.stderr
    tracing = tracer.start(
        *("-b", guest.counts(), "--func", "strconv.*", "--no-args", "--no-results", "-f", "jsonl"), env=env
    ).attached()
    begun = time.monotonic()
    run = tracing.stop(LONG)
    assert run.status == 0, run.stderr
    probes = len(of_type(run.events, "meta")[0]["functions"])
    assert re.search(r"takes up to \d+ s then", run.stderr), run.stderr
    guest.note("perf detach", {"probes": probes, "seconds": round(time.monotonic() - begun, 2)})


def test_capabilities_instead_of_root(tracer: Tracer, tmp_path: Path) -> None:
    """With CAP_BPF and CAP_PERFMON alone it works where `doctor` says so, and is refused in one line elsewhere."""
    out = tmp_path / "events"
    only = "-all,+bpf,+perfmon"
    run = subprocess.run(
        [
            *("setpriv", f"--inh-caps={only}", f"--bounding-set={only}", "--", sys.executable, "-m", "tracer"),
            *(
                "--func",
                "main.ebpfDemo",
                "-f",
                "jsonl",
                "-o",
                out,
                "--",
                guest.demo("1.26"),
                "-n",
                "2",
                "-pause",
                "1ms",
            ),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=LONG,
    )
    guest.note("capabilities", {"status": run.returncode, "stderr": run.stderr.splitlines()[:1]})
    if guest.allowed("capabilities"):
        assert run.returncode == 0, run.stderr
        assert out.read_text().count('{"type":"return"') == 2
    else:
        assert run.returncode == 1, run.stderr
        assert "Traceback" not in run.stderr
        assert "error: " in run.stderr
