# SPDX-License-Identifier: Apache-2.0
"""Recordings, and what is made of them, against what the program knows of itself."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import Tracer, check_accounting, check_error, of_type, parse

SUMS = Path(__file__).resolve().parent / "programs" / "sums"
CALLS = {"leaf": 115, "left": 73, "right": 37, "deep": 60, "nap": 53, "main": 1}


@pytest.fixture
def recorded(
    go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer
) -> Callable[..., tuple[Path, Path]]:
    """(recording, program)."""

    def record(version: str = "1.26", *options: object) -> tuple[Path, Path]:
        program = own_copy(go_program(SUMS, version))
        path = tracer.folder / "run.gscope"
        run = tracer("--func", "main.*", *options, "-o", path, "--", program)
        assert run.status == 0, run.stderr
        return path, program

    return record


@pytest.mark.parametrize("version", ["1.15", "1.19", "1.26"])
def test_report_as_json_lines(version: str, recorded: Callable[..., tuple[Path, Path]], tracer: Tracer) -> None:
    path, program = recorded(version)
    program.unlink()  # not needed any more
    run = tracer("report", path, "-f", "jsonl")
    assert run.status == 0, run.stderr
    calls, returns = of_type(run.events, "call"), of_type(run.events, "return")
    assert Counter(e["func"].removeprefix("main.") for e in calls) == CALLS
    assert Counter(e["func"].removeprefix("main.") for e in returns) == CALLS
    assert [e["args"]["n"] for e in calls if e["func"] == "main.left"] == list(range(73))
    (summary,) = of_type(run.events, "summary")
    check_accounting(summary)
    assert "339 calls, 339 returns; 0 lost" in run.stderr
    # the same file says the same again
    assert tracer("report", path, "-f", "jsonl").stdout == run.stdout


def test_a_recording_says_what_the_trace_said(recorded: Callable[..., tuple[Path, Path]], tracer: Tracer) -> None:
    """Text of the same trace: values, order and durations; the time of day within the clock's reading."""
    path, _ = recorded()
    text = tracer("report", path).stdout.splitlines()
    events = tracer("report", path, "-f", "jsonl").events
    durations = [e["duration_ns"] for e in of_type(events, "return")]
    assert len(text) == 678
    assert sum("→" in line for line in text) == len(durations) == 339


@pytest.mark.parametrize("format", ["csv", "chrome", "speedscope", "folded", "pprof"])
def test_formats_while_tracing(
    format: str, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer
) -> None:
    program, path = own_copy(go_program(SUMS)), tracer.folder / "out"
    run = tracer("--func", "main.le*", "-f", format, "-o", path, "--", program)
    assert run.status == 0, run.stderr
    assert str(path) in run.stderr  # how to open it
    data = path.read_bytes()
    if format == "chrome":
        assert sum(e["ph"] == "X" for e in json.loads(data)["traceEvents"]) == 115 + 73
    elif format == "speedscope":
        assert [len(p["events"]) for p in json.loads(data)["profiles"]] == [2 * (115 + 73)]
    elif format == "csv":
        assert len(data.decode().splitlines()) == 1 + 2 * (115 + 73)
    elif format == "folded":
        chains = [line.rsplit(" ", 1)[0] for line in data.decode().splitlines()]
        assert chains == ["main.leaf", "main.left", "main.left;main.leaf"]
    else:
        assert data[:2] == b"\x1f\x8b"


def test_tree(go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer) -> None:
    out = tracer.folder / "trees"
    run = tracer("tree", "--func", "main.deep", "--func", "main.leaf", "-o", out, "--", own_copy(go_program(SUMS)))
    assert run.status == 0, run.stderr
    lines = [line.split(None, 1)[1] for line in out.read_text().splitlines() if "main." in line]
    assert len(lines) == 115 + 60
    at = next(i for i, line in enumerate(lines) if line.startswith("main.deep(n=11)"))
    assert [line.split("(")[0] for line in lines[at : at + 13]] == ["main.deep"] * 12 + ["main.leaf"]


def test_a_recording_cut_anywhere(recorded: Callable[..., tuple[Path, Path]], tracer: Tracer) -> None:
    """What stands before the damage is shown, then one line says what is wrong."""
    path, _ = recorded()
    whole = path.read_bytes()
    text = tracer("report", path).stdout.splitlines()
    for size in (0, 5, 8, 100, len(whole) // 3, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:size])
        run = tracer("report", path)
        assert run.status != 0
        assert "Traceback" not in run.stderr
        assert run.stderr.startswith("error: "), run.stderr
        assert run.stdout.splitlines() == text[: len(run.stdout.splitlines())]


def test_a_recording_damaged_anywhere(recorded: Callable[..., tuple[Path, Path]], tracer: Tracer) -> None:
    path, _ = recorded("1.26", "-M", "20")
    whole = path.read_bytes()
    for at in range(8, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        run = tracer("report", path, "-f", "jsonl")
        assert run.status in (0, 1, 2, 3), run
        assert "Traceback" not in run.stderr, run.stderr
        parse(run.stdout)


def test_bad_recordings(recorded: Callable[..., tuple[Path, Path]], tracer: Tracer) -> None:
    path, program = recorded()
    check_error(tracer("report", program), 3, "no recording")
    check_error(tracer("report", tracer.folder), 3, "no recording")
    check_error(tracer("report", tracer.folder / "none"), 2, "none")
    newer = tracer.folder / "newer.gscope"
    newer.write_bytes(b"GSCOPE9\n" + path.read_bytes()[8:])
    check_error(tracer("report", newer), 3, "another version")
    killed = path.read_bytes()
    # its last block (the end) is missing, as after kill -9
    at = killed.rindex(struct.pack("<I", 0x103)) - 4
    newer.write_bytes(killed[:at])
    run = tracer("report", newer)
    assert run.status == 3
    assert "its end is missing" in run.stderr
    assert len(run.stdout.splitlines()) == 678


def test_a_recording_is_not_for_a_terminal(go_program: Callable[..., Path], tracer: Tracer) -> None:
    """`script` gives the command a terminal."""
    if not shutil.which("script"):
        pytest.skip("script(1) is not here")
    command = f"{sys.executable} -m tracer -b {go_program(SUMS)} --func main.leaf -f gscope"
    out = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=60)
    assert "not for a terminal" in out.stdout
