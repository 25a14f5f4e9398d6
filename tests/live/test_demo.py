# SPDX-License-Identifier: Apache-2.0
"""The demo program: every line of the tracer, as a whole value, against what the program itself prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from go_versions import TRACEE, VERSIONS
from tracing import Tracer, check_accounting, of_type, parse

CALLS = 3
SOURCE_LINES = (TRACEE / "main.go").read_text().splitlines()
LINE = next(i for i, text in enumerate(SOURCE_LINES, 1) if text.startswith("func ebpfDemo"))

# Go 1.17 writes no results of optimised functions into the debug information: they are inferred from a caller.
WARNINGS = {"1.17": ["results were inferred from a caller: names, named types and signs may differ"]}

# (mode, way of attaching, kind of buffer): all eight for one version, for the others four in which every pair
# of two values occurs.
PRODUCT = [(m, a, b) for m in ("default", "pie") for a in ("multi", "perf") for b in ("ring", "perf")]
PAIRS = [
    ("default", "multi", "ring"),
    ("default", "perf", "perf"),
    ("pie", "multi", "perf"),
    ("pie", "perf", "ring"),
]
CASES = [(v, *rest) for v in VERSIONS for rest in (PRODUCT if v == "1.26" else PAIRS)]

PRINTED_CALL = re.compile(r"ebpfDemo:: a1=(\d+), a2=(true|false) a3=([\d.]+)")
PRINTED_RETURN = re.compile(r"main:: r1=(\d+), r2=(\d+) r3=(.*)")


def printed(stdout: str) -> list[dict[str, Any]]:
    """What the program says it was called with and got back, in order, as the tracer should say it."""
    said: list[dict[str, Any]] = []
    for line in stdout.splitlines():
        if match := PRINTED_CALL.fullmatch(line):
            said.append({"args": {"a1": int(match[1]), "a2": match[2] == "true", "a3": float(match[3])}})
        elif match := PRINTED_RETURN.fullmatch(line):
            said.append({"results": {"r1": int(match[1]), "r2": int(match[2]), "r3": match[3]}})
    return said


@pytest.mark.parametrize(("version", "mode", "attach", "buffer"), CASES, ids=["-".join(case) for case in CASES])
def test_values(
    version: str,
    mode: str,
    attach: str,
    buffer: str,
    tracee: Callable[..., Path],
    tracer: Tracer,
    tmp_path: Path,
) -> None:
    program = tracee(version, mode)
    out = tmp_path / "events"
    run = tracer(
        *("-b", program, "--func", "main.ebpfDemo", "-f", "jsonl", "-o", out, "--"),
        *(program, "-n", CALLS, "-pause", "20ms"),
        env={"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer},
    )
    assert run.status == 0, run.stderr
    said = printed(run.stdout)
    assert len(said) == 2 * CALLS
    events = parse(out.read_text())

    (meta,) = of_type(events, "meta")
    assert events[0] is meta
    assert meta["go"] == f"go{VERSIONS[version]}"
    assert meta["binary"] == str(program)
    (function,) = meta["functions"]
    assert (function["fid"], function["name"], function["line"]) == (0, "main.ebpfDemo", LINE)
    assert Path(function["file"]).name == "main.go"
    assert function["params"] == [
        {"name": "a1", "type": "int"},
        {"name": "a2", "type": "bool"},
        {"name": "a3", "type": "float32"},
    ]
    assert function["warnings"] == WARNINGS.get(version, [])
    assert function["results"] == [
        {"name": "r1", "type": "int64"},
        {"name": "r2", "type": "int32"},
        {"name": "r3", "type": "string"},
    ]

    calls = [e for e in events if e["type"] in ("call", "return")]
    assert len(calls) == 2 * CALLS
    pid, last = calls[0]["pid"], 0
    numbers = [e["call"] for e in calls[::2]]
    assert len(set(numbers)) == CALLS
    for i, (event, truth) in enumerate(zip(calls, said)):
        common = {
            "ts": event["ts"],
            "pid": pid,
            "tid": event["tid"],
            "goid": 1,
            "call": numbers[i // 2],
            "fid": 0,
            "func": "main.ebpfDemo",
        }
        if "args" in truth:
            assert event == {"type": "call", **common, **truth, "notes": {}}
        else:
            opened = calls[i - 1]
            duration = event["ts"] - opened["ts"]
            assert event == {"type": "return", **common, "duration_ns": duration, **truth, "notes": {}}
        assert event["ts"] > last
        last = event["ts"]

    assert [e["pid"] for e in of_type(events, "process") if e["event"] == "start"] == [pid]
    (summary,) = of_type(events, "summary")
    assert events[-1] is summary
    check_accounting(summary)
    assert summary["lost"] == 0
    (row,) = summary["functions"]
    assert (row["name"], row["calls_written"], row["returns_written"]) == ("main.ebpfDemo", CALLS, CALLS)
    assert of_type(events, "lost") == []


TEXT_CALL = re.compile(r"\d\d:\d\d:\d\d\.\d{6}  G1  main\.ebpfDemo\(a1=100, a2=true, a3=66\.88\)")
TEXT_RETURN = re.compile(
    r'\d\d:\d\d:\d\d\.\d{6}  G1  main\.ebpfDemo → \(r1=100, r2=200, r3="test for ebpf"\)  [\d.]+(ns|µs|ms|s)'
)


@pytest.mark.parametrize("version", VERSIONS)
def test_text(version: str, tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """The text format, from a command that is found on PATH and needs no -b."""
    program = tracee(version)
    out = tmp_path / "events"
    run = tracer("--func", "main.ebpfDemo", "-o", out, "--", program, "-n", CALLS, "-pause", "10ms")
    assert run.status == 0, run.stderr
    lines = out.read_text().splitlines()
    assert len(lines) == 2 * CALLS, lines
    for call, back in zip(lines[::2], lines[1::2]):
        assert TEXT_CALL.fullmatch(call), call
        assert TEXT_RETURN.fullmatch(back), back


def test_mixed_with_the_programs_own_output(tracee: Callable[..., Path], tracer: Tracer) -> None:
    """Without -o both write to one stdout: whole lines, none of them torn."""
    program = tracee()
    run = tracer("--func", "main.ebpfDemo", "-f", "jsonl", "--", program, "-n", CALLS, "-pause", "20ms")
    assert run.status == 0, run.stderr
    lines = run.stdout.splitlines()
    own = [line for line in lines if not line.startswith("{")]
    assert own == ["ebpfDemo:: a1=100, a2=true a3=66.88", "main:: r1=100, r2=200 r3=test for ebpf"] * CALLS
    events = parse("\n".join(line for line in lines if line.startswith("{")))
    assert len(of_type(events, "call")) == len(of_type(events, "return")) == CALLS


def test_status_of_the_command_is_told_not_returned(
    tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path
) -> None:
    run = tracer("--func", "main.ebpfDemo", "-o", tmp_path / "events", "--", tracee(), "-no-such-flag")
    assert run.status == 0, run.stderr
    assert re.search(r"\b2\b", run.stderr), run.stderr


def test_first_terminal_second_terminal(
    tracee: Callable[..., Path], tracer: Tracer, own_copy: Callable[[Path], Path]
) -> None:
    """The tracer first, the program later and elsewhere; then Ctrl-C: the README's second way."""
    program = own_copy(tracee())
    tracing = tracer.start("--binary", program, "--func", "main.ebpfDemo", "-f", "jsonl").attached()
    started = tracer.program(program, "-n", CALLS, "-pause", "10ms")
    assert len(printed(started.finish())) == 2 * CALLS
    run = tracing.stop()
    assert run.status == 0, run.stderr
    assert {e["pid"] for e in of_type(run.events, "call")} == {started.pid}
    assert len(of_type(run.events, "return")) == CALLS
