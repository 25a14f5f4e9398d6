# SPDX-License-Identifier: Apache-2.0
"""What must be right on every kernel, by every way of attaching and every buffer it has: values, counts, pairs, the
accounting."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import guest
import pytest
from guest import LONG
from tracing import Tracer, check_accounting, of_type, parse

pytestmark = pytest.mark.vm

ATTACHMENTS = guest.attachments()
BUFFERS = guest.buffers()
N = 100_003
TARGET = ("--func", "main.target", "-f", "jsonl")


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
    guest.note_verifier(run.stderr)


def test_nothing_is_chosen(tracer: Tracer) -> None:
    """Without any variable the tracer finds what works here by itself."""
    run = tracer(
        "--func", "main.ebpfDemo", "-f", "jsonl", "--", guest.demo("1.26"), "-n", 23, "-pause", "1ms", timeout=LONG
    )
    assert run.status == 0, run.stderr
    # the program's own lines are between ours
    events = [line for line in run.stdout.splitlines() if line.startswith("{")]
    assert [sum(line.startswith(f'{{"type":"{kind}"') for line in events) for kind in ("call", "return")] == [23, 23]


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("attach", ATTACHMENTS)
def test_growing_stacks(attach: str, buffer: str, tracer: Tracer) -> None:
    """Each of 100,003 calls once and with its own return, while stacks grow and goroutines change threads."""
    env = {"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer}
    summary = guest.run_counts(tracer, "grow", N, "--buffer", "64M", env=env)
    total = summary["totals"]
    assert (total["calls_written"], total["returns_written"], total["unpaired"], total["unwound"]) == (N, N, 0, 0)
    assert summary["lost"] == 0


def test_results_fit_their_calls(tracer: Tracer) -> None:
    """target(n, 1) returns n: a return that was given to another call would show another number."""
    n = 5_003
    tracing = tracer.start(*TARGET, "--", guest.counts(), "-mode", "goroutines", "-n", n, "-wait=false")
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    events = tracing.events()
    called = {e["call"]: (e["goid"], e["args"]["n"]) for e in of_type(events, "call")}
    returned = {e["call"]: (e["goid"], *e["results"].values()) for e in of_type(events, "return")}
    assert called == returned
    assert {args for _, args in called.values()} == set(range(n))


@pytest.mark.parametrize("attach", ATTACHMENTS)
def test_texts_of_sixteen_threads(attach: str, tracer: Tracer) -> None:
    """Programs are preempted, or sleep, in the midst of a record: each call, each return has its own two texts."""
    n = 5_003
    target = tracer.program("env", "GOMAXPROCS=16", guest.shapes(), "-goroutines", n)
    assert target.line() == "ready"
    tracing = tracer.start(
        *("-p", target.pid, "--func", "main.two", "-f", "jsonl", "--buffer", "64M"), env={"TRACER_ATTACH": attach}
    ).attached()
    target.go()
    target.finish(LONG)
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    events = tracing.events()
    called = {e["call"]: tuple(e["args"].values()) for e in of_type(events, "call")}
    returned = {e["call"]: tuple(e["results"].values()) for e in of_type(events, "return")}
    assert sorted(called.values()) == sorted([("alpha", "beta", 1), *((f"a{i}", f"b{i}", i) for i in range(n))])
    assert returned == {call: (b, a) for call, (a, b, _) in called.items()}


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("size", ["64M", "64K"])
def test_accounting_with_sixteen_threads(size: str, buffer: str, tracer: Tracer) -> None:
    """Nothing is missing unsaid, also where the buffer is far too small."""
    env = {"GOMAXPROCS": "16", "TRACER_BUFFER": buffer}
    summary = guest.run_counts(tracer, "goroutines", 50_021, "--buffer", size, env=env)
    total = summary["totals"]
    assert total["entry_hits"] - total["duplicates"] == total["return_hits"] == 50_021
    assert total["calls_written"] + total["calls_lost"] == 50_021
    if size == "64M" and buffer == "ring":
        assert (summary["lost"], total["unpaired"], total["unwound"]) == (0, 0, 0)


@pytest.mark.parametrize("buffer", BUFFERS)
@pytest.mark.parametrize("attach", ATTACHMENTS)
@pytest.mark.parametrize("version", guest.DEMO_VERSIONS)
def test_stacks(version: str, attach: str, buffer: str, tracer: Tracer, tmp_path: Path) -> None:
    """What runtime.Callers says in the program, also where a function calls itself: frame by frame, none twice."""
    out = tmp_path / "events"
    run = tracer(
        *("-v", "--func", "main.here", "--func", "main.outer", "-s", "99", "-f", "jsonl", "-o", out),
        *("--", guest.inlining(version), 3),
        env={"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer},
        timeout=LONG,
    )
    assert run.status == 0, run.stderr
    own = [
        [line.split()[0] for line in text.splitlines()] for text in run.stdout.split("\n\n") if text.startswith("main.")
    ]
    assert len(own) == 3
    events = parse(out.read_text())
    for kind in ("call", "return"):
        found = [[f["func"] for f in e["stack"]] for e in of_type(events, kind) if e["func"] == "main.here"]
        assert found == own * 3
    depths = [sum(f["func"] == "main.outer" for f in e["stack"]) for e in events if e.get("func") == "main.outer"]
    assert depths == [1, 2, 3, 4, 4, 3, 2, 1] * 3
    guest.note_verifier(run.stderr)


@pytest.mark.parametrize("version", guest.DEMO_VERSIONS)
def test_counted_stacks(version: str, tracer: Tracer, tmp_path: Path) -> None:
    out = tmp_path / "stacks"
    options = ("--func", "main.outer", "-f", "jsonl", "-o", out)
    run = tracer("stack", *options, "--", guest.inlining(version), 23, timeout=LONG)
    assert run.status == 0, run.stderr
    found = {
        [f["func"] for f in e["frames"]].count("main.outer"): e["count"]
        for e in of_type(parse(out.read_text()), "stack")
    }
    assert found == {1: 23, 2: 23, 3: 23, 4: 23}


@pytest.mark.parametrize("attach", ATTACHMENTS)
def test_one_process_of_two(attach: str, tracer: Tracer) -> None:
    """-p: only that process, whichever of its threads calls."""
    program = guest.counts()
    wanted, other = (tracer.program(program, "-mode", "goroutines", "-n", n) for n in (503, 307))
    assert (wanted.line(), other.line()) == ("ready", "ready")
    tracing = tracer.start("-p", wanted.pid, *TARGET, env={"TRACER_ATTACH": attach}).attached()
    for target in (other, wanted):
        target.go()
        target.finish(LONG)
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    for kind in ("call", "return"):
        assert Counter(e["pid"] for e in of_type(run.events, kind)) == {wanted.pid: 503}
    check_accounting(run.events[-1])
    # Where a link can be for one process alone, the other's calls do not come to the program at all.
    apart = attach == "multi" and guest.allowed("multi_pid")
    assert run.events[-1]["totals"]["filtered"] == (0 if apart else 307)
