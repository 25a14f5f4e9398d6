# SPDX-License-Identifier: Apache-2.0
"""What only some kernels allow, each used for what it is good for; and `doctor`, which must say the same."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import guest
import pytest
from guest import LONG
from tracing import ROOT, Run, Tracer, check_error, of_type, until

pytestmark = pytest.mark.vm

N = 100_003
ROUNDS = 3
TARGET = ("--func", "main.target", "-f", "jsonl")


@functools.cache
def doctor() -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-m", "tracer", "doctor", "-f", "json"], capture_output=True, text=True, cwd=ROOT
    )
    report: dict[str, Any] = json.loads(run.stdout)
    assert run.returncode == (0 if report["works"] else 1)
    guest.note("doctor", report)
    guest.note("private stacks", guest.private_stacks())
    return report


def says(check: str) -> bool:
    """What `doctor` says of one thing."""
    (found,) = (c["ok"] for c in doctor()["checks"] if c["name"] == check)
    return bool(found)


def demo(tracer: Tracer, **env: str) -> Run:
    program = guest.demo("1.26")
    return tracer(
        "--func", "main.ebpfDemo", "-f", "jsonl", "-o", "events", "--", program, "-n", 1, env=env, timeout=LONG
    )


def test_doctor_says_that_tracing_works() -> None:
    assert doctor()["works"] is True, doctor()["why"]


def test_doctor_and_the_kernel_agree_on_files() -> None:
    """What can be seen without the tracer."""
    lockdown = Path("/sys/kernel/security/lockdown")
    assert says("btf") == Path("/sys/kernel/btf/vmlinux").exists()
    assert says("lockdown") == (not lockdown.exists() or "[none]" in lockdown.read_text())
    kprobes = Path("/sys/bus/event_source/devices/kprobe/type").exists()
    assert says("kprobe") == (kprobes and Path("/proc/kallsyms").read_text().find(" security_socket_bind\n") > 0)


@pytest.mark.parametrize(
    ("check", "variable", "value"),
    [
        ("cookie_multi", "TRACER_ATTACH", "multi"),
        ("cookie_perf", "TRACER_ATTACH", "perf"),
        ("ring_buffer", "TRACER_BUFFER", "ring"),
        ("perf_buffer", "TRACER_BUFFER", "perf"),
    ],
)
def test_doctor_and_tracing_agree(check: str, variable: str, value: str, tracer: Tracer) -> None:
    """What it says works, works when it is asked for by force; what not, is refused in one line."""
    run = demo(tracer, **{variable: value})
    if says(check):
        assert run.status == 0, run.stderr
    else:
        check_error(run, 1, "this kernel has no|does not")


@pytest.mark.parametrize(("check", "flag"), [("context_write", "-DPERFORM_RET"), ("sleepable", "-DSLEEPABLE")])
def test_doctor_and_the_program_agree(check: str, flag: str, tracer: Tracer) -> None:
    run = tracer("-b", guest.demo("1.26"), "--func", "main.ebpfDemo", "--ebpf", timeout=LONG)
    assert run.status == 0, run.stderr
    first = run.stdout.splitlines()[0]
    assert first.startswith("/* compiled with: ")
    assert (flag in first.split()) == says(check)


@pytest.mark.skipif(not guest.allowed("context_write"), reason="this kernel lets no program write registers")
def test_returns_that_the_program_performs(tracer: Tracer) -> None:
    """All of them, with and without. What it saves is kept; scripts/test_vm.py compares it with what is asked."""

    def cost(perform: str) -> float:
        env = {"TRACER_PERFORM_RET": perform}
        ns, total = guest.cost_of_a_call(tracer, guest.counts(), N, "--func", "main.target", env=env)
        assert (total["calls_written"], total["returns_written"], total["unpaired"]) == (N, N, 0)
        return ns

    rounds = [(cost("1"), cost("0")) for _ in range(ROUNDS)]
    performed, stepped = (statistics.median(column) for column in zip(*rounds))
    guest.note("performed return", {"ns": performed, "stepped_ns": stepped, "calls": N, "rounds": ROUNDS})


@pytest.mark.skipif(not guest.allowed("sleepable"), reason="this kernel lets no program sleep that may be preempted")
def test_what_a_sleepable_program_costs(tracer: Tracer) -> None:
    """The same calls with the program that may sleep and with the plain one; the cost is kept."""

    def cost(sleepable: str) -> float:
        env = {"TRACER_SLEEPABLE": sleepable}
        ns, total = guest.cost_of_a_call(tracer, guest.shapes(), N, "--func", "main.one", "--no-results", env=env)
        assert (total["calls_written"], total["calls_lost"]) == (N, 0)
        return ns

    rounds = [(cost("1"), cost("0")) for _ in range(ROUNDS)]
    sleepable, plain = (statistics.median(column) for column in zip(*rounds))
    guest.note("sleepable cost", {"ns": sleepable, "plain_ns": plain, "calls": N, "rounds": ROUNDS})


@pytest.mark.parametrize("attach", guest.attachments())
@pytest.mark.parametrize("sleepable", ["1", "0"])
def test_memory_that_was_never_touched(sleepable: str, attach: str, tracer: Tracer) -> None:
    """The right value where programs may sleep, else the reason; once the program has read it, the value."""
    target = tracer.program(guest.untouched())
    assert target.line() == "ready"
    env = {"TRACER_SLEEPABLE": sleepable, "TRACER_ATTACH": attach}
    tracing = tracer.start("-p", target.pid, "--func", "main.show", "-f", "jsonl", env=env).attached()
    target.go()
    assert (target.line(), target.line()) == (guest.untouched_text(), "called")
    until(lambda: tracing.count("call") == 2, "two calls", LONG)
    target.finish(LONG)
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    first, second = of_type(run.events, "call")
    assert (second["args"], second["notes"]) == ({"s": guest.untouched_text(), "n": 2}, {})
    if sleepable == "1" and says("sleepable"):
        assert (first["args"], first["notes"]) == ({"s": guest.untouched_text(), "n": 1}, {})
    else:
        assert (first["args"], first["notes"]) == ({"s": None, "n": 1}, {"s": ["unreadable: not resident"]})
    guest.note(f"untouched {attach} sleepable={sleepable}", first["notes"].get("s", ["the value"])[0])


# As root without any other privilege, and as a user who has been given these two.
WHO = {
    "root": ("--inh-caps=-all,+bpf,+perfmon", "--bounding-set=-all,+bpf,+perfmon"),
    "user": (
        *("--reuid=65534", "--regid=65534", "--clear-groups"),
        *("--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=-all,+bpf,+perfmon"),
    ),
}


@pytest.fixture
def for_everyone() -> Iterator[Path]:
    """A folder that every user may write to, with the package and a program that they may read."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        folder.chmod(0o777)
        for part in ("tracer", "bpf_c"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(guest.demo("1.26"), folder / "demo")
        yield folder


@pytest.mark.parametrize("who", WHO)
def test_capabilities_instead_of_root(who: str, for_everyone: Path) -> None:
    """With CAP_BPF and CAP_PERFMON alone it works where `doctor` says so, and elsewhere is refused in one line."""

    def run(*arguments: str) -> Run:
        # The system's Python, as .venv may be in a folder that only root may enter.
        done = subprocess.run(
            ["setpriv", *WHO[who], "--", "/usr/bin/python3", "-B", "-m", "tracer", *arguments],
            capture_output=True,
            text=True,
            cwd=for_everyone,
            env={"PATH": os.environ["PATH"], "HOME": str(for_everyone), "LANG": "C.UTF-8"},
            timeout=LONG,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    own = json.loads(run("doctor", "-f", "json").stdout)
    traced = run("--func", "main.ebpfDemo", "-f", "jsonl", "-o", "events", "--", "./demo", "-n", "23", "-pause", "1ms")
    guest.note(f"capabilities of a {who}", {"status": traced.status, "stderr": traced.stderr.splitlines()[:1]})
    assert own["works"] == says("capabilities"), own
    if says("capabilities"):
        assert traced.status == 0, traced.stderr
        events = (for_everyone / "events").read_text()
        assert re.findall(r'"type":"(call|return)"', events) == ["call", "return"] * 23
    else:
        check_error(traced, 1, "Permission denied|Operation not permitted")
