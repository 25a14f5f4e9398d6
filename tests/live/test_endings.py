# SPDX-License-Identifier: Apache-2.0
"""However a trace ends, the program goes on unharmed and nothing stays attached to it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tracing import Program, Tracer, check_accounting, of_type, symbol, until

COUNTS = Path(__file__).resolve().parent / "programs" / "counts"
FUNC = ("--func", "main.target", "-f", "jsonl")


@pytest.fixture
def counts(go_program: Callable[..., Path], own_copy: Callable[[Path], Path]) -> Path:
    return own_copy(go_program(COUNTS))


class Paced:
    """A target that calls main.target every millisecond until it is ended."""

    def __init__(self, tracer: Tracer, program: Path) -> None:
        self.program = program
        self.target: Program = tracer.program(program, "-mode", "paced", "-n", 1_000_000, "-pause", "1ms")
        assert self.target.line() == "ready"
        self.target.go()
        self.where = symbol(program, "main.target")

    def probed(self) -> bool:
        """Whether a breakpoint stands in main.target, seen in the process's memory."""
        return not self.target.text_is_original(self.program, *self.where)

    def check_unharmed(self) -> None:
        until(lambda: not self.probed(), "the probes' removal")
        time.sleep(0.05)  # it runs through the function's text some fifty times
        assert self.target.process.poll() is None


@pytest.fixture
def paced(tracer: Tracer, counts: Path) -> Paced:
    return Paced(tracer, counts)


@pytest.mark.parametrize("attach", ["multi", "perf"])
def test_interrupt_once(attach: str, paced: Paced, tracer: Tracer) -> None:
    tracing = tracer.start("-b", paced.program, *FUNC, env={"TRACER_ATTACH": attach}).attached()
    until(lambda: tracing.count("call") >= 23, "23 calls")
    assert paced.probed()
    run = tracing.stop()
    assert run.status == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert run.events[-1]["type"] == "summary"
    check_accounting(run.events[-1])
    paced.check_unharmed()


def test_terminate(paced: Paced, tracer: Tracer) -> None:
    """SIGTERM ends it as Ctrl-C does."""
    tracing = tracer.start("-b", paced.program, *FUNC).attached()
    tracing.process.terminate()
    run = tracing.finish()
    assert run.status == 0, run.stderr
    assert run.events[-1]["type"] == "summary"
    paced.check_unharmed()


def test_interrupt_twice(counts: Path, tracer: Tracer) -> None:
    """The second Ctrl-C does not wait for an output that nobody reads."""
    read, write = os.pipe()
    try:
        tracing = tracer.start("-b", counts, *FUNC, "--no-results", stdout=write)
        os.close(write)
        got = b""
        while b"\n" not in got:
            got += os.read(read, 65536)
        target = tracer.program(counts, "-n", 50_021, "-wait=false")
        target.finish()
        tracing.interrupt()
        time.sleep(0.3)
        assert tracing.process.poll() is None  # the pipe is full: there is something left to write
        tracing.interrupt()
        run = tracing.finish()
        assert run.status == 130, run
        assert "Traceback" not in run.stderr
    finally:
        os.close(read)


def answers(pid: int) -> bool:
    """Whether the tracer's own handlers are in place: Python's start catches SIGINT, too, but not SIGTERM."""
    caught = re.search(r"^SigCgt:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert caught
    return bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_interrupt_before_the_tracer_answers(delay: float, paced: Paced, tracer: Tracer) -> None:
    """Python's own answer is a traceback, for as long as no line of the tracer has run; then it ends without a word."""
    tracing = tracer.start("-b", paced.program, *FUNC)
    time.sleep(delay)
    answered = answers(tracing.process.pid)
    tracing.interrupt()
    run = tracing.finish()
    early = not answered and run.status in (-signal.SIGINT, 1) and not run.stdout
    assert run.status in (0, 130) or early, run
    assert "Traceback" not in run.stderr or (early and "tracer/cli" not in run.stderr), run
    paced.check_unharmed()


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6])
def test_interrupt_at_any_moment(delay: float, paced: Paced, tracer: Tracer) -> None:
    tracing = tracer.start("-b", paced.program, *FUNC)
    until(lambda: answers(tracing.process.pid), "the tracer's handlers of signals")
    time.sleep(delay)
    tracing.interrupt()
    run = tracing.finish()
    assert run.status in (0, 130), run
    assert "Traceback" not in run.stderr, run
    paced.check_unharmed()


def test_kill_9(paced: Paced, tracer: Tracer) -> None:
    tracing = tracer.start("-b", paced.program, *FUNC).attached()
    until(lambda: tracing.count("call") >= 23, "23 calls")
    assert paced.probed()
    tracing.process.kill()
    tracing.process.wait()
    paced.check_unharmed()


def test_head(paced: Paced, tracer: Tracer) -> None:
    """| head: a reader that goes away is a normal end."""
    read, write = os.pipe()
    tracing = tracer.start("-b", paced.program, *FUNC, stdout=write)
    os.close(write)
    got = b""
    while got.count(b"\n") < 5:
        got += os.read(read, 4096)
    os.close(read)
    run = tracing.finish()
    assert run.status == 0, run.stderr
    assert "error" not in run.stderr and "Traceback" not in run.stderr
    paced.check_unharmed()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted: {made.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def test_disk_full(paced: Paced, tracer: Tracer, small_disk: Path) -> None:
    run = tracer("-b", paced.program, *FUNC, "-o", small_disk / "events")
    assert run.status == 1, run
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "No space left on device" in errors[0] and "events" in errors[0], run.stderr
    assert "Traceback" not in run.stderr
    paced.check_unharmed()


def test_target_killed_inside_the_function(counts: Path, tracer: Tracer) -> None:
    """A call that is open when its process is killed is closed as such, and -p ends with its process."""
    target = tracer.program(counts, "-mode", "stuck")
    assert target.line() == "ready"
    tracing = tracer.start("-p", target.pid, "--func", "main.stuck", "-f", "jsonl").attached()
    target.go()
    until(lambda: tracing.count("call") == 1, "the call")
    target.process.kill()
    run = tracing.finish()
    assert run.status == 0, run.stderr
    (call,) = of_type(run.events, "call")
    (back,) = of_type(run.events, "return")
    assert back == {
        **{k: call[k] for k in ("pid", "goid", "call", "fid", "func")},
        **{k: back[k] for k in ("ts", "tid", "notes")},
        "type": "return",
        "duration_ns": None,
        "unwound": "exit",
    }
    check_accounting(run.events[-1])


def test_detached_while_a_call_is_open(counts: Path, tracer: Tracer) -> None:
    target = tracer.program(counts, "-mode", "stuck")
    assert target.line() == "ready"
    tracing = tracer.start("-b", counts, "--func", "main.stuck", "-f", "jsonl").attached()
    target.go()
    until(lambda: tracing.count("call") == 1, "the call")
    run = tracing.stop()
    assert run.status == 0, run.stderr
    (back,) = of_type(run.events, "return")
    assert (back["unwound"], back["duration_ns"]) == ("detached", None)
    assert target.process.poll() is None


def test_binary_replaced_while_running(counts: Path, tracer: Tracer, tmp_path: Path) -> None:
    """Another file stands under the name: -p traces what really runs; -b with the name is refused."""
    program = tmp_path / "service"
    shutil.copy(counts, program)
    target = tracer.program(program, "-mode", "paced", "-n", 1_000_000, "-pause", "1ms", "-wait=false")
    other = tmp_path / "other"
    shutil.copy(counts, other)
    other.rename(program)

    run = tracer("-b", program, "-p", target.pid, *FUNC, "-d", 1)
    assert run.status == 3, run
    assert run.stderr.startswith("error: ") and str(target.pid) in run.stderr
    assert run.stdout == ""

    tracing = tracer.start("-p", target.pid, *FUNC).attached()
    until(lambda: tracing.count("call") >= 23, "23 calls of the replaced program")
    run = tracing.stop()
    assert run.status == 0, run.stderr
    assert {e["pid"] for e in of_type(run.events, "call")} == {target.pid}


def test_binary_replaced_while_traced(counts: Path, tracer: Tracer, tmp_path: Path) -> None:
    """The trace goes on with the file that it began with."""
    program = tmp_path / "service"
    shutil.copy(counts, program)
    target = tracer.program(program, "-mode", "paced", "-n", 1_000_000, "-pause", "1ms", "-wait=false")
    tracing = tracer.start("-b", program, *FUNC).attached()
    until(lambda: tracing.count("call") >= 23, "23 calls")
    program.unlink()
    shutil.copy(counts, program)
    seen = tracing.count("call")
    until(lambda: tracing.count("call") >= seen + 23, "23 calls more")
    run = tracing.stop()
    assert run.status == 0, run.stderr
    assert target.process.poll() is None
